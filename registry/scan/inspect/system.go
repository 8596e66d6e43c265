package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// Where distributions keep what they say of themselves (os-release(5)), and of what is
// installed.
var (
	osReleases = []string{"etc/os-release", "usr/lib/os-release"}
	dpkgStatus = "var/lib/dpkg/status"
	dpkgParts  = "var/lib/dpkg/status.d" // of distroless images: a file for each package
	apkStatus  = []string{"lib/apk/db/installed", "usr/lib/apk/db/installed", "var/lib/apk/db/installed"}
)

// wantsSystem says it of every name that one of those may come to be by way of links.
// Which links there are is known only when all layers are.
func wantsSystem(name string) bool {
	switch base(name) {
	case "os-release", "status", "installed":
		return true
	}
	return isStatusPart(name)
}

func isStatusPart(name string) bool {
	return base(parent(name)) == "status.d" && !strings.HasSuffix(name, ".md5sums")
}

// system finds out of which distribution an image is, and what that has installed. That
// it is none that is known is a problem, and not an error.
func (f *flat) system(files []kfile) (scan.System, []scan.Package, error) {
	sys, err := f.release()
	if err != nil {
		return sys, nil, err
	}
	dpkg, apk := f.dpkgFiles(files), f.apkFiles()
	var packages []scan.Package
	var read []kfile
	switch managerOf(sys.Ecosystem) {
	case "dpkg":
		read = dpkg
		packages, err = f.readAll(dpkg, readDpkg)
		packages = bySource(packages)
	case "apk":
		read = apk
		packages, err = f.readAll(apk, readApk)
		packages = bySource(packages)
	default:
		f.problem(scan.UnknownSystem, "The image is of no distribution and release whose packages can be compared%s", called(sys))
		return sys, nil, nil
	}
	switch {
	case err != nil:
		return sys, nil, err
	case len(read) == 0:
		// Its system is known and what is installed of it is not: nobody can say that
		// there is nothing wrong with it.
		f.problem(scan.UnknownSystem, "The image has no list of the packages of its distribution%s", called(sys))
	case len(packages) == 0:
		f.problems = append(f.problems, *unreadable(read[0].name, "it lists no packages"))
	case len(read) != len(dpkg)+len(apk):
		f.problem(scan.UnknownSystem, "The image has lists of packages of two distributions")
	}
	for i := range packages {
		packages[i].Ecosystem, packages[i].Manager, packages[i].System = sys.Ecosystem, managerOS, true
	}
	return sys, packages, nil
}

func (f *flat) problem(kind scan.ProblemKind, format string, args ...any) {
	f.problems = append(f.problems, *scan.NewProblem(kind, format, args...))
}

// called is what a system calls itself, for a text.
func called(s scan.System) string {
	switch {
	case s.Name != "":
		return fmt.Sprintf(" (%.100q)", s.Name)
	case s.ID != "":
		return fmt.Sprintf(" (%.100q)", strings.TrimSpace(s.ID+" "+s.VersionID))
	}
	return ""
}

