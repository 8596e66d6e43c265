package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// Format is the version of the layout of data folders that this program reads
// and writes. It changes when an older program would misread what a newer one
// wrote. docs/upgrade.md has what came with each.
const Format = 2

// formatSince is the first version of Berth that knows Format. It stands in the
// folder beside it, so that an older one can say what is needed.
const formatSince = "0.2.0"

// FormatError says that a data folder has a format that this program does not
// know.
type FormatError struct {
	Path   string
	Format int
	Since  string // the version of Berth that is needed, "" if it is not known
}

// Error implements error.
func (e *FormatError) Error() string {
	needed := "a newer version of Berth"
	if e.Since != "" {
		needed = "Berth " + e.Since + " or newer"
	}
	return fmt.Sprintf("data folder %s has format %d, which needs %s; this one knows formats up to %d",
		e.Path, e.Format, needed, Format)
}

// checkFormat reads the format's version, and writes it in a folder that has
// none yet.
func (d *Dir) checkFormat() error {
	name := filepath.Join(d.path, formatFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.NoteUpgrade()
	}
	if err != nil {
		return fmt.Errorf("read the data folder's format: %w", err)
	}
	number, since, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	version, err := strconv.Atoi(number)
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%s is damaged: it holds %.20q, not the version of a format", name, data)
	case version > Format:
		return &FormatError{d.path, version, clip(since)}
	}
	d.format = version
	return nil
}

// Format is the version of the folder's layout. If it is less than the constant, the
// folder has to be upgraded before it is used.
func (d *Dir) Format() int { return d.format }

// NoteUpgrade says in the folder, for good, that it is laid out by the constant Format.
func (d *Dir) NoteUpgrade() error {
	name := filepath.Join(d.path, formatFile)
	if err := privatefile.WriteDurably(name, fmt.Appendf(nil, "%d\n%s\n", Format, formatSince)); err != nil {
		return err
	}
	d.format = Format
	return nil
}

// clip bounds a text that is about to be shown.
func clip(text string) string { return text[:min(len(text), 40)] }
