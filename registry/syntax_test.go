package registry

import (
	"regexp"
	"strings"
	"testing"
)

var forms = []struct {
	what string
	is   func(string) bool
	form *regexp.Regexp
}{
	{"account", isAccount, regexp.MustCompile(`^[0-9]{12}$`)},
	{"region", isRegion, regexp.MustCompile(`^[0-9a-z-]{2,25}$`)},
	{"tag", isTag, regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)},
	{"name", isPath, regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)},
	{"upload", isUploadID, regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)},
}

func checkForms(t *testing.T, s string) {
	for _, f := range forms {
		if got, want := f.is(s), f.form.MatchString(s); got != want {
			t.Errorf("%q is of the form of a %s: %t, want %t", s, f.what, got, want)
		}
	}
}

func TestForms(t *testing.T) {
	const some = "a0._-/AZ~\n"
	var grow func(s string, n int)
	grow = func(s string, n int) {
		checkForms(t, s)
		for i := range len(some) {
			if n > 0 {
				grow(s+some[i:i+1], n-1)
			}
		}
	}
	grow("", 5)
	for _, s := range []string{
		"123456789012", "12345678901", "1234567890123", "12345678901a", strings.Repeat("a", 25), strings.Repeat("a", 26), strings.Repeat("a", 128),
		strings.Repeat("a", 129), "team/app/a--b.c__d_e", "a___b", "é", "0123abcd-0123-0123-0123-0123456789ab", "0123abcd-0123-0123-0123-0123456789aB",
		"0123abcd0-123-0123-0123-0123456789ab", "0123abcd-0123-0123-0123-0123456789a",
	} {
		checkForms(t, s)
	}
}

func FuzzForms(f *testing.F) {
	f.Add("team/app")
	f.Fuzz(checkForms)
}
