package vulndb

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-78150930/berth/storage/disk"
)

// state is what a keeper knows of where its database comes from. It may be lost: then
// all is fetched and compiled once more.
type state struct {
	Source, From string
	Ecosystems   []string  `json:",omitempty"` // that were set
	Sum          string    // of the database that it is about
	AsOf         time.Time // of its records
	Zips         []Fetched
}

// Sources of records.
const (
	fromDirectory = "directory"
	fromURL       = "url"
	fromImport    = "import"
)

// Fetched is a zip that a database was made of.
type Fetched struct {
	Zip
	ETag    string    `json:",omitempty"`
	Checked time.Time // when it was fetched, or had not changed
}

// readState reads a state; what cannot be read is the zero one.
func readState(path string) (s state) {
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &s) != nil {
		return state{}
	}
	return s
}

// write has a state on the disk.
func (s state) write(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(path, func(f *os.File) error {
		_, err := bytes.NewReader(data).WriteTo(f)
		return err
	})
}

// replace writes a file anew, which has its old content until it is whole.
func replace(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return disk.Sync(disk.OS{}, filepath.Dir(path))
}

// fetched is what is known of the zip of an ecosystem.
func (s state) fetched(ecosystem string) (Fetched, bool) {
	i := slices.IndexFunc(s.Zips, func(f Fetched) bool { return f.Ecosystem == ecosystem })
	if i < 0 {
		return Fetched{}, false
	}
	return s.Zips[i], true
}

// oldest is the time of the zip that was longest not looked for.
func oldest(list []Fetched) (at time.Time) {
	for _, f := range list {
		if at.IsZero() || f.Checked.Before(at) {
			at = f.Checked
		}
	}
	return at
}
