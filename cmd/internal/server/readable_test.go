package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadableSecretsAreWarnedOf(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o604: true, 0o640: false, 0o600: false} {
		name := filepath.Join(t.TempDir(), "identities.yml")
		if err := os.WriteFile(name, []byte("accounts: {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		h := newHouse(t, map[string]string{"identities": name, "data": ":memory:"})
		if got := strings.Contains(h.log.String(), "others on this machine may read a file with secrets"); got != want {
			t.Errorf("mode %o: warned %t", mode, got)
		}
	}
}
