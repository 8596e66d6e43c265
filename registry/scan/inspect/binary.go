package inspect

import (
	"bytes"
	"compress/zlib"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// What is in programs that tell of the packages which they were built of: the mark of Go's
// build information (debug/buildinfo), and the name of the section in which cargo-auditable
// leaves a list of crates (github.com/rust-secure-code/cargo-auditable, PARSING.md).
var (
	goMark    = signature("\xff Go buildinf:")
	cargoMark = signature(".dep-v0")
)

// wantsBinary wants programs of the forms that both readers know, if they hold one of the
// marks. How a file is called and whether it may be run says nothing.
func wantsBinary(head []byte) []signature {
	for _, magic := range []string{
		"\x7fELF", "MZ", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return []signature{goMark, cargoMark}
		}
	}
	return nil
}

// readBinary reads a program.
func readBinary(in *input) ([]scan.Package, error) {
	holds, err := marks(in)
	if err != nil {
		return nil, err
	}
	var list []scan.Package
	var errs []error
	if holds[0] {
		found, err := readGo(in)
		list, errs = append(list, found...), append(errs, err)
	}
	if holds[1] {
		found, err := readAuditable(in)
		list, errs = append(list, found...), append(errs, err)
	}
	return list, errors.Join(errs...)
}

// marks says which of the marks a file has.
func marks(in *input) (holds [2]bool, err error) {
	buf, carried := make([]byte, 256<<10), 0
	for {
		n, err := in.Read(buf[carried:])
		seen := buf[:carried+n]
		holds[0] = holds[0] || bytes.Contains(seen, goMark)
		holds[1] = holds[1] || bytes.Contains(seen, cargoMark)
		carried = copy(buf, seen[max(0, len(seen)-len(goMark)):])
		if err == io.EOF {
			return holds, nil
		}
		if err != nil {
			return holds, err
		}
	}
}

// readGo reads the modules that a program was linked of, and the standard library under
// the name that Go's advisories give it. The program's own module is among them if it has
// a version; a build from a source tree has none.
func readGo(in *input) (list []scan.Package, err error) {
	info, err := buildinfo.Read(in)
	if err != nil {
		return nil, err
	}
	version, ok := goRelease(info.GoVersion)
	if ok {
		list = append(list, goPackage("stdlib", version))
	} else {
		err = fmt.Errorf("it was built by %.60q, which is no release of Go", info.GoVersion)
	}
	if m := info.Main; m.Path != "" && m.Version != "" && m.Version != "(devel)" {
		list = append(list, goPackage(m.Path, m.Version))
	}
	for _, m := range info.Deps {
		m = replaced(m)
		if m.Version == "" || m.Version == "(devel)" {
			err = errors.Join(err, fmt.Errorf("its module %.200q has no version", m.Path))
			continue
		}
		list = append(list, goPackage(m.Path, m.Version))
	}
	return list, err
}

// replaced is what was linked for a module. For one that was replaced by a folder it is
// the module that stands in go.mod: nobody can say how much of it is left.
func replaced(m *debug.Module) *debug.Module {
	if m.Replace != nil && m.Replace.Version != "" {
		return m.Replace
	}
	return m
}

func goPackage(name, version string) scan.Package {
	return scan.Package{Ecosystem: "Go", Name: name, Version: strings.TrimPrefix(version, "v"), Manager: managerGo}
}

var goVersion = regexp.MustCompile(`^go([0-9]+)\.([0-9]+)(?:\.([0-9]+))?(?:(rc|beta)([0-9]+))?(?:[-+ ].*)?$`)

// goRelease is a version of Go's in the form that its advisories have: three numbers.
func goRelease(s string) (string, bool) {
	m := goVersion.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	if m[3] == "" {
		m[3] = "0"
	}
	version := m[1] + "." + m[2] + "." + m[3]
	if m[4] != "" {
		version += "-" + m[4] + "." + m[5]
	}
	return version, true
}

// maxCrates bounds the list of crates, unpacked (cargo-auditable names 8 MiB as a bound
// that suits).
const maxCrates = 8 << 20

// readAuditable reads the list of crates that cargo-auditable left in a program. A program
// that has no such section speaks of it alone, and tells of nothing.
func readAuditable(in *input) ([]scan.Package, error) {
	packed, err := auditSection(in)
	if packed == nil || err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(packed)
	if err != nil {
		return nil, fmt.Errorf("its list of crates: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxCrates+1))
	if err != nil {
		return nil, fmt.Errorf("its list of crates: %w", err)
	}
	if len(text) > maxCrates {
		return nil, fmt.Errorf("its list of crates has more than %v", size(maxCrates))
	}
	var doc struct {
		Packages []struct{ Name, Version, Source, Kind string }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("its list of crates: %w", err)
	}
	var list []scan.Package
	for _, c := range doc.Packages {
		if c.Source != "crates.io" && c.Source != "registry" || c.Kind == "build" {
			continue // of its own tree or of a repository, or what only ran while it was built
		}
		if c.Name == "" || c.Version == "" {
			return list, errors.New("its list of crates: one has no name or version")
		}
		list = append(list, scan.Package{Ecosystem: "crates.io", Name: c.Name, Version: c.Version, Manager: managerCargo})
	}
	return list, nil
}

// auditSection is cargo-auditable's section of a program, nil if it has none.
func auditSection(in *input) (io.Reader, error) {
	head := make([]byte, 4)
	if _, err := in.ReadAt(head, 0); err != nil {
		return nil, err
	}
	switch {
	case bytes.Equal(head, []byte("\x7fELF")):
		p, err := elf.NewFile(in)
		if err != nil {
			return nil, err
		}
		if s := p.Section(string(cargoMark)); s != nil && s.Type != elf.SHT_NOBITS {
			return s.Open(), nil
		}
	case bytes.HasPrefix(head, []byte("MZ")):
		p, err := pe.NewFile(in)
		if err != nil {
			return nil, err
		}
		if s := p.Section(string(cargoMark)); s != nil {
			return s.Open(), nil
		}
	default:
		p, err := macho.NewFile(in)
		if err != nil {
			return nil, err
		}
		if s := p.Section(string(cargoMark)); s != nil {
			return s.Open(), nil
		}
	}
	return nil, nil
}
