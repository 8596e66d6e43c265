// Package shell writes what a POSIX shell is to evaluate: how a program of AWS
// finds a server here, and nobody else.
package shell

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Quote writes text as one word of a POSIX shell, which means itself.
func Quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Environment is what a program of AWS is told by variables.
type Environment struct {
	Endpoint, Region, KeyID, Secret string
}

// misleading are the variables that would lead a program of AWS elsewhere, or
// have it use other credentials, whatever else is set: a session that belongs
// to another key, profiles, endpoints of single services, which win over
// AWS_ENDPOINT_URL, and settings that forbid one.
var misleading = []string{
	"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
	"AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
}

// Exports are the lines that set the environment, and take out of the present
// one (as os.Environ gives it) what would mislead.
func (e Environment) Exports(environ []string) string {
	var b strings.Builder
	for _, v := range []struct{ name, value string }{
		{"AWS_ENDPOINT_URL", e.Endpoint}, {"AWS_REGION", e.Region}, {"AWS_DEFAULT_REGION", e.Region},
		{"AWS_ACCESS_KEY_ID", e.KeyID}, {"AWS_SECRET_ACCESS_KEY", e.Secret},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, Quote(v.value))
	}
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(misleading, name) {
			fmt.Fprintf(&b, "unset %s\n", name)
		}
	}
	return b.String()
}

// Nowhere is for a server that cannot be found. Who evaluates it sees it fail;
// a script that goes on all the same finds nobody, rather than Amazon.
const Nowhere = "export AWS_ENDPOINT_URL=http://berth-was-not-found.invalid\nfalse\n"

// AWSFunction is a shell function that gives every call of aws the endpoint,
// for a version that does not know AWS_ENDPOINT_URL. In bash it is there for
// scripts too.
const AWSFunction = `aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
if [ -n "${BASH_VERSION:-}" ]; then export -f aws; fi
`

var cliVersion = regexp.MustCompile(`^aws-cli/([0-9]{1,6})\.([0-9]{1,6})\.`)

// KnowsEndpointURL says whether the AWS CLI heeds AWS_ENDPOINT_URL, by what
// `aws --version` prints: 1.29 and 2.13 are the first that do. What cannot be
// read counts as too old, since a call that reaches Amazon is the worse end.
func KnowsEndpointURL(version string) bool {
	m := cliVersion.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1]) // at most six digits
	minor, _ := strconv.Atoi(m[2])
	switch major {
	case 0:
		return false
	case 1:
		return minor >= 29
	case 2:
		return minor >= 13
	}
	return true
}
