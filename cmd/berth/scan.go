package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newScan() *cobra.Command {
	return folder("scan", "See scans for vulnerabilities, and look after what they need",
		`See scans of images for vulnerabilities, and look after what they need.`, newScanQueue(), newScanDatabase())
}

func newScanDatabase() *cobra.Command {
	return folder("database", "Show and renew the vulnerability database of the running server",
		`Show and renew the database of vulnerabilities that the running server holds images
against. It is made of the zips of records in OSV's form that the settings
scanning.database name, or that are imported.`,
		newScanDatabaseStatus(), newScanDatabaseUpdate(), newScanDatabaseImport())
}

func newScanDatabaseStatus() *cobra.Command {
	c := leaf(0, "status", "Say what the vulnerability database is, how old, and whether scans may use it", "berth scan database status")
	c.Long = `Say what the vulnerability database is, how old, and whether scans may use it. With --json
it lists each release of a distribution of which there are records.`
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ShowScanDatabase, admin.None{}, printScanDatabase)
	}
	return c
}

func newScanDatabaseUpdate() *cobra.Command {
	c := leaf(0, "update", "Look for newer records now, and wait until they are compiled", "berth scan database update")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.UpdateScanDatabase, admin.None{}, printScanUpdate)
	}
	return c
}

func newScanDatabaseImport() *cobra.Command {
	c := leaf(1, "import DIR", "Make the database of the zips in a folder, once", "berth scan database import ./osv")
	c.Long = `Make the vulnerability database of the zips in a folder, <Ecosystem>/all.zip or
<Ecosystem>.zip, and wait until they are compiled. The server reads the folder, so it has
to see it, and needs it no longer when this is done. Where scanning.database names a
directory or an address, the next update takes what that has instead.`
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return answer(o, admin.ImportScanDatabase, admin.ScanDatabaseFolder{Folder: path}, printScanUpdate)
	}
	return c
}

func printScanUpdate(w io.Writer, done admin.ScanDatabaseUpdated) error {
	line := "nothing is new"
	if done.Changed {
		line = "there is a new database"
	}
	if _, err := fmt.Fprintln(w, line); err != nil {
		return err
	}
	return printScanDatabase(w, done.Now)
}

func printScanDatabase(w io.Writer, s admin.ScanDatabase) error {
	usable := "yes"
	if s.Unusable != "" {
		usable = "no: " + s.Unusable
	}
	f := facts{{"usable", usable}}
	if s.Busy {
		f = append(f, [2]string{"now", "newer records are being looked for or compiled"})
	}
	if d := s.Database; d != nil {
		f = append(f, facts{
			{"records", fmt.Sprintf("%d, and %d withdrawn", d.Records, d.Withdrawn)},
			{"unreadable", fmt.Sprint(d.Unreadable)},
			{"newest record", when(d.Newest, "-")},
			{"as of", when(d.AsOf, "-")},
			{"compiled", fmt.Sprintf("%s, %d bytes", when(d.Compiled, "-"), d.Bytes)},
			{"from", s.From},
		}...)
	}
	f = append(f, facts{{"last looked", when(s.Looked, "")}, {"failed", s.Failed}}...)
	if err := f.print(w); err != nil || s.Database == nil {
		return err
	}
	if err := printUnreadable(w, s.Database.Samples); err != nil || len(s.Zips) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table("ECOSYSTEM|BYTES|WRITTEN|CHECKED", func(z admin.ScanRecordsZip) []string {
		return []string{z.Ecosystem, fmt.Sprint(z.Bytes), when(z.Modified, "-"), z.Checked.Format(time.RFC3339)}
	})(w, s.Zips)
}

func printUnreadable(w io.Writer, list []admin.ScanRecordBad) error {
	for _, r := range list {
		if _, err := fmt.Fprintf(w, "  %s of %s: %s\n", r.Name, r.Zip, r.Reason); err != nil {
			return err
		}
	}
	return nil
}
