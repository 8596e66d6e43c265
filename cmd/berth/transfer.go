package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/transfer"
)

// transferFlags are those that import and export share.
type transferFlags struct {
	src       config.Sources
	server    string
	elsewhere elsewhere
	options   transfer.Options
	json      bool
}

func addTransfer(c *cobra.Command) *transferFlags {
	f := &transferFlags{}
	flags := c.Flags()
	flags.StringVar(&f.options.Tags, "tags", "", "only images with such a tag; a star stands for any characters")
	flags.StringVar(&f.options.Platform, "platform", "", "of an image for several platforms only that for one, such as linux/arm64, under its tag")
	flags.BoolVar(&f.options.NoReferrers, "no-referrers", false, "leave out signatures, SBOMs and the like that are not asked for themselves")
	flags.BoolVar(&f.options.DryRun, "dry-run", false, "look, say what would be copied, and change nothing")
	flags.IntVar(&f.options.Jobs, "jobs", 4, "how many layers are copied side by side")
	flags.DurationVar(&f.options.Patience, "patience", 5*time.Minute, "how long to wait for a registry that wants to be asked later")
	flags.BoolVar(&f.json, "json", false, "print the summary as JSON")
	f.elsewhere.add(c)
	flags.StringVar(&f.server, "server", "", "address of the Berth that is meant (default: the one of the data folder)")
	f.src = addPlace(c)
	return f
}

// home is the Berth that images are brought to or taken from.
type home struct {
	registry *peer.Registry
	account  *transfer.Account // nil if there is a password and no key
}

// home finds it: the server of the data folder, or the one at an address, which is
// entered as `berth bench` does.
func (f *transferFlags) home(c *cobra.Command) (home, error) {
	b := &benchTarget{target: &target{src: f.src, ca: f.elsewhere.ca}}
	var args []string
	if f.server != "" {
		args = []string{f.server}
	}
	t, err := b.find(c, args)
	if err != nil {
		return home{}, err
	}
	client, err := clientOf(t.Registry, t.CA)
	if err != nil {
		return home{}, err
	}
	var h home
	credentials := peer.Credentials(nil)
	if t.API != "" {
		apiClient, err := clientOf(t.API, t.CA)
		if err != nil {
			return home{}, err
		}
		api, err := peer.NewECRAPI(peer.ECR{Client: apiClient, Region: t.Signer.Region, Endpoint: t.API, Sign: t.Signer.Sign})
		if err != nil {
			return home{}, err
		}
		h.account, credentials = &transfer.Account{API: api}, api.Credentials()
	} else if t.User != "" {
		credentials = peer.Static(t.User, t.Password)
	}
	h.registry, err = peer.New(peer.Options{URL: t.Registry, Client: client, Credentials: credentials})
	return h, err
}

// catalogue says what it has.
func (h home) catalogue() transfer.Catalogue {
	if h.account != nil {
		return transfer.FromECR(*h.account)
	}
	return transfer.FromRegistry(h.registry)
}

// copy copies, says how it goes and prints what came of it.
func (f *transferFlags) copy(ctx context.Context, c *cobra.Command) error {
	o := f.options
	draw := drawn(c.ErrOrStderr())
	o.Watch = draw.tell
	r, err := transfer.Run(ctx, o)
	draw.clear()
	if errors.Is(err, context.Canceled) {
		err = errors.New("it was interrupted; what is copied is there, and the same command goes on")
	}
	if err == nil || r.Images > 0 {
		if werr := f.print(c.OutOrStdout(), r); err == nil {
			err = werr
		}
	}
	if err == nil && len(r.Failed) > 0 {
		err = notCopied(r.Failed)
	}
	return err
}

