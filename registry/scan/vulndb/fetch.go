package vulndb

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxZip bounds the bytes of a zip that is fetched. The largest of OSV's are some
// hundred megabytes.
const maxZip = 4 << 30

// fromURL fetches the zips that have changed and compiles all of them if any has. What
// cannot be fetched stays as it was, and is the error when the others are done.
func (k *Keeper) fromURL(ctx context.Context, s Settings) error {
	if k.o.Client == nil {
		return errors.New("vulndb: nothing can be fetched")
	}
	known := k.known(s.URL)
	next := state{Source: fromURL, From: s.URL, Ecosystems: s.Ecosystems}
	var failed []error
	var have []string
	for _, e := range s.wanted() {
		old, _ := known.fetched(e)
		f, err := k.fetch(ctx, s.URL, e, old)
		if err != nil {
			failed = append(failed, fmt.Errorf("the records of %s: %w", e, err))
			f = old
		}
		if f.Ecosystem != "" {
			next.Zips, have = append(next.Zips, f), append(have, e)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(have) == 0 {
		return errors.Join(failed...)
	}
	if k.isOf(next) {
		next.Sum, next.AsOf = known.Sum, oldest(next.Zips)
		k.keep(next)
	} else if err := k.compile(ctx, k.zips(), next, have); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// known is what is known of the zips of an address that still lie in the folder.
func (k *Keeper) known(from string) state {
	k.mu.Lock()
	s := k.state
	k.mu.Unlock()
	if s.Source != fromURL || s.From != from {
		return state{}
	}
	var kept []Fetched
	for _, f := range s.Zips {
		if stat, err := os.Stat(k.zipFile(f.Ecosystem)); err == nil && stat.Size() == f.Size {
			kept = append(kept, f)
		}
	}
	s.Zips = kept
	return s
}

func (k *Keeper) zipFile(ecosystem string) string {
	return filepath.Join(k.zips(), ecosystem+".zip")
}

// fetch fetches the zip of an ecosystem unless it is the old one still.
func (k *Keeper) fetch(ctx context.Context, from, ecosystem string, old Fetched) (Fetched, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(from, "/")+"/"+url.PathEscape(ecosystem)+"/all.zip", nil)
	if err != nil {
		return old, errors.New("the address is none")
	}
	if old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	} else if !old.Modified.IsZero() {
		req.Header.Set("If-Modified-Since", old.Modified.UTC().Format(http.TimeFormat))
	}
	resp, err := k.o.Client.Do(req)
	if err != nil {
		return old, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && old.Ecosystem != "":
		old.Checked = k.now().UTC()
		return old, nil
	case resp.StatusCode != http.StatusOK:
		return old, fmt.Errorf("the answer is %d", resp.StatusCode)
	case resp.ContentLength > maxZip:
		return old, fmt.Errorf("the zip is larger than %d MiB", maxZip>>20)
	}
	return k.receive(resp, ecosystem)
}

// receive takes the body of an answer for the zip of an ecosystem.
func (k *Keeper) receive(resp *http.Response, ecosystem string) (Fetched, error) {
	f := Fetched{Zip: Zip{Ecosystem: ecosystem}, ETag: resp.Header.Get("ETag"), Checked: k.now().UTC()}
	if len(f.ETag) > maxURL {
		f.ETag = ""
	}
	if at, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		f.Modified = at.UTC()
	}
	err := replace(k.zipFile(ecosystem), func(out *os.File) (err error) {
		if f.Size, err = io.Copy(out, io.LimitReader(resp.Body, maxZip+1)); err != nil {
			return err
		}
		if f.Size > maxZip {
			return fmt.Errorf("the zip is larger than %d MiB", maxZip>>20)
		}
		if _, err := zip.NewReader(&counted{out, maxDirectory}, f.Size); err != nil {
			return fmt.Errorf("what came is no zip that can be read: %w", err)
		}
		return nil
	})
	if err != nil {
		return Fetched{}, err
	}
	// A zip without dates is told from the next one by when it came.
	if f.ETag == "" && f.Modified.IsZero() {
		f.Modified = f.Checked.Truncate(time.Second)
	}
	return f, nil
}
