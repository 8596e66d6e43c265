package shell_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/shell"
)

// run has sh run a script in an environment and returns what it printed.
func run(t testing.TB, script string, env ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sh: %v: %s", err, out)
	}
	return string(out)
}

func TestQuoteMeansItself(t *testing.T) {
	for _, text := range []string{
		"", "a", "http://localhost:5000", "/data/my folder", "it's", "''", `"$(rm -rf x)"`, "`id`", `\`, "a\nb", "$HOME", "*", "~", "-n", "ü", "a;b&c|d<e>f",
	} {
		if got := run(t, "printf %s "+shell.Quote(text)); got != text {
			t.Errorf("Quote(%q) = %s, which the shell reads as %q", text, shell.Quote(text), got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("it's")
	f.Add("$(x) `y` \\")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") {
			return // no argument can hold it
		}
		if got := run(t, "printf %s "+shell.Quote(text)); got != text {
			t.Errorf("Quote(%q) is read as %q", text, got)
		}
	})
}

// language is one that is known.
func language(t testing.TB, name string) shell.Language {
	t.Helper()
	l, ok := shell.Named(name)
	if !ok {
		t.Fatalf("%s is not known", name)
	}
	return l
}

func TestExportsInSh(t *testing.T) {
	e := shell.Environment{Endpoint: "http://localhost:5000", Region: "eu-west-1", KeyID: "AKIA1", Secret: "it's $ecret"}
	environ := []string{
		"AWS_PROFILE=work", "AWS_SESSION_TOKEN=old", "AWS_ENDPOINT_URL_ECR=https://elsewhere", "AWS_ENDPOINT_URL=https://elsewhere",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_ACCESS_KEY_ID=old", "AWS_CA_BUNDLE=/ca", "PATH=" + os.Getenv("PATH"),
	}
	const show = "\nenv | grep ^AWS_ | sort"
	sh := language(t, "sh")
	out := run(t, sh.Exports(e, environ)+show, environ...)
	want := []string{
		"AWS_ACCESS_KEY_ID=AKIA1", "AWS_CA_BUNDLE=/ca", "AWS_DEFAULT_REGION=eu-west-1",
		"AWS_ENDPOINT_URL=http://localhost:5000", "AWS_REGION=eu-west-1", "AWS_SECRET_ACCESS_KEY=it's $ecret",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out), "\n")); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if out := sh.Exports(e, nil); strings.Contains(out, "unset") {
		t.Errorf("something is unset that is not set:\n%s", out)
	}
	e.CA = "/my data/ca.crt"
	if out := run(t, sh.Exports(e, environ)+show, environ...); !strings.Contains(out, "AWS_CA_BUNDLE=/my data/ca.crt\n") {
		t.Errorf("AWS_CA_BUNDLE is not the server's certificate:\n%s", out)
	}
}

func TestAWSFunctionGivesTheEndpoint(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\necho \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	got := run(t, language(t, "sh").Function+`aws ecr describe-images --repository-name "a b"`, "PATH="+dir+":"+os.Getenv("PATH"), "AWS_ENDPOINT_URL=http://localhost:1")
	if want := "--endpoint-url http://localhost:1 ecr describe-images --repository-name a b\n"; got != want {
		t.Errorf("aws was called with %q, want %q", got, want)
	}
}

func TestKnowsEndpointURL(t *testing.T) {
	tests := map[string]bool{
		"aws-cli/1.28.85 Python/3.11.2 Linux/6.1.0 botocore/1.31.85": false,
		"aws-cli/1.29.0 Python/3.11.2":                               true,
		"aws-cli/1.45.11 Python/3.11.7":                              true,
		"aws-cli/2.9.19 Python/3.11.2 Linux/6.1.0 source/x86_64":     false,
		"aws-cli/2.12.7 Python/3.11.4":                               false,
		"aws-cli/2.13.0 Python/3.11.4":                               true,
		"aws-cli/3.0.0 Python/3.14":                                  true,
		"aws-cli/0.40.0":                                             false,
		"":                                                           false,
		"something else 2.13.0":                                      false,
	}
	for version, want := range tests {
		if got := shell.KnowsEndpointURL(version); got != want {
			t.Errorf("KnowsEndpointURL(%q) = %v, want %v", version, got, want)
		}
	}
}
