package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Check the audit trail",
		Args:  withUsage(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditVerify())
	return c
}

func newAuditVerify() *cobra.Command {
	var asJSON, noSeals bool
	c := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Check that no record was changed, moved, put in or taken out",
		Long: `Check that no record of the audit trail was changed, moved, put in or taken out,
beside a running server or while it is stopped. Without files it is the whole
trail of the server, its end included: records that were cut off are missed.
Files are checked as one chain, in whatever order they are named.

Seals are checked with the key in the data folder. Without it, who changed a
record may have made the rest of the chain anew.`,
		Args: withUsage(cobra.ArbitraryArgs),
	}
	src := addSettings(c, "config", "data", "audit.file")
	c.Flags().BoolVar(&noSeals, "no-seals", false, "do not check seals: the files are another server's")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, files []string) error {
		conf, err := config.Load(src)
		if err != nil {
			return err
		}
		key, err := sealKey(conf, noSeals)
		if err != nil {
			return err
		}
		report, err := verifyAudit(conf, files, key)
		if err != nil {
			return err
		}
		return printAudit(c.OutOrStdout(), report, asJSON)
	}
	return c
}

// sealKey is the key that seals the records of a server, nil where its data folder
// is not here.
func sealKey(c *config.Config, without bool) ([]byte, error) {
	if without || c.InMemory() {
		return nil, nil
	}
	key, err := datadir.ReadKey(c.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w (--no-seals checks without it)", err)
	}
	return server.AuditKey(key), nil
}

func verifyAudit(c *config.Config, files []string, key []byte) (audit.Report, error) {
	if len(files) > 0 {
		return audit.Verify(files, key)
	}
	file := server.AuditFile(c)
	if file == "" {
		return audit.Report{}, errors.New("the server keeps no audit trail (audit.file)")
	}
	report, err := audit.VerifyTrail(file, key)
	if err == nil && report.Files == 0 && len(report.Breaks) == 0 {
		return report, fmt.Errorf("there is no audit trail at %s", file)
	}
	return report, err
}

// auditJSON is what scripts read.
type auditJSON struct {
	Intact  bool
	Files   int
	Records uint64
	First   uint64
	Last    uint64
	Sealed  bool
	Breaks  []audit.Break
}

func printAudit(w io.Writer, r audit.Report, asJSON bool) error {
	broken := brokenTrail(r)
	if asJSON {
		return errors.Join(printJSON(w, auditJSON{broken == nil, r.Files, r.Records, r.First, r.Last, r.Sealed, append([]audit.Break{}, r.Breaks...)}), broken)
	}
	for _, b := range r.Breaks {
		if _, err := fmt.Fprintln(w, b); err != nil {
			return err
		}
	}
	if broken != nil {
		return broken
	}
	_, err := fmt.Fprintf(w, "%s in %s: as written%s%s\n", recordsOf(r), count(r.Files, "file"), sealsOf(r), olderOf(r))
	return err
}

func brokenTrail(r audit.Report) error {
	switch {
	case r.More:
		return fmt.Errorf("the audit trail is broken in more than %d places", len(r.Breaks))
	case len(r.Breaks) > 0:
		return fmt.Errorf("the audit trail is broken in %s", count(len(r.Breaks), "place"))
	}
	return nil
}

func recordsOf(r audit.Report) string {
	if r.Records == 0 {
		return "no records"
	}
	return fmt.Sprintf("records %d to %d", r.First, r.Last)
}

func sealsOf(r audit.Report) string {
	if r.Sealed {
		return ", all seals are this server's"
	}
	return ", seals were not checked"
}

func olderOf(r audit.Report) string {
	if r.First > 1 {
		return ", older records are not here"
	}
	return ""
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
