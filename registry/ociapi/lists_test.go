package ociapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/ociapi"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// tags puts an image under many tags.
func (d *door) tags(repo string, tags ...string) {
	d.t.Helper()
	p := registry.Push{Body: []byte(indexOf(d.t))}
	for _, s := range tags {
		tag, err := registry.ParseTag(s)
		must(d.t, err)
		p.Tags = append(p.Tags, tag)
	}
	_, err := d.service.PutImage(d.ctx(), name(d.t, repo), p)
	must(d.t, err)
}

// tagList is the answer of tags/list.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func (d *door) list(path string) (answer, tagList) {
	d.t.Helper()
	a := d.do("GET", path)
	want(d.t, a, 200, "")
	wantHeader(d.t, a, "Content-Type", "application/json")
	var l tagList
	must(d.t, strictJSON(a.body, &l))
	if l.Tags == nil {
		d.t.Errorf("%s: null for a list: %s", path, a.body)
	}
	return a, l
}

func TestListTags(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/empty")
	d.tags("team/app", "v2", "V1", "10", "9", "latest", "_x")
	all := []string{"10", "9", "V1", "_x", "latest", "v2"} // in byte order
	tests := []struct {
		query string
		want  []string
		next  string // query of the Link
	}{
		{"", all, ""},
		{"?n=6", all, ""},
		{"?n=100", all, ""},
		{"?n=2147483647", all, ""},
		{"?n=007", all, ""},
		{"?n=2", all[:2], "last=9&n=2"},
		{"?n=2&last=9", all[2:4], "last=_x&n=2"},
		{"?n=2&last=_x", all[4:], ""},
		{"?last=_x", all[4:], ""},
		{"?last=a", all[4:], ""}, // need not exist
		{"?last=zzz", []string{}, ""},
		{"?last=", all, ""},
		{"?n=0", []string{}, ""},
		{"?n=0&last=9", []string{}, ""},
		{"?unknown=1&n=1", all[:1], "last=10&n=1"},
	}
	for _, tt := range tests {
		a, got := d.list("/v2/team/app/tags/list" + tt.query)
		if diff := cmp.Diff(tagList{"team/app", tt.want}, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.query, diff)
		}
		link := ""
		if tt.next != "" {
			link = "<" + base + "/v2/team/app/tags/list?" + tt.next + `>; rel="next"`
		}
		wantHeader(t, a, "Link", link)
		head := d.do("HEAD", "/v2/team/app/tags/list"+tt.query)
		want(t, head, 200, "")
		wantHeader(t, head, "Link", link)
	}
	if a, _ := d.list("/v2/team/empty/tags/list"); a.body != `{"name":"team/empty","tags":[]}`+"\n" {
		t.Errorf("empty list %q", a.body)
	}
}

func TestListRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	d.tags("team/app", "1")
	long := strings.Repeat("9", 4000)
	d.unchanged(func() {
		for _, list := range []string{"/v2/team/app/tags/list", "/v2/_catalog"} {
			for _, n := range []string{"-1", "1e18", "1000000000000000000", "2147483648", long, "x", "", "+1", "1.0", "%31%00", "0x1"} {
				want(t, d.do("GET", list+"?n="+n), 400, "PAGINATION_NUMBER_INVALID")
			}
			want(t, d.do("GET", list+"?n=1&n=2"), 400, "UNSUPPORTED")
			want(t, d.do("GET", list+"?last=a&last=b"), 400, "UNSUPPORTED")
			want(t, d.do("GET", list+"?last=a%00b"), 400, "PAGINATION_NUMBER_INVALID")
			want(t, d.do("GET", list+"?last=%zz"), 400, "UNSUPPORTED")
			want(t, d.do("GET", list+"?last="+strings.Repeat("a", 5000)), 200, "")
		}
		want(t, d.do("GET", "/v2/team/none/tags/list"), 404, "NAME_UNKNOWN")
		want(t, d.do("GET", "/v2/team/none/tags/list?n=0"), 404, "NAME_UNKNOWN")
	})
}

// TestLongTagList: without n a list of any length comes whole; with n in pages.
func TestLongTagList(t *testing.T) {
	d := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Tags: 100_000} })
	d.create("team/app")
	const count = 2_500
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf("%05d", i))
	}
	d.tags("team/app", all...)
	if _, got := d.list("/v2/team/app/tags/list"); !slices.Equal(got.Tags, all) {
		t.Errorf("%d tags, want %d", len(got.Tags), count)
	}
	for _, n := range []int{999, 2_499, 100_000} {
		if got := d.follow(fmt.Sprintf("/v2/team/app/tags/list?n=%d", n)); !slices.Equal(got, all) {
			t.Errorf("n=%d: %d tags in pages, want %d", n, len(got), count)
		}
	}
}

// follow reads a list of tags by its Links.
func (d *door) follow(path string) (all []string) {
	d.t.Helper()
	for path != "" {
		a, l := d.list(path)
		all = append(all, l.Tags...)
		path = nextOf(d.t, a)
	}
	return all
}

// nextOf is the path that an answer's Link leads to, "" if it has none.
func nextOf(t testing.TB, a answer) string {
	t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok || !strings.HasPrefix(target, "<") {
		t.Fatalf("Link: %s", link)
	}
	return pathOf(t, target[1:])
}

// failing is an index whose views fail from some time on.
type failing struct {
	storage.Index
	left atomic.Int64
}

