// Package shell writes what a shell is to evaluate, in the languages of several:
// how a program of AWS finds a server here, and nobody else.
package shell

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Environment is what a program of AWS is told by variables.
type Environment struct {
	Endpoint, Region, KeyID, Secret string
	CA                              string // file with the certificate that vouches for the server; "" for none
}

// variable is a name and its value.
type variable struct{ name, value string }

func (e Environment) variables() []variable {
	all := []variable{
		{"AWS_ENDPOINT_URL", e.Endpoint}, {"AWS_REGION", e.Region}, {"AWS_DEFAULT_REGION", e.Region},
		{"AWS_ACCESS_KEY_ID", e.KeyID}, {"AWS_SECRET_ACCESS_KEY", e.Secret},
	}
	if e.CA != "" {
		all = append(all, variable{"AWS_CA_BUNDLE", e.CA})
	}
	return all
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

// mislead are those of the misleading variables that are set in an environment
// (as os.Environ gives it).
func mislead(environ []string) []string {
	var set []string
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(misleading, name) {
			set = append(set, name)
		}
	}
	return set
}

// Nowhere is the endpoint where no server can be found. A script that goes on
// all the same finds nobody, rather than Amazon.
const Nowhere = "http://berth-was-not-found.invalid"

// Language is how a shell, or what stands for one, is told of variables.
type Language struct {
	// Function is code for a shell function that gives every call of aws the
	// endpoint, for a version that does not know AWS_ENDPOINT_URL; "" where a
	// language has no such thing.
	Function string

	set   func(name, value string) string
	unset func(name, endpoint string) string
	fail  string // makes what evaluates it fail
	// remarks are for the standard error, beside Exports; nil for none.
	remarks func(e Environment, environ []string) string
}

// languages by the name of the shell.
var languages = map[string]Language{
	"sh": posix, "bash": posix, "zsh": posix, "fish": fish, "powershell": powershell, "pwsh": powershell,
	"github": github, "github-actions": github,
}

// Names are the names that Named knows, one for each language.
func Names() []string { return []string{"sh", "fish", "powershell", "github"} }

// Named is the language of a shell. Beside Names it knows some others that
// speak one of those.
func Named(shell string) (Language, bool) {
	l, ok := languages[shell]
	return l, ok
}

// Exports is the code that sets the environment, and takes out of the present
// one (as os.Environ gives it) what would mislead.
func (l Language) Exports(e Environment, environ []string) string {
	var b strings.Builder
	for _, v := range e.variables() {
		b.WriteString(l.set(v.name, v.value))
	}
	for _, name := range mislead(environ) {
		b.WriteString(l.unset(name, e.Endpoint))
	}
	return b.String()
}

// Remarks are what has to be said on the standard error beside what Exports gives
// for the standard output; "" if that is nothing.
func (l Language) Remarks(e Environment, environ []string) string {
	if l.remarks == nil {
		return ""
	}
	return l.remarks(e, environ)
}

// Nowhere is the code for a server that cannot be found. Who evaluates it sees
// it fail, where a shell can.
func (l Language) Nowhere() string { return l.set("AWS_ENDPOINT_URL", Nowhere) + l.fail }

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

// posix is what sh, bash and zsh evaluate.
var posix = Language{
	// In bash the function is there for scripts too.
	Function: `aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
if [ -n "${BASH_VERSION:-}" ]; then export -f aws; fi
`,
	set:   func(name, value string) string { return fmt.Sprintf("export %s=%s\n", name, Quote(value)) },
	unset: func(name, _ string) string { return "unset " + name + "\n" },
	fail:  "false\n",
}

// Quote writes text as one word of a POSIX shell, which means itself.
func Quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)
