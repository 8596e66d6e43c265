package shell

import (
	"fmt"
	"strings"
)

// github is what a step of GitHub Actions appends to the file $GITHUB_ENV, for
// the steps after it. There is nothing that takes a variable out or makes a
// step fail.
var github = Language{set: setOnGitHub, unset: unmislead, remarks: remarksOnGitHub}

// setOnGitHub is a line of the file; a value of several lines stands between
// two of a word that is none of its own (GitHub Actions: workflow commands,
// environment files).
func setOnGitHub(name, value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return name + "=" + value + "\n"
	}
	end := "END"
	for strings.Contains(value, end) {
		end += "_"
	}
	return fmt.Sprintf("%s<<%s\n%s\n%s\n", name, end, value, end)
}

// unmislead gives a misleading variable, which cannot be taken out, a value that
// does no harm. A profile's name has none: an empty one is an error to some
// tools, and a profile that exists loses to the key beside it. remarksOnGitHub warns.
func unmislead(name, endpoint string) string {
	switch name {
	case "AWS_PROFILE", "AWS_DEFAULT_PROFILE":
		return ""
	case "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS":
		return setOnGitHub(name, endpoint)
	case "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT":
		return setOnGitHub(name, "false")
	}
	return setOnGitHub(name, "")
}

// remarksOnGitHub are the commands to GitHub's runner that go with Exports: to show
// the secret in no log, and to warn of what stays in the present environment.
// The runner reads them from what a step prints, on either output, so they
// must not be on the one that is appended to $GITHUB_ENV.
func remarksOnGitHub(e Environment, environ []string) string {
	var b strings.Builder
	for line := range strings.Lines(e.Secret) { // a mask is of one line
		fmt.Fprintf(&b, "::add-mask::%s\n", commandData(strings.TrimRight(line, "\r\n")))
	}
	for _, name := range mislead(environ) {
		if unmislead(name, e.Endpoint) == "" {
			fmt.Fprintf(&b, "::warning::%s is set, and one step cannot take it out for the next: let no step after this one have it\n", name)
		}
	}
	return b.String()
}

// commandData writes text as the runner reads it back.
func commandData(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}
