package interop_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

func TestCrane(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	repo, other := s.Host+"/team/app", s.Host+"/team/copy"
	logIn(t, s, sh, "crane", "auth", "login")

	a, b := ociImage(t, 20), ociImage(t, 21)
	layout := harness.WriteLayout(t, harness.NewIndex(t, a, b), slices.Concat(a.Whole(), b.Whole())...)
	sh.Run("crane", "push", "--index", layout, repo+":outer")
	inner := sh.Run("crane", "digest", "--platform", "linux/arm64", repo+":outer")
	if want := b.Digest().String(); inner != want {
		t.Errorf("crane digest --platform linux/arm64: %s, want %s", inner, want)
	}
	sh.Run("crane", "copy", repo+"@"+inner, repo+":arm")
	sh.Run("crane", "copy", repo+":outer", other+":outer")
	if from, to := sh.Run("crane", "digest", repo+":outer"), sh.Run("crane", "digest", other+":outer"); from != to {
		t.Errorf("crane copy made %s of %s", to, from)
	}
	if got := lines(sh.Run("crane", "ls", repo)); !slices.Equal(got, []string{"arm", "outer"}) {
		t.Errorf("crane ls: %q", got)
	}
	if got := lines(sh.Run("crane", "catalog", s.Host)); !slices.Equal(got, []string{"team/app", "team/copy"}) {
		t.Errorf("crane catalog: %q", got)
	}

	back := t.TempDir()
	sh.Run("crane", "pull", "--format", "oci", repo+":outer", back)
	for _, name := range blobNames(t, layout) {
		if !slices.Contains(blobNames(t, back), name) {
			t.Errorf("crane pull left out %s", name)
		}
	}
	sh.Run("crane", "delete", repo+"@"+sh.Run("crane", "digest", repo+":outer"))
	if said := sh.Refused("crane", "manifest", repo+":outer"); !strings.Contains(said, "MANIFEST_UNKNOWN") {
		t.Errorf("crane manifest after the delete said:\n%s", said)
	}
}

// crane pushes to the path of another account's registry as to any other.
func TestCraneOtherAccount(t *testing.T) {
	s := harness.Start(t)
	const account = "123456789012"
	key := s.CreateKey(t, account)
	createRepository(t, s.Client(key), "team/app")
	sh := s.Shell(t)
	sh.RunInput(strings.NewReader(s.PasswordOf(t, key)), "crane", "auth", "login", "-u", "AWS", "--password-stdin", s.Host)
	image := ociImage(t, 22)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	sh.Run("crane", "push", "--index", layout, s.Host+"/"+account+"/us-east-1/team/app:1.0")
	for _, repo := range []string{s.Host + "/team/app", s.Host + "/" + account + "/us-east-1/team/app"} {
		if got := lines(sh.Run("crane", "ls", repo)); !slices.Equal(got, []string{"1.0"}) {
			t.Errorf("crane ls %s with a password of account %s: %q", repo, account, got)
		}
	}
	if _, err := s.OCI(t).Manifest(t.Context(), "team/app", "1.0"); !harness.IsStatus(err, 404) {
		t.Errorf("the server's own registry answers for another's image: %v", err)
	}
}

// lines splits what a program printed.
func lines(out string) []string { return strings.Split(out, "\n") }
