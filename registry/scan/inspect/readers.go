package inspect

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// The package managers, as ECR's enhanced findings name them: packageManager of a
// vulnerable package is a text there, and these are the words of Amazon Inspector's API,
// from which those findings are.
const (
	managerOS     = "OS"
	managerGo     = "GOBINARY"
	managerNode   = "NODEPKG" // installed
	managerNpm    = "NPM"     // by a lock file
	managerPython = "PYTHONPKG"
	managerJar    = "JAR"
	managerGem    = "GEMSPEC"
	managerCargo  = "CARGO"
)

// reader makes packages of files of one kind. It never passes over what it cannot read:
// that is an error, which becomes a problem that names the file.
type reader struct {
	wants func(name string) bool
	read  func(in *input) ([]scan.Package, error)
}

// readers are those of languages, by name. Those of systems read from fixed places: see
// system.go.
func readers() []reader {
	return []reader{
		{wantsPackageJSON, readPackageJSON},
		{wantsPackageLock, readPackageLock},
		{wantsPython, readPython},
		{wantsPythonArchive, readPythonArchive},
		{wantsJar, readJar},
		{wantsGem, readGem},
		{wantsCargoLock, readCargoLock},
	}
}

// input is a file to read.
type input struct {
	name string
	*io.SectionReader
	flat *flat
}

// languageWants is what the readers of languages want.
func languageWants(list []reader) wants {
	byName := func(name string) bool {
		for _, r := range list {
			if r.wants(name) {
				return true
			}
		}
		return false
	}
	return wants{name: func(name string) bool { return byName(name) || wantsSystem(name) || wantsOwned(name) }, read: byName, store: wantsStored, magic: wantsBinary}
}

// systemWants is what is wanted where languages are left out.
func systemWants() wants {
	return wants{name: wantsSystem, read: func(string) bool { return false }, magic: func([]byte) []signature { return nil }}
}

// languages reads all files that tell of packages of languages. The error is a *scan.Problem
// of which the whole scan ends.
func (f *flat) languages(files []kfile, list []reader) (packages []scan.Package, err error) {
	distributed := f.ownedFiles(files)
	for _, k := range files {
		read := readBinary
		if !k.byMagic {
			if distributed.has(f, k) {
				continue
			}
			read = nil
			for _, r := range list {
				if r.wants(k.name) {
					read = r.read
					break
				}
			}
		}
		if read == nil {
			continue
		}
		found, err := f.read(k, read)
		if err != nil {
			return nil, err
		}
		packages = append(packages, found...)
	}
	return packages, nil
}

// read has a reader read a file, and notes what it cannot read. The error ends the scan.
func (f *flat) read(k kfile, read func(*input) ([]scan.Package, error)) ([]scan.Package, error) {
	found, err := read(&input{k.name, f.spool.section(k.at, k.n), f})
	for i := range found {
		if found[i].Path == "" {
			found[i].Path = k.name
		}
		found[i].Layer = k.digest
	}
	var p *scan.Problem
	switch {
	case errors.As(err, &p) && p.Kind == scan.OverLimit, errors.Is(err, errSpool):
		return nil, err
	case errors.As(err, &p):
		f.problems = append(f.problems, *p)
	case err != nil:
		f.problems = append(f.problems, *unreadable(k.name, err.Error()))
	}
	return found, nil
}

// maxLine bounds one line of a text.
const maxLine = 4 << 20

// lines calls each for the lines of a text, without their ends.
func lines(r io.Reader, each func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for s.Scan() {
		if err := each(strings.TrimSuffix(s.Text(), "\r")); err != nil {
			return err
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line of it has more than %v", size(maxLine))
	}
	return s.Err()
}

// field splits a line such as "Version: 1.0".
func field(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

// withoutMark is a reader without the mark of UTF-8 that some begin texts with.
func withoutMark(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if head, err := b.Peek(3); err == nil && bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	return b
}

// within says whether a name lies in a folder of the given name, at any depth.
func within(name, dir string) bool {
	return strings.HasPrefix(name, dir+"/") || strings.Contains(name, "/"+dir+"/")
}

func base(name string) string { return path.Base(name) }

// sortPackages brings packages into the order of an inventory.
func sortPackages(list []scan.Package) {
	slices.SortStableFunc(list, func(a, b scan.Package) int {
		return cmp.Or(cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path))
	})
}
