package vulndb

import (
	"regexp"
	"strings"
)

// family is an ecosystem without its release.
func family(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	return name
}

var runs = regexp.MustCompile(`[-_.]+`)

// normalise is the name of a package as all its spellings have it: PyPI's names by
// PEP 503, those of NuGet and Packagist without regard to case. Others mean what they
// say; Maven's are "group:artifact".
func normalise(ecosystem, name string) string {
	switch family(ecosystem) {
	case "PyPI":
		return strings.ToLower(runs.ReplaceAllString(name, "-"))
	case "NuGet", "Packagist":
		return strings.ToLower(name)
	}
	return name
}
