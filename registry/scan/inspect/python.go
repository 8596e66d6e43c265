package inspect

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// wantsPython wants what installers leave beside a package (packaging.python.org,
// "Recording installed projects"; setuptools, "EGG-INFO").
func wantsPython(name string) bool {
	dir, file := base(parent(name)), base(name)
	switch file {
	case "METADATA":
		return strings.HasSuffix(dir, ".dist-info")
	case "PKG-INFO":
		return strings.HasSuffix(dir, ".egg-info") || dir == "EGG-INFO"
	}
	return strings.HasSuffix(file, ".egg-info")
}

// wantsPythonArchive wants packages that are packed.
func wantsPythonArchive(name string) bool {
	return strings.HasSuffix(name, ".egg") || strings.HasSuffix(name, ".whl")
}

func readPython(in *input) ([]scan.Package, error) { return pythonMetadata(in) }

var dashes = regexp.MustCompile(`[-_.]+`)

// pythonMetadata reads the head of a METADATA or PKG-INFO: fields as of a mail, to the
// first empty line.
func pythonMetadata(r io.Reader) ([]scan.Package, error) {
	var name, version string
	end := errors.New("the end of the head")
	err := lines(withoutMark(r), func(line string) error {
		if strings.TrimSpace(line) == "" || name != "" && version != "" {
			return end
		}
		if line[0] == ' ' || line[0] == '\t' {
			return nil
		}
		key, value, ok := field(line)
		switch {
		case !ok:
		case strings.EqualFold(key, "Name") && name == "":
			name = value
		case strings.EqualFold(key, "Version") && version == "":
			version = value
		}
		return nil
	})
	if err != nil && !errors.Is(err, end) {
		return nil, err
	}
	if name == "" || version == "" {
		return nil, errors.New("it has no name or version")
	}
	// The form of the name in which PyPI's advisories have it (PEP 503).
	name = dashes.ReplaceAllString(strings.ToLower(name), "-")
	return []scan.Package{{Ecosystem: "PyPI", Name: name, Version: version, Manager: managerPython}}, nil
}

func readPythonArchive(in *input) ([]scan.Package, error) {
	if in.Size() == 0 {
		return nil, nil
	}
	z, err := zip.NewReader(in, in.Size())
	if err != nil {
		return nil, err
	}
	var list []scan.Package
	for _, f := range z.File {
		if !wantsPython(f.Name) {
			continue
		}
		r, err := in.unzip(f)
		if err != nil {
			return list, err
		}
		found, err := pythonMetadata(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return list, fmt.Errorf("%.200q: %w", f.Name, err)
		}
		list = append(list, found...)
	}
	return list, nil
}