func (f *failing) View(ctx context.Context, fn func(storage.Reader) error) error {
	if f.left.Add(-1) < 0 {
		return errors.New("the disk has gone")
	}
	return f.Index.View(ctx, fn)
}

// TestListBreaksOff: a client never takes half a list for a whole one.
func TestListBreaksOff(t *testing.T) {
	index := &failing{Index: memory.NewIndex()}
	index.left.Store(1 << 40)
	d := open(t, func(s *setup) {
		s.registry.Index, s.registry.Limits = index, registry.Limits{Tags: 100_000}
	})
	d.create("team/app")
	var all []string
	for i := range 2_100 {
		all = append(all, fmt.Sprintf("%05d", i))
	}
	d.tags("team/app", all...)
	index.left.Store(3) // for the key and the first two pages
	r, err := http.NewRequest("GET", d.url+"/v2/team/app/tags/list", nil)
	must(t, err)
	r.SetBasicAuth("AWS", d.password)
	if got, err := readAll(r); err == nil {
		t.Errorf("read %d bytes to their end", len(got))
	}
	if !strings.Contains(d.log.String(), "the disk has gone") {
		t.Errorf("log: %s", d.log)
	}
}

type repositoryList struct {
	Repositories []string `json:"repositories"`
}

func TestCatalog(t *testing.T) {
	d := open(t)
	catalog := func(path string) (answer, []string) {
		t.Helper()
		a := d.do("GET", path)
		want(t, a, 200, "")
		var l repositoryList
		must(t, json.Unmarshal([]byte(a.body), &l))
		return a, l.Repositories
	}
	if a, _ := catalog("/v2/_catalog"); a.body != `{"repositories":[]}`+"\n" {
		t.Errorf("empty catalog %q", a.body)
	}
	d.create("team", "team/app", "team-app", "a1", "zz/tags/list")
	elsewhere, err := registry.ParseName(registry.ID{Account: other, Region: region}, "theirs")
	must(t, err)
	_, err = d.service.CreateRepository(d.ctx(), elsewhere, registry.Settings{})
	must(t, err)
	all := []string{"a1", "team", "team-app", "team/app", "zz/tags/list"}
	if _, got := catalog("/v2/_catalog"); !slices.Equal(got, all) {
		t.Errorf("catalog %q, want %q", got, all)
	}
	a, got := catalog("/v2/_catalog?n=2&last=a1")
	if !slices.Equal(got, all[1:3]) || nextOf(t, a) != "/v2/_catalog?last=team-app&n=2" {
		t.Errorf("page %q, next %s", got, nextOf(t, a))
	}
	// By the path that names the registry, as names that can be pulled so.
	prefix := account + "/" + region + "/"
	a, got = catalog("/v2/" + prefix + "_catalog?n=2")
	if !slices.Equal(got, []string{prefix + "a1", prefix + "team"}) {
		t.Errorf("page by path %q", got)
	}
	if _, got = catalog(nextOf(t, a)); !slices.Equal(got, []string{prefix + "team-app", prefix + "team/app"}) {
		t.Errorf("next page by path %q", got)
	}
}

// TestPrefixesOfNames: of two repositories one of whose names begins with the
// other's, each has its own.
func TestPrefixesOfNames(t *testing.T) {
	d := open(t)
	d.create("team", "team/app")
	d.tags("team", "1")
	d.tags("team/app", "2")
	for repo, tag := range map[string]string{"team": "1", "team/app": "2"} {
		if _, got := d.list("/v2/" + repo + "/tags/list"); !slices.Equal(got.Tags, []string{tag}) {
			t.Errorf("%s has %q, want %q", repo, got.Tags, tag)
		}
	}
}

// FuzzQuery: no query makes the door fail, nor leaves a trace where there is
// nothing to do.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"n=1", "n=-1", "n=1e18", "last=1.0", "n=2&last=%00", "n=&last=", "n=1&n=1", "%zz", "a;b", "n=99999999999999999999",
		"artifactType=a%2Fb&artifactType=", "mount=" + someDigest + "&from=team/app", "mount=%2e%2e&from=%2e%2e", "digest=" + someDigest,
		"digest-algorithm=sha512", "digest=sha256:", "from=team%2fapp&mount=" + someDigest,
	} {
		f.Add(q)
	}
	shared := build(f)
	shared.create("team/app")
	shared.tags("team/app", "1", "2", "3")
	before := shared.fingerprint()
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.Parse(base + "/?" + query); err != nil || strings.Contains(query, "#") {
			return
		}
		d := &door{t: t, handler: shared.handler, password: shared.password, index: shared.index, blobs: shared.blobs}
		for _, request := range []string{
			"GET app/tags/list", "GET app/referrers/" + someDigest, "GET app/blobs/uploads/x", "PUT app/blobs/uploads/x",
			"POST none/blobs/uploads/",
		} {
			method, path, _ := strings.Cut(request, " ")
			if a := d.do(method, "/v2/team/"+path+"?"+query); a.status != 200 && a.status != 400 && a.status != 404 {
				t.Errorf("%s: status %d", a.request, a.status)
			}
		}
		if d.fingerprint() != before {
			t.Error("the store has changed")
		}
	})
}

// TestPagesAreBounded: no n makes the door read more than it may hold.
func TestPagesAreBounded(t *testing.T) {
	for n, want := range map[string]int{"1": 1, "10000": 10_000, "10001": 10_000, "2147483647": 10_000} {
		if got := ociapi.PageOf(url.Values{"n": {n}}); got != want {
			t.Errorf("n=%s: %d entries at once, want %d", n, got, want)
		}
	}
}
