package credentials_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/credentials"
)

// Names that nobody can have are refused like those that nobody has.
func TestOddNames(t *testing.T) {
	f := setUp(t)
	f.Verifier = f.verifier(t, func(o *credentials.Options) { o.Home = account })
	f.SetForms(allForms)
	f.alice(t)
	for _, name := range []string{
		"", "/", "//", "\x00", "a\x00b", account + "/", account + "/\x00", account + "/alice/", "/alice", "x/alice", account + "//alice",
		"\xff\xfe", strings.Repeat("x", 100_000), "AKIA", "AKIA\x00AAAAAAAAAAAAAAA", "AKIA" + strings.Repeat("/", 16), "BRBT", "BRBT\x00",
		"BRBT" + strings.Repeat("x", 5000), "ALICE", "alice ", "arn:aws:iam::" + account + ":user/alice", "aws", "root", account + "/root", account,
	} {
		for _, password := range []string{"", "correct horse\x00\xff"} {
			if p, err := f.Basic(t.Context(), name, password); !errors.Is(err, credentials.ErrBadPassword) || !p.IsZero() {
				t.Errorf("%.30q with %.20q: %+v, %v", name, password, p, err)
			}
		}
	}
}
