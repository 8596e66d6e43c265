package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// A chart goes in, is found by a range of versions, shown, rendered and got
// back. A "+" in a version is a "_" in its tag, as helm has it.
func TestHelm(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "charts/app")
	logIn(t, s, sh, "helm", "registry", "login", "--plain-http")
	chart := "oci://" + s.Host + "/charts/app"
	for _, version := range []string{"1.0.0", "1.1.0+build.5", "2.0.0"} {
		sh.Run("helm", "push", "--plain-http", packageChart(t, sh, version), "oci://"+s.Host+"/charts")
	}

	if got := sh.Run("helm", "show", "chart", "--plain-http", "--version", "1.0.0", chart); !strings.Contains(got, "version: 1.0.0") {
		t.Errorf("helm show chart printed\n%s", got)
	}
	if got := sh.Run("helm", "show", "values", "--plain-http", "--version", "^1.0.0", chart); !strings.Contains(got, "version 1.1.0+build.5") {
		t.Errorf("helm show values of ^1.0.0 printed\n%s", got)
	}
	if got := sh.Run("helm", "template", "release", "--plain-http", "--set", "greeting=hi", chart); !strings.Contains(got, "greeting: hi from 2.0.0") {
		t.Errorf("helm template of the newest version printed\n%s", got)
	}
	back := t.TempDir()
	sh.Run("helm", "pull", "--plain-http", "--version", "1.1.0+build.5", "--destination", back, chart)
	name := "app-1.1.0+build.5.tgz"
	sameFile(t, filepath.Join(back, name), string(readFile(t, filepath.Join(sh.Home(), name))))
	want := []string{"1.0.0", "1.1.0_build.5", "2.0.0"}
	if got := tagsOf(t, s, "charts/app"); !slices.Equal(got, want) {
		t.Errorf("helm pushed the tags %q, want %q", got, want)
	}
	if said := sh.Refused("helm", "pull", "--plain-http", "--version", "9.9.9", chart); !strings.Contains(said, "not found") {
		t.Errorf("helm pull of a missing version said:\n%s", said)
	}
}

// packageChart packages a chart of one template and returns the archive's path.
func packageChart(t *testing.T, sh *harness.Shell, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	for name, content := range map[string]string{
		"Chart.yaml":            "apiVersion: v2\nname: app\ndescription: says a greeting\nversion: " + version + "\n",
		"values.yaml":           "# version " + version + "\ngreeting: hello\n",
		"templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata:\n  greeting: {{ .Values.greeting }} from {{ .Chart.Version }}\n",
	} {
		makeFile(t, filepath.Join(dir, name), content)
	}
	sh.Run("helm", "package", "--destination", sh.Home(), dir)
	return filepath.Join(sh.Home(), "app-"+version+".tgz")
}
