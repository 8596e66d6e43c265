package inspect

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// jarEndings are what archives of Java are called by.
var jarEndings = []string{".jar", ".war", ".ear", ".hpi", ".jpi", ".par", ".sar", ".nar", ".kar"}

// wantsJar wants archives of Java.
func wantsJar(name string) bool {
	return slices.ContainsFunc(jarEndings, func(end string) bool {
		return len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end)
	})
}

// readJar reads an archive and those within it, by the pom.properties that Maven leaves in
// what it builds. Where there are none the manifest and the file's name say it, if they
// do; an archive of which neither says a version cannot be named, and tells of nothing.
func readJar(in *input) ([]scan.Package, error) { return in.jar(in.name, in.SectionReader, 0) }

func (in *input) jar(name string, r *io.SectionReader, depth int) (list []scan.Package, err error) {
	if r.Size() == 0 {
		return nil, nil
	}
	z, err := zip.NewReader(r, r.Size())
	if err != nil {
		return nil, fmt.Errorf("%.200q: %w", name, err)
	}
	var manifest *zip.File
	var errs []error
	named := false
	for _, f := range z.File {
		var found []scan.Package
		var err error
		switch {
		case strings.HasPrefix(f.Name, "META-INF/maven/") && base(f.Name) == "pom.properties":
			named = true
			found, err = in.pom(f)
		case strings.EqualFold(f.Name, "META-INF/MANIFEST.MF"):
			manifest = f
		case wantsJar(f.Name):
			found, err = in.inner(name+"/"+f.Name, f, depth+1)
		}
		if isFatal(err) {
			return nil, err
		}
		if err != nil {
			errs = append(errs, err)
		}
		for i := range found {
			if found[i].Path == "" {
				found[i].Path = name
			}
		}
		list = append(list, found...)
	}
	if !named {
		found, err := in.byManifest(name, manifest)
		if isFatal(err) {
			return nil, err
		}
		list, errs = append(list, found...), append(errs, err)
	}
	return list, errors.Join(errs...)
}

// isFatal says whether an error ends the scan.
func isFatal(err error) bool {
	var p *scan.Problem
	return errors.As(err, &p) && p.Kind == scan.OverLimit || errors.Is(err, errSpool)
}

// inner reads an archive within an archive, which it unpacks into the spool for as long
// as that takes.
func (in *input) inner(name string, f *zip.File, depth int) ([]scan.Package, error) {
	if nested := in.flat.limits.Nested; depth > nested {
		return nil, over(fmt.Sprintf("Archives lie too deep within each other at %.200q", name), keyNested, nested)
	}
	r, err := in.unzip(f)
	if err != nil {
		return nil, err
	}
	s := in.flat.spool
	before := s.end
	defer func() { s.end = before }()
	at, n, err := s.add(r, in.flat.limits.File, make([]byte, 64<<10))
	if err = errors.Join(in.flat.full(name, err), r.Close()); err != nil {
		return nil, fmt.Errorf("%.200q: %w", name, err)
	}
	return in.jar(name, s.section(at, n), depth)
}

// unzip opens a file of an archive. What is read of it counts as unpacked.
func (in *input) unzip(f *zip.File) (io.ReadCloser, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%.200q: %w", f.Name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{metered{r, in.flat.budget}, r}, nil
}

// properties reads a short text of a zip file by lines.
func (in *input) properties(f *zip.File, each func(line string)) error {
	r, err := in.unzip(f)
	if err != nil {
		return err
	}
	err = lines(r, func(line string) error { each(line); return nil })
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("%.200q: %w", f.Name, err)
	}
	return nil
}

// pom reads a pom.properties.
func (in *input) pom(f *zip.File) ([]scan.Package, error) {
	values := map[string]string{}
	err := in.properties(f, func(line string) {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			switch key = strings.TrimSpace(key); key {
			case "groupId", "artifactId", "version":
				values[key] = strings.TrimSpace(value)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	group, artifact, version := values["groupId"], values["artifactId"], values["version"]
	if group == "" || artifact == "" || version == "" || strings.Contains(group+artifact+version, "${") {
		return nil, fmt.Errorf("%.200q has no group, artifact or version", f.Name)
	}
	return []scan.Package{maven(group, artifact, version)}, nil
}

func maven(group, artifact, version string) scan.Package {
	return scan.Package{Ecosystem: "Maven", Name: group + ":" + artifact, Version: version, Manager: managerJar}
}

var (
	jarName  = regexp.MustCompile(`^(.+?)-([0-9][^/]*)$`)
	jarGroup = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$`)
)

// byManifest guesses which artifact an archive is. The group is what its manifest says of
// a vendor or bundle if that has the form of one, else the artifact's own name, as old
// artifacts have it (commons-io:commons-io).
func (in *input) byManifest(name string, f *zip.File) ([]scan.Package, error) {
	values := map[string]string{}
	if f != nil {
		err := in.properties(f, func(line string) {
			if key, value, ok := field(line); ok {
				if _, had := values[key]; !had { // the main part comes first
					values[key] = value
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	file := base(name)
	artifact, version := file[:strings.LastIndexByte(file, '.')], ""
	if m := jarName.FindStringSubmatch(artifact); m != nil {
		artifact, version = m[1], m[2]
	}
	for _, key := range []string{"Implementation-Version", "Bundle-Version", "Specification-Version"} {
		if version == "" {
			version = values[key]
		}
	}
	if version == "" || strings.ContainsAny(version, " $") {
		return nil, nil
	}
	group := artifact
	for _, key := range []string{"Implementation-Vendor-Id", "Bundle-SymbolicName", "Automatic-Module-Name"} {
		v, _, _ := strings.Cut(values[key], ";")
		if jarGroup.MatchString(v) {
			group = strings.TrimSuffix(v, "."+artifact)
			break
		}
	}
	return []scan.Package{maven(group, artifact, version)}, nil
}
