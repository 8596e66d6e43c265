package admin

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// The calls about the vulnerability database.
var (
	ShowScanDatabase = Call[None, ScanDatabase]{"show-scan-database"}
	// UpdateScanDatabase and ImportScanDatabase are answered when they are done.
	UpdateScanDatabase = Call[None, ScanDatabaseUpdated]{"update-scan-database"}
	ImportScanDatabase = Call[ScanDatabaseFolder, ScanDatabaseUpdated]{"import-scan-database"}
)

// Vulnerabilities is who has the vulnerability database.
type Vulnerabilities interface {
	Status() vulndb.Status
	Update(ctx context.Context) (vulndb.Updated, error)
	Import(ctx context.Context, folder string) (vulndb.Updated, error)
}

// ScanDatabase says what the database is. Its JSON form is what
// `scan database status --json` prints.
type ScanDatabase struct {
	// Unusable is why no scan can use it, "" if one can.
	Unusable string           `json:"unusable,omitempty"`
	Database *ScanDatabaseOf  `json:"database,omitempty"`
	Source   string           `json:"source,omitempty"` // "directory", "url" or "import"
	From     string           `json:"from,omitempty"`
	Zips     []ScanRecordsZip `json:"zips"`
	Looked   time.Time        `json:"looked,omitzero"` // when it was last looked for newer records
	Failed   string           `json:"failed,omitempty"`
	Busy     bool             `json:"busy"` // it is being looked for some, or they are compiled
}

// ScanDatabaseOf is a database.
type ScanDatabaseOf struct {
	Compiled   time.Time       `json:"compiled"`
	AsOf       time.Time       `json:"asOf"` // of the zip that was longest not written or asked for
	Newest     time.Time       `json:"newestRecord"`
	Bytes      int64           `json:"bytes"`
	Records    int             `json:"records"`
	Withdrawn  int             `json:"withdrawn"`
	Unreadable int             `json:"unreadable"`
	Samples    []ScanRecordBad `json:"unreadableRecords"` // some of them
	Ecosystems []ScanEcosystem `json:"ecosystems"`
}

// ScanRecordBad is a record that could not be read.
type ScanRecordBad struct {
	Zip    string `json:"ecosystem"`
	Name   string `json:"record"`
	Reason string `json:"reason"`
}

// ScanEcosystem is one that the database has records of.
type ScanEcosystem struct {
	Name    string `json:"ecosystem"`
	Records int    `json:"records"`
}

// ScanRecordsZip is a zip that it was made of.
type ScanRecordsZip struct {
	Ecosystem string    `json:"ecosystem"`
	Bytes     int64     `json:"bytes"`
	Modified  time.Time `json:"modified,omitzero"`
	Checked   time.Time `json:"checked"`
}

// ScanDatabaseFolder is a folder of zips, as the server sees it.
type ScanDatabaseFolder struct {
	Folder string `json:"folder"`
}

// ScanDatabaseUpdated says what came of looking for records.
type ScanDatabaseUpdated struct {
	Changed bool         `json:"changed"`
	Now     ScanDatabase `json:"now"`
}

// errNoScanDatabase says that a call is for a running server.
var errNoScanDatabase = errors.New("no server is running, which has the vulnerability database")

func (c *Clerk) answerScanDatabase(all answers) {
	answered(all, ShowScanDatabase, func(context.Context, None) (ScanDatabase, error) {
		if c.Vulnerabilities == nil {
			return ScanDatabase{}, errNoScanDatabase
		}
		return scanDatabase(c.Vulnerabilities.Status()), nil
	})
	answered(all, UpdateScanDatabase, func(ctx context.Context, _ None) (ScanDatabaseUpdated, error) {
		return c.updateScanDatabase(func(v Vulnerabilities) (vulndb.Updated, error) { return v.Update(ctx) })
	})
	answered(all, ImportScanDatabase, func(ctx context.Context, q ScanDatabaseFolder) (ScanDatabaseUpdated, error) {
		return c.updateScanDatabase(func(v Vulnerabilities) (vulndb.Updated, error) { return v.Import(ctx, q.Folder) })
	})
}

func (c *Clerk) updateScanDatabase(do func(Vulnerabilities) (vulndb.Updated, error)) (ScanDatabaseUpdated, error) {
	if c.Vulnerabilities == nil {
		return ScanDatabaseUpdated{}, errNoScanDatabase
	}
	done, err := do(c.Vulnerabilities)
	return ScanDatabaseUpdated{done.Changed, scanDatabase(c.Vulnerabilities.Status())}, err
}

func scanDatabase(st vulndb.Status) ScanDatabase {
	a := ScanDatabase{
		Unusable: st.Unusable, Source: st.Source, From: st.From, Looked: st.Looked, Failed: st.Failed, Busy: st.Busy,
		Zips: each(st.Zips, func(z vulndb.Fetched) ScanRecordsZip {
			return ScanRecordsZip{Ecosystem: z.Ecosystem, Bytes: z.Size, Modified: z.Modified, Checked: z.Checked}
		}),
	}
	if d := st.Database; d != nil {
		a.Database = &ScanDatabaseOf{
			Compiled: d.Compiled, AsOf: d.AsOf, Newest: d.Newest, Bytes: st.Bytes,
			Records: d.Records, Withdrawn: d.Withdrawn, Unreadable: d.Unreadable,
			Samples:    each(d.Samples, func(s vulndb.Sample) ScanRecordBad { return ScanRecordBad{s.Zip, s.Name, s.Reason} }),
			Ecosystems: each(d.Ecosystems, func(e vulndb.Ecosystem) ScanEcosystem { return ScanEcosystem{e.Name, e.Records} }),
		}
	}
	return a
}
