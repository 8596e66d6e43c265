package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

func newStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the running server is",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		st, err := client.Status(c.Context())
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSON(c.OutOrStdout(), st)
		}
		return printStatus(c.OutOrStdout(), st)
	}
	return c
}

func printStatus(w io.Writer, st admin.Status) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	line("server", "process %d since %s, version %s", st.PID, st.Started.Format(time.RFC3339), st.Version)
	line("address", "%s (%s)", st.Address, st.URL)
	for _, l := range st.Listeners[min(1, len(st.Listeners)):] {
		line("  and", "%s (%s)", l.Address, l.URL)
	}
	if st.Metrics != "" {
		line("metrics", "%s", st.Metrics)
	}
	line("data folder", "%s", st.Data)
	line("registry", "account %s in %s", st.Account, st.Region)
	if st.Dev {
		line("development", "anybody on this machine may do everything")
	}
	file := st.Config.File
	if file == "" {
		file = "no file"
	}
	line("configuration", "%s, read %s", file, st.Config.Loaded.Format(time.RFC3339))
	for text := range strings.Lines(st.Config.Error) {
		line("  refused", "%s", strings.TrimSpace(text))
	}
	if len(st.Config.Waiting) > 0 {
		line("  waiting", "%s: changed, and in force with the next start", strings.Join(st.Config.Waiting, ", "))
	}
	state := "ready"
	if !st.Ready {
		state = "not ready: " + st.Fault
	}
	line("state", "%s", state)
	for _, r := range st.Refused {
		line("  no writes", "since %s (%s): %s", r.Since.Format(time.RFC3339), r.Reason, r.Why)
	}
	if st.Clock != "" {
		line("clock", "%s", st.Clock)
	}
	if d := st.Disk; d != nil {
		line("disk", "%s", diskWords(*d))
	}
	if x := st.Index; x != nil {
		line("index", "%s", indexWords(*x))
		if x.Reading {
			line("  unclosed", "it was not closed in order and is read whole; writes wait for that")
		}
		line("journal", "%s", journalWords(*x))
		for _, t := range [][2]string{{"  damaged", x.Damage}, {"  rebuilt", x.Rebuilt}, {"  failed", x.Failure}, {"  cut", x.Cut}} {
			if t[1] != "" {
				line(t[0], "%s", t[1])
			}
		}
	}
	for _, j := range st.Jobs {
		line("  job", "%s, %s", j.Name, howItWent(j))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// diskWords say how full a disk is.
func diskWords(d admin.Disk) string {
	const mib = 1 << 20
	text := fmt.Sprintf("%d of %d MiB free", d.Free/mib, d.Size/mib)
	if d.Files > 0 {
		text += fmt.Sprintf(", %d of %d inodes", d.FreeFiles, d.Files)
	}
	if d.Low {
		text += ": that is little"
	}
	return text
}

// indexWords say how large the index's file is.
func indexWords(x admin.Index) string {
	const mib = 1 << 20
	text := fmt.Sprintf("%.1f MiB, %.1f of them free", float64(x.FileBytes)/mib, float64(x.FreeBytes)/mib)
	if x.Compactions > 0 {
		text += fmt.Sprintf("; compacted since the start: %d", x.Compactions)
	}
	return text
}

// howItWent says how the last run of a job went.
func howItWent(j admin.Job) string {
	switch {
	case j.Running:
		return "running since " + j.Started.Format(time.RFC3339)
	case j.Ended.Before(j.Started):
		return "broken off, begun " + j.Started.Format(time.RFC3339)
	case j.Error != "":
		return fmt.Sprintf("failed at %s: %s", j.Ended.Format(time.RFC3339), j.Error)
	}
	return "last done " + j.Ended.Format(time.RFC3339)
}

func newReload() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running server read its configuration again",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		done, err := client.Reload(c.Context())
		if errors.Is(err, admin.ErrNotRunning) {
			return err
		}
		if err != nil {
			return fmt.Errorf("refused, the old configuration stays in force:\n%w", err)
		}
		return printReloaded(c.OutOrStdout(), done)
	}
	return c
}

func printReloaded(w io.Writer, done admin.Reloaded) error {
	text := "nothing changed\n"
	if len(done.Changed) > 0 {
		text = "in force now: " + strings.Join(done.Changed, ", ") + "\n"
	}
	if len(done.Waiting) > 0 {
		text += "in force with the next start: " + strings.Join(done.Waiting, ", ") + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func newHealthcheck() *cobra.Command {
	var url string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if the server is ready, else with 1",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().StringVar(&url, "url", "", "address of the server, such as http://127.0.0.1:5000 (default: found by its data folder)")
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait for it to be ready")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := awaitHealth(c.Context(), src, url, wait); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), "ready")
		return err
	}
	return c
}

// awaitHealth asks until the server is ready or the time is over, once at
// least.
func awaitHealth(ctx context.Context, src config.Sources, url string, wait time.Duration) error {
	over := time.After(wait)
	for {
		err := checkHealth(ctx, src, url)
		if err == nil {
			return nil
		}
		select {
		case <-over:
			return err
		case <-time.After(pause):
		}
	}
}

func checkHealth(ctx context.Context, src config.Sources, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := url == ""
	if found {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		st, err := client.Status(ctx)
		if err != nil {
			return err
		}
		url = st.URL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return usageError{err}
	}
	resp, err := direct(found).Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", url, resp.Status)
	}
	return nil
}

// direct is a client that goes by no proxy. An address that the server told by
// its own socket needs no certificate to be believed: it may be made out for
// other names, nothing secret is sent, and all that is asked is whether somebody
// answers.
func direct(believed bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: believed},
	}}
}
