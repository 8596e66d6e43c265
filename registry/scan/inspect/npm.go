package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// wantsPackageJSON wants what npm and its like install: node_modules/name/package.json,
// and what lies outside any node_modules, as tools do that are unpacked by hand. Further
// files of that name within a package are its own: fixtures, and marks of module types.
func wantsPackageJSON(name string) bool {
	if base(name) != "package.json" {
		return false
	}
	dir := parent(name)
	i := strings.LastIndex("/"+dir, "/node_modules/")
	if i < 0 {
		return dir != "node_modules" && !strings.HasSuffix(dir, "/node_modules")
	}
	inner := ("/" + dir)[i+len("/node_modules/"):]
	scope, rest, scoped := strings.Cut(inner, "/")
	if strings.HasPrefix(scope, "@") {
		return scoped && !strings.Contains(rest, "/")
	}
	return !scoped
}

// stored are the files of pnpm's store, named by their digests: STORE/v10/files/00/4b3c…
var stored = regexp.MustCompile(`(^|/)v[0-9]+/files/[0-9a-f]{2}/[0-9a-f]{62,126}$`)

// maxStored is more than a package.json has.
const maxStored = 1 << 20

// wantsStored wants what may be a package.json in pnpm's store. What pnpm installs are hard
// links to files there, and where a layer has the store too the file may stand under its
// name in the store alone.
func wantsStored(name string, head []byte, size int64) bool {
	return len(head) > 0 && head[0] == '{' && size <= maxStored && stored.MatchString(name)
}

// readPackageJSON reads the package that a package.json describes. One that lacks a name or
// a version, or is private, was never published: a workspace or an application.
func readPackageJSON(in *input) ([]scan.Package, error) {
	var doc struct {
		Name, Version json.RawMessage
		Private       json.RawMessage
	}
	if err := decode(in, &doc); err != nil {
		return nil, err
	}
	name, version := text(doc.Name), npmVersion(text(doc.Version))
	if name == "" || version == "" || string(doc.Private) == "true" && !within(in.name, "node_modules") {
		return nil, nil
	}
	return []scan.Package{{Ecosystem: "npm", Name: name, Version: version, Manager: managerNode}}, nil
}

// text is a JSON string, "" if it is something else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

// npmVersion is a version without what npm takes off it.
func npmVersion(s string) string { return strings.TrimLeft(s, "=v ") }

// decode reads one JSON value and nothing behind it.
func decode(r io.Reader, into any) error {
	d := json.NewDecoder(withoutMark(r))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind its JSON value")
	}
	return nil
}

// wantsPackageLock wants lock files, those that npm itself leaves in node_modules among
// them, but not those that packages brought along.
func wantsPackageLock(name string) bool {
	switch base(name) {
	case "package-lock.json", "npm-shrinkwrap.json":
		return !within(name, "node_modules")
	case ".package-lock.json":
		return base(parent(name)) == "node_modules"
	}
	return false
}

type npmLocked struct {
	Name, Version, Resolved string
	Dev, Link               bool
	Dependencies            json.RawMessage // by name; in packages of later versions these are texts
}

// readPackageLock reads a lock file of npm's, of versions 1 to 3 (docs.npmjs.com,
// package-lock.json). What is for development alone is left out, and what is not from a
// registry: folders, files and repositories have versions that say nothing.
func readPackageLock(in *input) ([]scan.Package, error) {
	var doc struct {
		Version      int `json:"lockfileVersion"`
		Packages     map[string]npmLocked
		Dependencies map[string]npmLocked
	}
	if err := decode(in, &doc); err != nil {
		return nil, err
	}
	l := &locked{seen: map[[2]string]bool{}}
	if doc.Packages != nil {
		for _, path := range slices.Sorted(maps.Keys(doc.Packages)) {
			p := doc.Packages[path]
			i := strings.LastIndex(path, "node_modules/")
			if i < 0 {
				continue // the project and its workspaces
			}
			name := p.Name
			if name == "" {
				name = path[i+len("node_modules/"):]
			}
			l.add(name, p)
		}
		return l.list, nil
	}
	err := l.addAll(doc.Dependencies, 0)
	return l.list, err
}

type locked struct {
	seen map[[2]string]bool
	list []scan.Package
}

const maxLockDepth = 1000

func (l *locked) addAll(list map[string]npmLocked, depth int) error {
	if depth > maxLockDepth {
		return errors.New("its packages lie too deep within each other")
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		p := list[name]
		l.add(name, p)
		if len(p.Dependencies) == 0 {
			continue
		}
		var inner map[string]npmLocked
		if err := json.Unmarshal(p.Dependencies, &inner); err != nil {
			return fmt.Errorf("packages within %.200q: %w", name, err)
		}
		if err := l.addAll(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (l *locked) add(name string, p npmLocked) {
	version := p.Version
	if alias, ok := strings.CutPrefix(version, "npm:"); ok { // as "npm:name@1.0.0"
		if i := strings.LastIndexByte(alias, '@'); i > 0 {
			name, version = alias[:i], alias[i+1:]
		}
	}
	version = npmVersion(version)
	if p.Dev || p.Link || name == "" || version == "" || strings.ContainsAny(version, ":/") || l.seen[[2]string{name, version}] {
		return
	}
	l.seen[[2]string{name, version}] = true
	l.list = append(l.list, scan.Package{Ecosystem: "npm", Name: name, Version: version, Manager: managerNpm})
}
