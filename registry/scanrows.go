package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// scanRow is what is known of an image's scans of one type: how the newest one stands,
// and what the last one found that could be finished. It goes with the image, also when
// that goes into the archive.
type scanRow struct {
	Repository string // its name
	// Since is when the image came: by a push, or back from the archive or the trash.
	Since       time.Time
	RequestedAt time.Time       `json:",omitzero"`
	Waiting     *scanWaitingRow `json:",omitempty"` // nil if no scan waits or is under way
	// EndedAt, Status and Text are of the newest scan that came to an end; zero if none has.
	EndedAt time.Time   `json:",omitzero"`
	Status  scan.Status `json:",omitempty"`
	Text    string      `json:",omitempty"`
	Ours    bool        `json:",omitempty"` // as in scan.Outcome
	// UsedAt is when a scan was asked for that keeps others away for a day.
	UsedAt time.Time      `json:",omitzero"`
	Answer *scanAnswerRow `json:",omitempty"`
}

// scanWaitingRow is a scan that waits or is under way.
type scanWaitingRow struct {
	Class string    // scanAsked or scanBehind
	Due   time.Time // of its row in scansDue
	// Rematch says that the packages found before are held against the database again.
	Rematch bool `json:",omitempty"`
	// Again says that the database became another one while the scan was under way.
	Again    bool   `json:",omitempty"`
	Attempts int    `json:",omitempty"` // that have begun
	Holder   string `json:",omitempty"` // id of the attempt that has it until it is due; "" if none has
}

// Classes of scans: what somebody asked for, or pushed, goes before what is done by itself.
const (
	scanAsked  = "0"
	scanBehind = "1"
)

// scanAnswerRow is what a scan found.
type scanAnswerRow struct {
	ID           string
	Status       scan.Status
	Text         string
	EndedAt      time.Time
	System       scan.System
	Architecture string                `json:",omitempty"`
	Database     time.Time             // date of its newest record
	Counts       map[scan.Severity]int `json:",omitempty"`
	Findings     int
}

// pages is how many pages the findings have.
func (a *scanAnswerRow) pages() int { return (a.Findings + scanPageSize - 1) / scanPageSize }

// scanPageRow is a page of findings, or the inventory: a blob of compressed JSON.
type scanPageRow struct {
	Blob   string
	Size   int64
	Digest digest.Digest // of the blob
}

// scanFillRow is how far it was looked for images that were there before a rule.
type scanFillRow struct {
	Of                 string // what the rules are
	Repository, Digest string `json:",omitempty"` // where it goes on
	Done               bool   `json:",omitempty"`
}

// scanRematchRow is how far it was looked for images that a new database is for.
type scanRematchRow struct {
	Of    string   // which database
	After []string `json:",omitempty"`
	Done  bool     `json:",omitempty"`
}

// scanFailureRow is a scan that came to nothing.
type scanFailureRow struct {
	At         time.Time
	Account    string
	Region     string
	Repository string
	Digest     digest.Digest
	Type       scan.Type
	Status     scan.Status
	Text       string
}

// scanKey is the key of the row of an image's scans.
func (r repository) scanKey(d digest.Digest, t scan.Type) []string {
	return r.key(d.String(), string(t))
}

// dueKey is where the scan of a row stands among those that wait; key is that of the row.
func (w *scanWaitingRow) dueKey(key []string) []string {
	return append([]string{w.Class, sequenceKey(uint64(w.Due.UnixNano()))}, key...)
}

// queueScan has a scan wait, if none does. Key is that of the row, which is written.
func (s *Service) queueScan(tx storage.Tx, key []string, row scanRow, w scanWaitingRow) error {
	if row.Waiting != nil {
		if err := scansDue.Delete(tx, row.Waiting.dueKey(key)...); err != nil {
			return err
		}
	}
	now := s.now().UTC()
	row.RequestedAt, w.Due = now, now
	row.Waiting = &w
	return row.put(tx, key)
}

// put writes a row, with its place among those that wait.
func (row scanRow) put(tx storage.Tx, key []string) error {
	if row.Waiting != nil {
		if err := scansDue.Put(tx, dueRow{row.Repository}, row.Waiting.dueKey(key)...); err != nil {
			return err
		}
	}
	return scans.Put(tx, row, key...)
}

// forgetScans removes all that is known of an image's scans; repo is the key of its
// repository.
func (s *Service) forgetScans(tx storage.Tx, repo []string, d digest.Digest) error {
	for f, err := range scans.Scan(tx, table.Select{Prefix: append(slices.Clone(repo), d.String())}) {
		if err == nil {
			err = s.deleteScan(tx, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteScan removes a row with what was found, and with the scan that waits: who works
// on it sees that nobody wants it any more.
func (s *Service) deleteScan(tx storage.Tx, f table.Found[scanRow]) error {
	if w := f.Row.Waiting; w != nil {
		if err := scansDue.Delete(tx, w.dueKey(f.Key)...); err != nil {
			return err
		}
	}
	return errors.Join(s.dropScanPages(tx, f.Key), scans.Delete(tx, f.Key...))
}

// dropScanPages condemns what a scan found; key is that of the row.
func (s *Service) dropScanPages(tx storage.Tx, key []string) error {
	for f, err := range scanPages.Scan(tx, table.Select{Prefix: key}) {
		if err == nil {
			err = s.dropScanPage(tx, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) dropScanPage(tx storage.Tx, f table.Found[scanPageRow]) error {
	return errors.Join(scanPages.Delete(tx, f.Key...), s.condemn(tx, f.Row.Blob, f.Row.Size))
}

// scanOf reads the key of a row: which image it is of, in a repository that has the
// name for all that the row knows, and the type.
func scanOf(key []string, name string) (repo repository, d digest.Digest, t scan.Type, err error) {
	repo = repository{Name{ID{key[0], key[1]}, name}, repositoryRow{ID: key[2]}}
	if d, err = digest.Parse(key[3]); err != nil {
		return repo, d, t, fmt.Errorf("key of a scan: %w", err)
	}
	return repo, d, scan.Type(key[4]), nil
}
