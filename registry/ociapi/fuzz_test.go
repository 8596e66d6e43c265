package ociapi_test

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// compats are both ways of a door.
var compats = []ociapi.Compat{ociapi.OCI, ociapi.ECR}

// FuzzListQuery: a page has no more entries than may be held, and what is taken
// for n and last is what the query has.
func FuzzListQuery(f *testing.F) {
	for _, q := range []string{
		"", "n=0", "n=1", "n=100&last=1.0", "n=1000", "n=1001", "n=-1", "n=+1", "n=2147483647", "n=2147483648", "n=1e3", "n=%31",
		"n=18446744073709551617", "n=&last=", "last=AWE", "last=%01a", "last=a&last=b", "n=1&n=1", "last=a%2Fb", "last=", "N=1",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		for _, c := range compats {
			n, last, ok := ociapi.Asked(c, q)
			if !ok {
				continue
			}
			checkPage(t, c, q, n)
			if want := ociapi.Place(c, last); q.Get("last") != want && q.Has("last") {
				t.Errorf("%s: last of %q is read as %q", c, query, last)
			}
			if !q.Has("last") && last != "" {
				t.Errorf("%s: a list begins behind %q", c, last)
			}
		}
	})
}

// checkPage holds the n that was read against the query that has it.
func checkPage(t *testing.T, c ociapi.Compat, q url.Values, n int) {
	t.Helper()
	if n < -1 || len(q["n"]) > 1 || len(q["last"]) > 1 {
		t.Errorf("%s: %v: a page of %d", c, q, n)
	}
	if given := strings.TrimLeft(q.Get("n"), "0"); q.Has("n") && n != 0 && given != digitsOf(n) {
		t.Errorf("%s: n=%s is read as %d", c, q.Get("n"), n)
	}
	if c == ociapi.ECR && (n < 1 || n > 1000) {
		t.Errorf("%s: %v: a page of %d", c, q, n)
	}
	if c == ociapi.OCI && !q.Has("n") != (n == -1) {
		t.Errorf("%s: %v: a page of %d", c, q, n)
	}
}

func digitsOf(n int) (s string) {
	for ; n > 0; n /= 10 {
		s = string(rune('0'+n%10)) + s
	}
	return s
}

// FuzzPlace: where a list goes on is where its page ended, whatever the entry,
// and nothing but a token from a Link is taken for one in ecr mode.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"", "a", "1.0", "team/app", "AWE", "AWE=", "AWE\n", "AQ", "\x01a", "_-", "QQ", "AWF", "\xff", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range compats {
			if got, ok := ociapi.ReadPlace(c, ociapi.Place(c, s)); !ok || got != s {
				t.Errorf("%s: the place of %q is read as %q, %v", c, s, got, ok)
			}
			if entry, ok := ociapi.ReadPlace(c, s); ok && ociapi.Place(c, entry) != s {
				t.Errorf("%s: %q is read as %q, whose place is %q", c, s, entry, ociapi.Place(c, entry))
			}
		}
		if place := ociapi.Place(ociapi.ECR, s); strings.Trim(place, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("the place of %q has to be escaped: %q", s, place)
		}
	})
}

// FuzzConditions: lists of entity tags name the content's own only if they have
// it, in one header or in several.
func FuzzConditions(f *testing.F) {
	d := sha256Of("content")
	own := `"` + d.String() + `"`
	for _, list := range []string{
		"", "*", own, "W/" + own, `"a", ` + own, `"a,` + d.String() + `"`, d.String(), `"` + d.String(), own + own, ",,,", "W/", `W/*`, `"*"`,
		`"a" , W/` + own + ` , "b"`, "w/" + own, "W/W/" + own, "\t" + own + " ", `"` + sha512Of("content").String() + `"`,
	} {
		f.Add(list, "")
		f.Add(`"b"`, list)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		headers := []string{first, second}
		weak, strong := ociapi.Names(headers, d, true), ociapi.Names(headers, d, false)
		if strong && !weak {
			t.Errorf("%q names the content strongly, and not weakly", headers)
		}
		all := first + "," + second
		if weak && !strings.Contains(all, own) && !strings.Contains(all, "*") {
			t.Errorf("%q is said to name %s", headers, own)
		}
		// RFC 9110, section 5.3: several headers are one list.
		if ociapi.Names([]string{all}, d, true) != weak || ociapi.Names([]string{all}, d, false) != strong {
			t.Errorf("%q is another list in two headers", all)
		}
		if !ociapi.Names([]string{all + ", " + own}, d, false) || !ociapi.Names([]string{"W/" + own + ", " + all}, d, true) {
			t.Errorf("%q beside it hides %s", all, own)
		}
	})
}