func (f *transferFlags) print(w io.Writer, r transfer.Report) error {
	if f.json {
		return printJSON(w, r)
	}
	var b strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	would, layers := "", fmt.Sprintf("%d layers copied (%s), %d mounted, %d there", r.Blobs, bytesText(r.Bytes), r.Mounted, r.Present)
	if f.options.DryRun {
		would, layers = "would be ", fmt.Sprintf("%d layers (%s) would be copied", r.Blobs, bytesText(r.Bytes))
	}
	fmt.Fprintf(&b, "%d repositories, %d images: %d %scopied, %d there already, %d failed; %s; %s\n", r.Repositories, r.Images, r.Copied, would, r.There,
		r.Images-r.Copied-r.There, layers, time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond))
	_, err := io.WriteString(w, b.String())
	return err
}

// notCopied names what was not copied.
func notCopied(list []transfer.Failure) error {
	var text strings.Builder
	fmt.Fprintf(&text, "not copied: %d", len(list))
	for _, l := range list {
		name := l.Repository
		if l.Reference != "" {
			name += separator(l.Reference) + l.Reference
		}
		if name != "" {
			name += ": "
		}
		fmt.Fprintf(&text, "\n  %s%s", name, l.Error)
	}
	return damagedError{errors.New(text.String())}
}

// separator stands between a repository and a tag or a digest.
func separator(ref string) string {
	if _, err := digest.Parse(ref); err == nil {
		return "@"
	}
	return ":"
}

// parseImage reads a repository with or without a tag or a digest.
func parseImage(text string) (transfer.Wanted, error) {
	w := transfer.Wanted{Repository: text}
	if repo, d, ok := strings.Cut(text, "@"); ok {
		if _, err := digest.Parse(d); err != nil {
			return w, usageError{err}
		}
		repo, _, _ = cutTag(repo) // a tag beside a digest says nothing more
		w = transfer.Wanted{Repository: repo, Reference: d}
	} else if repo, tag, ok := cutTag(text); ok {
		w = transfer.Wanted{Repository: repo, Reference: tag}
	}
	if w.Repository == "" || strings.HasPrefix(w.Repository, "/") || strings.HasSuffix(text, ":") {
		return w, usageError{fmt.Errorf("%q is no image, such as team/app:1.4", text)}
	}
	return w, nil
}

func cutTag(text string) (repo, tag string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i <= strings.LastIndexByte(text, '/') {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// one says whether a single repository is wanted, by its name.
func one(list []transfer.Wanted) (string, bool) {
	for _, w := range list {
		if w.Repository == "" || w.Repository != list[0].Repository || strings.Contains(w.Repository, "*") {
			return "", false
		}
	}
	return list[0].Repository, len(list) > 0
}

// drawing says how a copy goes: on one line of a terminal, or else in a line now and
// then.
type drawing struct {
	w        io.Writer
	terminal bool
	last     time.Time
	length   int
}

func drawn(w io.Writer) *drawing {
	file, ok := w.(*os.File)
	return &drawing{w: w, terminal: ok && term.IsTerminal(int(file.Fd())), last: time.Now()}
}

func (d *drawing) tell(p transfer.Progress) {
	text := progressText(p)
	if d.terminal {
		_, _ = fmt.Fprintf(d.w, "\r%s%s", text, strings.Repeat(" ", max(0, d.length-len(text)))) // a bar that is not seen changes nothing
		d.length = len(text)
		return
	}
	if time.Since(d.last) < progressPause {
		return
	}
	d.last = time.Now()
	_, _ = fmt.Fprintln(d.w, text)
}

// clear takes the bar away.
func (d *drawing) clear() {
	if d.terminal {
		_, _ = fmt.Fprintf(d.w, "\r%s\r", strings.Repeat(" ", d.length))
	}
}

const barLength = 24

// progressText is how far a copy is.
func progressText(p transfer.Progress) string {
	full := int(p.Share * barLength)
	text := fmt.Sprintf("[%s%s] %d/%d images, %s", strings.Repeat("=", full), strings.Repeat(" ", barLength-full), p.Done, p.Images, bytesText(p.Bytes))
	if p.Rate > 0 {
		text += fmt.Sprintf(", %s/s", bytesText(int64(p.Rate)))
	}
	switch {
	case !p.Listed:
		text += ", looking for more"
	case p.Left > 0:
		text += fmt.Sprintf(", %s left", p.Left)
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	return text
}
