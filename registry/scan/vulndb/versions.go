package vulndb

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// errIncomparable says that a version cannot be compared by its ecosystem's rules.
var errIncomparable = errors.New("it cannot be compared")

// Forms of versions. The library compares what has none of these too, by rules for what
// is no version, and then says of it with the same certainty that it comes before or
// after one; so what has another form is not handed to it.
var (
	numbers = regexp.MustCompile(`^v?[0-9][0-9A-Za-z.+_~-]*$`)
	debs    = regexp.MustCompile(`^([0-9]+:)?[0-9A-Za-z.+~:-]+$`)
	apks    = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(~[0-9a-f]+)?(-r[0-9]+)?$`)
	rpms    = regexp.MustCompile(`^([0-9]+:)?[0-9A-Za-z.+~^_-]+$`)
	mavens  = regexp.MustCompile(`^[0-9A-Za-z._+~-]*[0-9][0-9A-Za-z._+~-]*$`)
	gems    = regexp.MustCompile(`^[0-9]+(\.[0-9A-Za-z]+)*(-[0-9A-Za-z_.-]+)?$`)
	crans   = regexp.MustCompile(`^[0-9]+([.-][0-9]+)*$`)
	// PEP 440, section "Appendix B".
	pythons = regexp.MustCompile(`(?i)^v?([0-9]+!)?[0-9]+(\.[0-9]+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?` +
		`(-[0-9]+|[-_.]?(post|rev|r)[-_.]?[0-9]*)?([-_.]?dev[-_.]?[0-9]*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?$`)
)

// formOf is the form that the versions of an ecosystem have.
func formOf(ecosystem string) *regexp.Regexp {
	switch family(ecosystem) {
	case "Debian", "Ubuntu":
		return debs
	case "Alpine", "Alpaquita", "BellSoft Hardened Containers", "Chainguard", "MinimOS", "Wolfi":
		return apks
	case "AlmaLinux", "Mageia", "openEuler", "openSUSE", "Red Hat", "Rocky Linux", "SUSE":
		return rpms
	case "Maven":
		return mavens
	case "PyPI":
		return pythons
	case "RubyGems":
		return gems
	case "CRAN", "Hackage":
		return crans
	}
	return numbers
}

// version is one that can be compared with others of its ecosystem.
type version struct {
	ecosystem string
	parsed    semantic.Version
}

// parseVersion reads a version.
func parseVersion(ecosystem, text string) (v version, err error) {
	defer recovered(&err)
	if len(text) > maxVersion || !formOf(ecosystem).MatchString(text) {
		return v, errIncomparable
	}
	parsed, err := semantic.Parse(text, ecosystem)
	if err != nil {
		return v, fmt.Errorf("%w: %w", errIncomparable, err)
	}
	return version{ecosystem, parsed}, nil
}

// compare says how the version stands to another one: it is less than 0 if it comes
// before it.
func (v version) compare(w version) (order int, err error) {
	defer recovered(&err)
	order, err = v.parsed.Compare(w.parsed)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errIncomparable, err)
	}
	return order, nil
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errIncomparable, p)
	}
}

// installed is a version as advisories write it: those of Go's own library have a prefix
// where programs tell of them.
func installed(ecosystem, name, text string) string {
	if ecosystem == "Go" && (name == "stdlib" || name == "toolchain") {
		return strings.TrimPrefix(text, "go")
	}
	return text
}