func (f *flat) readAll(files []kfile, read func(*input) ([]scan.Package, error)) (all []scan.Package, err error) {
	for _, k := range files {
		found, err := f.read(k, read)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// lookUp is a file at a fixed place. It is a problem if something is there that cannot be
// read.
func (f *flat) lookUp(name string) (k kfile, ok bool) {
	ref, what := f.resolve(name)
	switch what {
	case file:
		return f.files[ref], true
	case unkept, tooFar:
		f.problems = append(f.problems, *unreadable(name, "it leads to what was not kept, or over too many links"))
	}
	return kfile{}, false
}

// release reads os-release, the first that is there.
func (f *flat) release() (scan.System, error) {
	for _, name := range osReleases {
		k, ok := f.lookUp(name)
		if !ok {
			continue
		}
		var sys scan.System
		_, err := f.read(k, func(in *input) ([]scan.Package, error) {
			var err error
			sys, err = readRelease(in)
			return nil, err
		})
		return sys, err
	}
	return scan.System{}, nil
}

func (f *flat) dpkgFiles(files []kfile) (list []kfile) {
	if k, ok := f.lookUp(dpkgStatus); ok {
		list = append(list, k)
	}
	dir := dpkgParts
	for range maxSteps + 1 {
		next, ok := f.step(dir)
		if !ok {
			break
		}
		dir = next
	}
	if n, ok := f.tree.at(dir); ok && dir != dpkgParts && (n.kind == folder || n.kind == implied) && base(dir) != "status.d" {
		f.problems = append(f.problems, *unreadable(dpkgParts, "it is a link to a folder that was not kept"))
	}
	for _, k := range files {
		if parent(k.name) == dir && isStatusPart(k.name) {
			list = append(list, k)
		}
	}
	for _, l := range f.links {
		if !l.gone && parent(l.name) == dir && isStatusPart(l.name) {
			if k, ok := f.lookUp(l.name); ok && parent(k.name) != dir {
				list = append(list, k)
			}
		}
	}
	return list
}

func (f *flat) apkFiles() (list []kfile) {
	for _, name := range apkStatus {
		if k, ok := f.lookUp(name); ok && !slices.ContainsFunc(list, func(l kfile) bool { return l.at == k.at && l.name == k.name }) {
			list = append(list, k)
		}
	}
	return list
}

// readRelease reads an os-release.
func readRelease(in *input) (sys scan.System, err error) {
	values := map[string]string{}
	err = lines(in, func(line string) error {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			return nil
		}
		if values[key], ok = unquote(value); !ok {
			return fmt.Errorf("the value of %.60q is not well quoted", key)
		}
		return nil
	})
	if err != nil {
		return sys, err
	}
	sys = scan.System{ID: values["ID"], VersionID: values["VERSION_ID"], Name: values["PRETTY_NAME"]}
	if sys.Name == "" {
		sys.Name = values["NAME"]
	}
	sys.Ecosystem = ecosystemOf(sys.ID, sys.VersionID)
	return sys, nil
}

// unquote takes the quotes of a shell off a value.
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return s, true
	}
	if len(s) < 2 || s[len(s)-1] != s[0] {
		return "", false
	}
	quote, s := s[0], s[1:len(s)-1]
	if quote == '\'' {
		return s, !strings.Contains(s, "'")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

var (
	debianRelease = regexp.MustCompile(`^[0-9]{1,3}$`)
	ubuntuRelease = regexp.MustCompile(`^[0-9]{2}\.(04|10)$`)
	ubuntuLTS     = regexp.MustCompile(`^[0-9][02468]\.04$`)
	alpineRelease = regexp.MustCompile(`^([0-9]+\.[0-9]+)(\.[0-9]+)?$`)
	otherRelease  = regexp.MustCompile(`^[0-9a-z]+(\.[0-9]+)*$`)
)

// ecosystemOf is what OSV calls a release (its schema, "Defined ecosystems", and the names
// of its folders), "" if it is none whose versions can be compared. Releases without a
// number, such as Debian's testing and Alpine's edge, have none; nor has what only takes
// after another distribution.
func ecosystemOf(id, version string) string {
	switch id {
	case "debian":
		if debianRelease.MatchString(version) {
			return "Debian:" + version
		}
	case "ubuntu":
		if ubuntuLTS.MatchString(version) {
			return "Ubuntu:" + version + ":LTS"
		}
		if ubuntuRelease.MatchString(version) {
			return "Ubuntu:" + version
		}
	case "alpine":
		if m := alpineRelease.FindStringSubmatch(version); m != nil {
			return "Alpine:v" + m[1]
		}
	case "alpaquita":
		if otherRelease.MatchString(version) {
			return "Alpaquita:" + version
		}
	case "bellsoft-hardened-containers":
		if otherRelease.MatchString(version) {
			return "BellSoft Hardened Containers:" + version
		}
	// These have no releases.
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "minimos":
		return "MinimOS"
	}
	return ""
}

// managerOf is the package manager of an ecosystem that ecosystemOf gives.
func managerOf(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Debian", "Ubuntu":
		return "dpkg"
	case "":
		return ""
	}
	return "apk"
}

