package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// The files that a child inherits beside its input and output.
const (
	spoolFD    = 3
	databaseFD = 4
)

// Child is the whole work of the program that New's Scanner starts: it limits the process,
// reads one task and writes its answer. It opens no file by name. An error means that there
// is no answer, and is for the log of who started it.
func Child(in io.Reader, out io.Writer) error {
	if err := confine(); err != nil {
		return err
	}
	if !inherited(spoolFD) || !inherited(databaseFD) {
		return errors.New("scan-child is started by the server itself, and by nobody else")
	}
	file, database := os.NewFile(spoolFD, "spool"), os.NewFile(databaseFD, "database")
	t, err := readHeader(in)
	if err != nil {
		return err
	}
	if err := restrict(t.Limits); err != nil {
		return err
	}
	a, err := t.do(in, file, database)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// aim has Go collect garbage before the limit on memory is reached.
func aim(limits Limits) { debug.SetMemoryLimit(limits.Memory / 4 * 3) }

// do does a task. What is wrong with the image or the database is in the answer, and what
// is with the spool file; an error is of the task.
func (t task) do(in io.Reader, file, database *os.File) (answer, error) {
	db, err := vulndb.Open(database)
	if err != nil {
		return answer{Problem: noDatabase(err)}, nil
	}
	report, err := t.report(in, file, db)
	// The database was read alone: nothing is lost if it does not close.
	err = errors.Join(err, db.Close())
	var p *scan.Problem
	switch {
	case errors.Is(err, errSpool):
		return answer{Fault: err.Error()}, nil
	case errors.As(err, &p):
		return answer{Problem: p}, nil
	}
	return answer{Report: &report}, err
}

// noDatabase says why there is no database, in words that tell nothing of the server.
func noDatabase(err error) *scan.Problem {
	for is, text := range map[error]string{
		vulndb.ErrIncomplete: "is not complete", vulndb.ErrForeign: "is something else",
		vulndb.ErrFormat: "is of another format", vulndb.ErrDamaged: "is damaged",
	} {
		if errors.Is(err, is) {
			return scan.NewProblem(scan.NoDatabase, "The server's vulnerability database %s", text)
		}
	}
	return scan.NewProblem(scan.NoDatabase, "The server's vulnerability database cannot be opened")
}

func (t task) report(in io.Reader, file *os.File, db *vulndb.DB) (r scan.Report, err error) {
	if t.Known != nil {
		r.Inventory = *t.Known
	} else {
		s := &spool{file: file, limit: t.Limits.Kept}
		if r.Inventory, r.Problems, err = t.take(in, s); err != nil {
			return r, err
		}
	}
	if t.SystemOnly {
		r.Inventory.Packages = systemPackages(r.Inventory.Packages)
	}
	findings, problems, err := db.Match(context.Background(), r.Inventory)
	if err != nil {
		return r, noDatabase(err)
	}
	r.Findings, r.Database = findings, db.Info().Newest
	r.Problems = shorten(append(r.Problems, problems...))
	return r, nil
}

// maxProblems is how many an answer has. Who has as many learns no more by others.
const maxProblems = 1000

func shorten(list []scan.Problem) []scan.Problem {
	seen := map[scan.Problem]bool{}
	var out []scan.Problem
	for _, p := range list {
		if !seen[p] && len(out) < maxProblems {
			out = append(out, p)
		}
		seen[p] = true
	}
	return out
}

func systemPackages(list []scan.Package) (out []scan.Package) {
	for _, p := range list {
		if p.System {
			out = append(out, p)
		}
	}
	return out
}

// take reads the layers of the task and says what is installed in the image.
func (t task) take(in io.Reader, s *spool) (inv scan.Inventory, problems []scan.Problem, err error) {
	list := readers()
	w := languageWants(list)
	if t.SystemOnly {
		w, list = systemWants(), nil
	}
	f := newFlat(t.Limits, s, w)
	for _, l := range t.Layers {
		packed, err := readLayer(in, l)
		if err != nil {
			return inv, nil, err
		}
		if err := f.add(packed, l); err != nil {
			return inv, nil, err
		}
	}
	if n, err := io.ReadFull(in, make([]byte, 1)); n > 0 || err != io.EOF {
		return inv, nil, fmt.Errorf("%w: something is behind its last layer", errFrame)
	}
	return f.inventory(list)
}

// inventory says what is installed, once all layers are there.
func (f *flat) inventory(list []reader) (inv scan.Inventory, problems []scan.Problem, err error) {
	files := f.finish()
	sys, packages, err := f.system(files)
	if err != nil {
		return inv, nil, err
	}
	more, err := f.languages(files, list)
	if err != nil {
		return inv, nil, err
	}
	packages = append(packages, more...)
	sortPackages(packages)
	return scan.Inventory{System: sys, Packages: packages}, f.problems, nil
}
