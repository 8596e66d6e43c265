package inspect

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// wantsGem wants the specifications that RubyGems writes of what it has installed, and no
// others: those that gems bring along are programs.
func wantsGem(name string) bool {
	dir := parent(name)
	return strings.HasSuffix(name, ".gemspec") && (base(dir) == "specifications" || base(dir) == "default" && base(parent(dir)) == "specifications")
}

var (
	gemName    = regexp.MustCompile(`^\s*\w+\.name\s*=\s*["']([^"']+)["'](?:\.freeze)?\s*$`)
	gemVersion = regexp.MustCompile(`^\s*\w+\.version\s*=\s*(?:Gem::Version\.new\(?\s*)?["']([^"']+)["']`)
)

func readGem(in *input) ([]scan.Package, error) {
	var name, version string
	err := lines(in, func(line string) error {
		if m := gemName.FindStringSubmatch(line); m != nil && name == "" {
			name = m[1]
		}
		if m := gemVersion.FindStringSubmatch(line); m != nil && version == "" {
			version = m[1]
		}
		return nil
	})
	if err == nil && (name == "" || version == "") {
		err = errors.New("it has no name or version that can be read without running it")
	}
	if err != nil {
		return nil, err
	}
	return []scan.Package{{Ecosystem: "RubyGems", Name: name, Version: version, Manager: managerGem}}, nil
}

func wantsCargoLock(name string) bool { return base(name) == "Cargo.lock" }

var cargoField = regexp.MustCompile(`^(name|version|source)\s*=\s*"([^"\\]*)"\s*$`)

// readCargoLock reads the list of crates that Cargo writes: a file of TOML, in the form
// that Cargo gives it, a table [[package]] for each crate with one text to a line.
func readCargoLock(in *input) (list []scan.Package, err error) {
	fields, inside := map[string]string{}, false
	flush := func() error {
		defer clear(fields)
		if !inside {
			return nil
		}
		if fields["name"] == "" || fields["version"] == "" {
			return fmt.Errorf("a crate (%.60q) has no name or version", fields["name"])
		}
		// What has no source is of the tree itself; repositories have no versions.
		if strings.HasPrefix(fields["source"], "registry+") || strings.HasPrefix(fields["source"], "sparse+") {
			list = append(list, scan.Package{Ecosystem: "crates.io", Name: fields["name"], Version: fields["version"], Manager: managerCargo})
		}
		return nil
	}
	err = lines(in, func(line string) error {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "[[package]]") {
			// Another table: the crate before it ends.
			err := flush()
			inside = false
			return err
		}
		if strings.HasPrefix(trimmed, "[[package]]") {
			err := flush()
			inside = true
			return err
		}
		if m := cargoField.FindStringSubmatch(trimmed); m != nil {
			fields[m[1]] = m[2]
		} else if inside && (strings.HasPrefix(trimmed, "name") || strings.HasPrefix(trimmed, "version")) {
			return fmt.Errorf("%.60q is not in the form that Cargo writes", trimmed)
		}
		return nil
	})
	return list, errors.Join(err, flush())
}