// bySource makes one package of those that are of one source and version.
func bySource(list []scan.Package) (out []scan.Package) {
	type source struct{ name, version string }
	at := map[source]int{}
	for _, p := range list {
		key := source{p.Name, p.Version}
		i, ok := at[key]
		if !ok { // the first, whose file speaks for all
			at[key] = len(out)
			out = append(out, p)
			continue
		}
		out[i].Binaries = append(out[i].Binaries, p.Binaries...)
		if out[i].Architecture == "" || out[i].Architecture == "all" || out[i].Architecture == "noarch" {
			out[i].Architecture = p.Architecture
		}
	}
	for i := range out {
		slices.Sort(out[i].Binaries)
		out[i].Binaries = slices.Compact(out[i].Binaries)
	}
	return out
}

// readDpkg reads a status file of dpkg (deb-control(5), dpkg(1)): paragraphs of fields,
// parted by empty lines. Those in status.d have no status: what is there is installed.
func readDpkg(in *input) (packages []scan.Package, err error) {
	fields := map[string]string{}
	flush := func() error {
		defer clear(fields)
		p, installed, err := dpkgPackage(fields)
		if installed && err == nil {
			packages = append(packages, p)
		}
		return err
	}
	err = lines(in, func(line string) error {
		switch {
		case strings.TrimSpace(line) == "":
			return flush()
		case line[0] == ' ' || line[0] == '\t' || line[0] == '#':
			return nil // goes on with the field before, none of which is wanted here
		}
		name, value, ok := field(line)
		if !ok {
			return fmt.Errorf("%.60q is not a field", line)
		}
		switch name = strings.ToLower(name); name {
		case "package", "version", "status", "source", "architecture":
			fields[name] = value
		default:
			fields["other"] = "yes"
		}
		return nil
	})
	return packages, errors.Join(err, flush())
}

func dpkgPackage(fields map[string]string) (p scan.Package, installed bool, err error) {
	if len(fields) == 0 {
		return p, false, nil
	}
	if status := strings.Fields(fields["status"]); len(status) > 0 {
		switch status[len(status)-1] {
		case "not-installed", "config-files":
			return p, false, nil
		}
	}
	name, version := fields["package"], fields["version"]
	if name == "" || version == "" {
		return p, false, fmt.Errorf("a package (%.60q) has no name or version", name)
	}
	p = scan.Package{Name: name, Version: version, Binaries: []string{name}, Architecture: fields["architecture"]}
	if source := fields["source"]; source != "" {
		var sourceVersion string
		p.Name, sourceVersion, _ = strings.Cut(source, " ")
		if sourceVersion = strings.TrimSpace(sourceVersion); sourceVersion != "" {
			if !strings.HasPrefix(sourceVersion, "(") || !strings.HasSuffix(sourceVersion, ")") {
				return p, false, fmt.Errorf("the source of %.60q is not one", name)
			}
			p.Version = strings.TrimSpace(sourceVersion[1 : len(sourceVersion)-1])
		}
	}
	return p, true, nil
}

// readApk reads what apk has installed: records of lines such as "P:musl", parted by
// empty lines (apk-tools, "APKINDEX format" and "installed database").
func readApk(in *input) (packages []scan.Package, err error) {
	fields := map[string]string{}
	flush := func() error {
		defer clear(fields)
		if len(fields) == 0 {
			return nil
		}
		name, version, origin := fields["P"], fields["V"], fields["o"]
		if name == "" || version == "" {
			return fmt.Errorf("a package (%.60q) has no name or version", name)
		}
		if origin == "" {
			origin = name
		}
		packages = append(packages, scan.Package{Name: origin, Version: version, Binaries: []string{name}, Architecture: fields["A"]})
		return nil
	}
	err = lines(in, func(line string) error {
		if strings.TrimSpace(line) == "" {
			return flush()
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || len(key) != 1 {
			return fmt.Errorf("%.60q is not a field", line)
		}
		switch key {
		case "P", "V", "o", "A":
			// The first counts: what follows the files' lines is of the files.
			if _, ok := fields[key]; !ok {
				fields[key] = value
			}
		default:
			fields["other"] = "yes"
		}
		return nil
	})
	return packages, errors.Join(err, flush())
}