var tagForm = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// FuzzReference: a reference is a tag or a digest, as it stands there, and
// never both.
func FuzzReference(f *testing.F) {
	sha512 := sha512Of("").String()
	for _, ref := range []string{
		"latest", "1.0", "_", ".a", "-a", "a@b", "a@" + someDigest, "@" + someDigest, someDigest, sha512, "sha512:" + sha512[7:71], "a:b", ":", "@", "",
		"a@b@" + someDigest, strings.Repeat("a", 128), strings.Repeat("a", 129), "a%3Ab", "a\n", "sha256:" + strings.Repeat("A", 64), "é", "a/b",
	} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		tag, dig, ok := ociapi.Reference(ref)
		_, after, both := strings.Cut(ref, "@")
		switch {
		case !ok && (tag != "" || dig != ""):
			t.Errorf("%q is refused, and is %q %q", ref, tag, dig)
		case !ok && tagForm.MatchString(ref):
			t.Errorf("the tag %q is refused", ref)
		case ok && tag != "" && (tag != ref || dig != "" || !tagForm.MatchString(tag)):
			t.Errorf("%q is the tag %q and the digest %q", ref, tag, dig)
		case ok && tag == "" && !(dig == ref || both && dig == after):
			t.Errorf("%q is the digest %q", ref, dig)
		}
		if _, err := digest.Parse(dig); ok && tag == "" && err != nil {
			t.Errorf("%q is the digest %q: %v", ref, dig, err)
		}
	})
}

// FuzzNamespaceQuery: whatever registry a mirror's client asks for, it gets
// ours or a 404 to go on with, and never another account's.
func FuzzNamespaceQuery(f *testing.F) {
	for _, ns := range []string{
		"", "docker.io", "localhost:5000", "LOCALHOST", "127.0.0.1:5000", "[::1]:5000", account + ".dkr.ecr." + region + ".amazonaws.com",
		other + ".dkr.ecr." + region + ".amazonaws.com", account + ".dkr.ecr.us-west-2.amazonaws.com", account + ".dkr-ecr." + region + ".on.aws",
		"http://localhost", "localhost/", "a b", "a\r\nX-Evil: 1", "%", "localhost:99999", ".", account + ".dkr.ecr." + region + ".localhost",
	} {
		f.Add(ns)
	}
	doors := map[ociapi.Compat]*door{}
	for _, c := range compats {
		doors[c] = build(f, func(o *setup) { o.compat = c })
		doors[c].create("app")
		doors[c].tags("app", "1", "2")
	}
	f.Fuzz(func(t *testing.T, ns string) {
		for c, shared := range doors {
			d := &door{t: t, handler: shared.handler, password: shared.password}
			a := d.do("GET", "/v2/app/tags/list?n=1&ns="+url.QueryEscape(ns))
			if !slices.Contains([]int{200, 401, 403, 404}, a.status) && !(c == ociapi.ECR && a.status == 400) {
				t.Errorf("%s: ns %q is answered %d %.200s", c, ns, a.status, a.body)
			}
			if a.status == 200 && !strings.Contains(a.body, `"tags":["1"]`) {
				t.Errorf("%s: ns %q leads to %s", c, ns, a.body)
			}
			checkLines(t, a)
		}
	})
}

// checkLines: no header is two.
func checkLines(t testing.TB, a answer) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(a.header)) {
		for _, value := range a.header[key] {
			if strings.ContainsAny(key+value, "\r\n\x00") {
				t.Errorf("%s: the header %q is %q", a.request, key, value)
			}
		}
	}
}
