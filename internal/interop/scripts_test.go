package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Amazon's SDK for Python, by a program that asserts as it goes.
func TestBoto3(t *testing.T) {
	sh := environShell(t)
	if got := sh.Run("python3", script(t, "ecr.py")); !strings.Contains(got, "all is well") {
		t.Errorf("ecr.py printed\n%s", got)
	}
}

// Amazon's SDK for JavaScript, likewise.
func TestJavaScript(t *testing.T) {
	sh := environShell(t)
	sh.Set("ECR_MODULES", modulesFolder(t))
	if got := sh.Run("node", script(t, "ecr.mjs")); !strings.Contains(got, "all is well") {
		t.Errorf("ecr.mjs printed\n%s", got)
	}
}

// environShell is a shell of a new server that has evaluated `berth env`.
func environShell(t *testing.T, flags ...string) *harness.Shell {
	t.Helper()
	s := harness.Start(t, flags...)
	sh := s.Shell(t)
	for name, value := range s.Env(t) {
		sh.Set(name, value)
	}
	return sh
}

func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// modulesFolder is where the SDK for JavaScript was installed, among the built
// clients on the PATH. It ends in a slash, or it would be taken for a file.
func modulesFolder(t *testing.T) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		dir, err := filepath.Abs(filepath.Join(dir, "javascript"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
			return dir + "/"
		}
	}
	t.Fatal("Amazon's SDK for JavaScript is not installed; run `make clients`")
	return ""
}
