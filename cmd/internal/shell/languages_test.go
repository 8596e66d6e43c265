package shell_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/shell"
)

// awkward has in its values what each language could take for its own.
var awkward = shell.Environment{
	Endpoint: "https://localhost:5000", Region: "eu-west-1", KeyID: "AKIA1", Secret: `i't$ 100% \'"` + "`’", CA: "/my data/ca.crt",
}

var set = []string{
	"AWS_PROFILE=work", "AWS_SESSION_TOKEN=old", "AWS_ENDPOINT_URL_STS=https://elsewhere", "AWS_USE_FIPS_ENDPOINT=true", "AWS_REGION=old", "HOME=/",
}

func TestExports(t *testing.T) {
	tests := map[string]string{
		"sh": `export AWS_ENDPOINT_URL=https://localhost:5000
export AWS_REGION=eu-west-1
export AWS_DEFAULT_REGION=eu-west-1
export AWS_ACCESS_KEY_ID=AKIA1
export AWS_SECRET_ACCESS_KEY='i'\''t$ 100% \'\''"` + "`’" + `'
export AWS_CA_BUNDLE='/my data/ca.crt'
unset AWS_PROFILE
unset AWS_SESSION_TOKEN
unset AWS_ENDPOINT_URL_STS
unset AWS_USE_FIPS_ENDPOINT
`,
		"fish": `set -gx AWS_ENDPOINT_URL https://localhost:5000
set -gx AWS_REGION eu-west-1
set -gx AWS_DEFAULT_REGION eu-west-1
set -gx AWS_ACCESS_KEY_ID AKIA1
set -gx AWS_SECRET_ACCESS_KEY 'i\'t$ 100% \\\'"` + "`’" + `'
set -gx AWS_CA_BUNDLE '/my data/ca.crt'
set -e AWS_PROFILE
set -e AWS_SESSION_TOKEN
set -e AWS_ENDPOINT_URL_STS
set -e AWS_USE_FIPS_ENDPOINT
`,
		"powershell": `$env:AWS_ENDPOINT_URL = 'https://localhost:5000'
$env:AWS_REGION = 'eu-west-1'
$env:AWS_DEFAULT_REGION = 'eu-west-1'
$env:AWS_ACCESS_KEY_ID = 'AKIA1'
$env:AWS_SECRET_ACCESS_KEY = 'i''t$ 100% \''"` + "`’’" + `'
$env:AWS_CA_BUNDLE = '/my data/ca.crt'
Remove-Item -Path Env:AWS_PROFILE -ErrorAction Ignore
Remove-Item -Path Env:AWS_SESSION_TOKEN -ErrorAction Ignore
Remove-Item -Path Env:AWS_ENDPOINT_URL_STS -ErrorAction Ignore
Remove-Item -Path Env:AWS_USE_FIPS_ENDPOINT -ErrorAction Ignore
`,
		"github": `AWS_ENDPOINT_URL=https://localhost:5000
AWS_REGION=eu-west-1
AWS_DEFAULT_REGION=eu-west-1
AWS_ACCESS_KEY_ID=AKIA1
AWS_SECRET_ACCESS_KEY=i't$ 100% \'"` + "`’" + `
AWS_CA_BUNDLE=/my data/ca.crt
AWS_SESSION_TOKEN=
AWS_ENDPOINT_URL_STS=https://localhost:5000
AWS_USE_FIPS_ENDPOINT=false
`,
	}
	for _, name := range shell.Names() {
		if diff := cmp.Diff(tests[name], language(t, name).Exports(awkward, set)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNowhere(t *testing.T) {
	tests := map[string]string{
		"bash":       "export AWS_ENDPOINT_URL=http://berth-was-not-found.invalid\nfalse\n",
		"fish":       "set -gx AWS_ENDPOINT_URL http://berth-was-not-found.invalid\nfalse\n",
		"pwsh":       "$env:AWS_ENDPOINT_URL = 'http://berth-was-not-found.invalid'\nWrite-Error 'berth: no server was found'\n",
		"github":     "AWS_ENDPOINT_URL=http://berth-was-not-found.invalid\n",
		"powershell": "$env:AWS_ENDPOINT_URL = 'http://berth-was-not-found.invalid'\nWrite-Error 'berth: no server was found'\n",
	}
	for name, want := range tests {
		if got := language(t, name).Nowhere(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEveryShellHasTheFunction(t *testing.T) {
	for _, name := range shell.Names() {
		if has := language(t, name).Function != ""; has == (name == "github") {
			t.Errorf("%s has a function: %v", name, has)
		}
	}
	if _, ok := shell.Named("csh"); ok {
		t.Error("csh is known")
	}
}

func TestGitHubValueOfSeveralLines(t *testing.T) {
	e := shell.Environment{Region: "one\nEND\nEND_"}
	want := "AWS_ENDPOINT_URL=\nAWS_REGION<<END__\none\nEND\nEND_\nEND__\n"
	if got := language(t, "github").Exports(e, nil)[:len(want)]; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRemarksOnGitHub(t *testing.T) {
	tests := []struct {
		secret  string
		environ []string
		want    string
	}{
		{"secret", nil, "::add-mask::secret\n"},
		{"100%\nsure", []string{"AWS_SESSION_TOKEN=x"}, "::add-mask::100%25\n::add-mask::sure\n"},
		{"s", []string{"AWS_PROFILE=work"}, "::add-mask::s\n::warning::AWS_PROFILE is set, and one step cannot take it out for the next: let no step after this one have it\n"},
	}
	for _, tt := range tests {
		if got := language(t, "github").Remarks(shell.Environment{Secret: tt.secret}, tt.environ); got != tt.want {
			t.Errorf("remarks of %q with %v: %q, want %q", tt.secret, tt.environ, got, tt.want)
		}
	}
}
