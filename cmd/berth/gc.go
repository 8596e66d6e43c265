package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry"
)

func newGC() *cobra.Command {
	return folder("gc", "Say what a collection would delete, or run one now",
		`Say what a collection would delete, or run one now, beside a running server or while it
is stopped. A collection deletes layers that no image uses, uploads that have expired,
and what else nobody needs; a server makes one every gc-interval.`,
		newGCPlan(), newGCRun())
}

func newGCPlan() *cobra.Command {
	var asJSON bool
	c := leaf(0, "plan", "Say what a collection would delete if it came by now, and why", "berth gc plan --json")
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var out doomedPrinter = &doomedLines{w: c.OutOrStdout()}
		if asJSON {
			out = &doomedJSON{w: c.OutOrStdout()}
		}
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error { return printGCPlan(c.Context(), k, out) })
	}
	return c
}

// doomedPrinter prints a plan as it comes: a store may have millions of things to say
// of.
type doomedPrinter interface {
	one(admin.GCDoomed) error
	end(gcTotal) error
}

func printGCPlan(ctx context.Context, k admin.Keeper, out doomedPrinter) error {
	total := gcTotal{Kinds: map[string]gcKind{}, left: map[string]int{}}
	for part := (admin.GCPlan{More: true}); part.More; {
		var err error
		if part, err = admin.ShowGCPlan.Ask(ctx, k, part.Next); err != nil {
			return err
		}
		for _, d := range part.Doomed {
			total.add(d)
			if err := out.one(d); err != nil {
				return err
			}
		}
	}
	return out.end(total)
}

// gcTotal sums up a plan.
type gcTotal struct {
	// Bytes are those that the disk has back: of a layer when no repository has it
	// any more.
	Bytes int64             `json:"bytes"`
	Kinds map[string]gcKind `json:"kinds"`

	left map[string]int // how many repositories have a layer, of those that several had
}

type gcKind struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"` // that the disk has back
}

func (t *gcTotal) add(d admin.GCDoomed) {
	kind := t.Kinds[d.Kind]
	kind.Count++
	if d.Kind != string(registry.DoomedTrash) && t.last(d) { // an image's layers are told of by themselves when they are free
		kind.Bytes += d.Bytes
		t.Bytes += d.Bytes
	}
	t.Kinds[d.Kind] = kind
}

// last says whether nobody has the bytes any more.
func (t *gcTotal) last(d admin.GCDoomed) bool {
	if d.Holders <= 1 {
		return true
	}
	left, ok := t.left[d.Digest]
	if !ok {
		left = d.Holders
	}
	if left--; left == 0 {
		delete(t.left, d.Digest)
		return true
	}
	t.left[d.Digest] = left
	return false
}

// doomedLines prints a plan for people.
type doomedLines struct {
	w     io.Writer
	begun bool
}

func (p *doomedLines) one(d admin.GCDoomed) error {
	if !p.begun {
		p.begun = true
		if _, err := fmt.Fprintf(p.w, "%-10s %15s  %-20s  %s\n", "WHAT", "BYTES", "SINCE", "WHICH, AND WHY"); err != nil {
			return err
		}
	}
	which := d.ID
	switch {
	case d.Digest != "":
		which = d.Repository + "@" + d.Digest
	case d.Repository != "":
		which = d.Repository
	}
	_, err := fmt.Fprintf(p.w, "%-10s %15d  %-20s  %s: %s\n", d.Kind, d.Bytes, when(d.Since, "-"), which, d.Why)
	return err
}

func (p *doomedLines) end(t gcTotal) error {
	if !p.begun {
		_, err := fmt.Fprintln(p.w, "nothing would go")
		return err
	}
	_, err := fmt.Fprintf(p.w, "\n%s, %s in the trash, %s, %s and %s would go, and with them %d bytes\n",
		counted(int(t.Kinds["layer"].Count), "layer"), counted(int(t.Kinds["trash"].Count), "image"), counted(int(t.Kinds["upload"].Count), "upload"),
		counted(int(t.Kinds["condemned"].Count), "condemned blob"), counted(int(t.Kinds["orphan"].Count), "blob")+" without an owner", t.Bytes)
	return err
}

// doomedJSON prints a plan as one JSON document.
type doomedJSON struct {
	w     io.Writer
	begun bool
}

func (p *doomedJSON) one(d admin.GCDoomed) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	lead := ",\n    "
	if !p.begun {
		p.begun, lead = true, "{\n  \"doomed\": [\n    "
	}
	_, err = fmt.Fprintf(p.w, "%s%s", lead, text)
	return err
}

func (p *doomedJSON) end(t gcTotal) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	lead := "\n  ]"
	if !p.begun {
		lead = "{\n  \"doomed\": []"
	}
	_, err = fmt.Fprintf(p.w, "%s,\n  \"total\": %s\n}\n", lead, text)
	return err
}

func newGCRun() *cobra.Command {
	var asJSON bool
	var q admin.GCRate
	c := leaf(0, "run", "Run a whole collection now and say what it deleted", "berth gc run")
	c.Long = `Run a whole collection now and say what it deleted. How far it is goes to the standard
error. Broken off, it leaves the rest to the next collection.`
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, and not how far it is")
	c.Flags().IntVar(&q.Rate, "rate", 0, "rows and blobs to look at in a second (default: as many as it can)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if q.Rate < 0 {
			return usageError{errors.New("--rate: none a second would never end")}
		}
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			progress := c.ErrOrStderr()
			if asJSON {
				progress = io.Discard
			}
			done, err := runGC(c.Context(), k, q, progress)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), done)
			}
			return printGCRun(c.Context(), c.OutOrStdout(), k, done)
		})
	}
	return c
}

// gcPause is between two words on how far a collection is.
const gcPause = 2 * time.Second

// runGC runs a collection and tells meanwhile how far it is.
func runGC(ctx context.Context, k admin.Keeper, q admin.GCRate, progress io.Writer) (admin.GCRun, error) {
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { watchGC(watch, k, progress) })
	return admin.RunGC.Ask(ctx, k, q)
}

func watchGC(ctx context.Context, k admin.Keeper, progress io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(gcPause):
		}
		st, err := admin.ShowGC.Ask(ctx, k, admin.None{})
		if err == nil && st.Running != nil {
			_, _ = fmt.Fprintf(progress, "looked at %d, let go of %s and %d bytes\n", st.Running.Looked, counted(int(st.Running.Layers), "layer"), st.Running.Bytes)
		}
	}
}

func printGCRun(ctx context.Context, w io.Writer, k admin.Keeper, done admin.GCRun) error {
	_, err := fmt.Fprintf(w, "looked at %d rows and blobs in %v\nrepositories let go of %s\ndeleted %s: %d of layers, %d of uploads, %d without an owner; %d bytes\n",
		done.Looked, done.Ended.Sub(done.Started).Round(time.Millisecond), counted(int(done.Layers), "layer"), counted(int(done.Blobs), "blob"),
		done.Contents, done.Uploads, done.Orphans, done.Bytes)
	if err != nil {
		return err
	}
	st, err := admin.ShowGC.Ask(ctx, k, admin.None{})
	if err == nil && st.Waiting > 0 {
		_, err = fmt.Fprintf(w, "%s are still to be deleted: a backup may be reading them\n", counted(int(st.Waiting), "blob"))
	}
	return err
}
