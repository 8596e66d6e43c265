package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// report are the figures.
type report struct {
	options
	Built                 time.Duration // 0 if it was there
	Index, Journal, Blobs int64         // bytes
	Files                 int           // blobs
	First, Stop           time.Duration
	Start, Pulled         memory
	Planned               string
	PlanTook, CollectTook time.Duration
	Planning, Collecting  memory // the most
	Collected             collected
}

// The bounds that are held.
const (
	longestStart      = time.Second
	mostAnonymous     = 100 << 20
	mostWhenCollected = 256 << 20
)

// bounds is an error if a figure is out of its bound.
func (f *report) bounds() error {
	var broken []error
	if f.First >= longestStart {
		broken = append(broken, fmt.Errorf("the first answer took %v", f.First))
	}
	if m := max(f.Start.Anonymous, f.Pulled.Anonymous); m >= mostAnonymous {
		broken = append(broken, fmt.Errorf("after the start it had %s of its own", mib(m)))
	}
	if m := f.Collecting.Anonymous; m >= mostWhenCollected {
		broken = append(broken, fmt.Errorf("the collection took %s", mib(m)))
	}
	return errors.Join(broken...)
}

// sizes are what the store takes on the disk.
func (f *report) sizes() error {
	data := filepath.Join(f.dir, "data")
	info, err := os.Stat(filepath.Join(data, "index.db"))
	if err != nil {
		return err
	}
	f.Index = info.Size()
	if f.Journal, _, err = tree(filepath.Join(data, "journal")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.Blobs, f.Files, err = tree(filepath.Join(data, "blobs"))
	return err
}

func tree(dir string) (bytes int64, files int, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes, files = bytes+info.Size(), files+1
		}
		return err
	})
	return bytes, files, err
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// write writes the page.
func (f *report) write() error {
	var b strings.Builder
	whose := "repository"
	if f.own {
		whose = "image"
	}
	fmt.Fprintf(&b, `# Figures

By `+"`make figures`"+`, which fails where a bound is broken. The store has %d images in %d repositories, each with a manifest and a tag
of its own, layers by %s, all with one config; every repository has a layer too that no image uses, and each tenth one more. It is built through the registry's
own rules, and stopped in order before it is measured.

| | | bound |
|---|---|---|
`, f.repositories*f.images, f.repositories, whose)
	row := func(what, value, bound string) { fmt.Fprintf(&b, "| %s | %s | %s |\n", what, value, bound) }
	if f.Built > 0 {
		row("building it", short(f.Built), "")
	}
	row("its index, journal", mib(f.Index)+", "+mib(f.Journal), "")
	row("its blobs", fmt.Sprintf("%d files, %s", f.Files, mib(f.Blobs)), "")
	row("from exec to the first pull of a manifest", short(f.First), short(longestStart))
	row("anonymous memory then (pages of files, the index's among them)", mib(f.Start.Anonymous)+" ("+mib(f.Start.Mapped)+")", mib(mostAnonymous))
	row(fmt.Sprintf("after %d pulls all over the store", pulled), mib(f.Pulled.Anonymous)+" ("+mib(f.Pulled.Mapped)+")", mib(mostAnonymous))
	row("`berth gc plan`, at most", short(f.PlanTook)+", "+mib(f.Planning.Anonymous)+" ("+mib(f.Planning.Mapped)+")", mib(mostWhenCollected))
	row("`berth gc run`, at most", short(f.CollectTook)+", "+mib(f.Collecting.Anonymous)+" ("+mib(f.Collecting.Mapped)+")", mib(mostWhenCollected))
	row("what it looked at", fmt.Sprintf("%d rows and blobs", f.Collected.Looked), "")
	row("what it took", fmt.Sprintf("%d layers, and %d blobs of them with %d bytes", f.Collected.Layers, f.Collected.Blobs, f.Collected.Bytes), "")
	row("stopping", short(f.Stop), "")
	fmt.Fprint(&b, "\nAnonymous memory is RssAnon of /proc/PID/status, pages of files RssFile: those of the index that were read, which the system takes back when it\nneeds them.\n")
	if f.page == "" {
		_, err := fmt.Print(b.String())
		return err
	}
	return os.WriteFile(f.page, []byte(b.String()), 0o644)
}
