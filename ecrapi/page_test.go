package ecrapi_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

// pages goes through a list to its end and returns what the member list holds
// on each page.
func (b *bench) pages(op string, in obj, list string) (pages []arr) {
	b.Helper()
	for in := in; ; {
		out := b.call(op, in)
		pages = append(pages, out[list].(arr))
		token, more := out["nextToken"]
		if !more {
			return pages
		}
		in = merge(in, obj{"nextToken": token})
	}
}

func sizes(pages []arr) (n []int) {
	for _, p := range pages {
		n = append(n, len(p))
	}
	return n
}

// TestLists goes through each list in pages of several sizes and wants what one
// page has.
func TestLists(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "subject", "again")
	for i := range 6 {
		b.repository(fmt.Sprint("other", i))
		b.push("app", b.manifest("{}", "layer", obj{"subject": descriptor(ociManifest, m), "annotations": obj{"n": fmt.Sprint(i)}}))
	}
	tests := []struct {
		op   string
		in   obj
		list string
		all  int
	}{
		{"DescribeRepositories", obj{}, "repositories", 7},
		{"DescribeImages", obj{"repositoryName": "app"}, "imageDetails", 7},
		{"DescribeImages", obj{"repositoryName": "app", "filter": obj{"tagStatus": "UNTAGGED"}}, "imageDetails", 6},
		{"ListImages", obj{"repositoryName": "app"}, "imageIds", 8},
		{"ListImages", obj{"repositoryName": "app", "filter": obj{"tagStatus": "TAGGED"}}, "imageIds", 2},
		{"ListImageReferrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum(m)}}, "referrers", 6},
	}
	for _, tt := range tests {
		whole := b.pages(tt.op, tt.in, tt.list)
		if len(whole) != 1 || len(whole[0]) != tt.all {
			t.Errorf("%s %v: pages of %v, want one of %d", tt.op, tt.in, sizes(whole), tt.all)
		}
		for _, size := range []int{1, 2, 3, tt.all, 50} {
			var got arr
			for _, p := range b.pages(tt.op, merge(tt.in, obj{"maxResults": size}), tt.list) {
				if len(p) > size {
					t.Errorf("%s: a page of %d, want at most %d", tt.op, len(p), size)
				}
				got = append(got, p...)
			}
			b.same(fmt.Sprintf("%s by %d", tt.op, size), got, whole[0])
		}
	}
}

func TestPagesHaveStandardSizes(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "1")
	for i := range 105 {
		b.repository(fmt.Sprintf("other%03d", i))
		b.push("app", b.manifest("{}", "layer", obj{"subject": descriptor(ociManifest, m), "annotations": obj{"n": fmt.Sprint(i)}}))
	}
	tests := []struct {
		op, list string
		in       obj
		want     []int
	}{
		{"DescribeRepositories", "repositories", obj{}, []int{100, 6}},
		{"DescribeRepositories", "repositories", obj{"maxResults": 1000}, []int{106}},
		{"DescribeImages", "imageDetails", obj{"repositoryName": "app"}, []int{100, 6}},
		{"ListImages", "imageIds", obj{"repositoryName": "app"}, []int{100, 6}},
		{"ListImages", "imageIds", obj{"repositoryName": "app", "maxResults": 1000}, []int{106}},
		{"ListImageReferrers", "referrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum(m)}}, []int{20, 20, 20, 20, 20, 5}},
		{"ListImageReferrers", "referrers", obj{"repositoryName": "app", "maxResults": 50, "subjectId": obj{"imageDigest": sum(m)}}, []int{50, 50, 5}},
	}
	for _, tt := range tests {
		b.same(tt.op, sizes(b.pages(tt.op, tt.in, tt.list)), tt.want)
	}
}

// TestListsGoOnWhileOthersWrite: what comes and goes elsewhere does not make
// a list skip or repeat what was there all the time.
func TestListsGoOnWhileOthersWrite(t *testing.T) {
	b := open(t)
	for _, name := range []string{"bb", "dd", "ff", "hh"} {
		b.repository(name)
	}
	first := b.call("DescribeRepositories", obj{"maxResults": 2})
	b.call("DeleteRepository", obj{"repositoryName": "dd"}) // where the list stands
	b.repository("aa")
	b.repository("gg")
	var names arr
	for _, r := range b.call("DescribeRepositories", obj{"maxResults": 100, "nextToken": first["nextToken"]})["repositories"].(arr) {
		names = append(names, r.(obj)["repositoryName"])
	}
	b.same("the rest", names, arr{"ff", "gg", "hh"})
}

func TestTokensAreGoodForTheirListAlone(t *testing.T) {
	store := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	b := open(t, func(s *setup) { s.registry = store })
	for _, name := range []string{"app", "bee"} {
		b.repository(name)
		b.image(name, "one", "1")
		b.image(name, "two", "2")
	}
	list := obj{"repositoryName": "app", "maxResults": 1}
	token := b.call("ListImages", list)["nextToken"].(string)
	b.call("ListImages", merge(list, obj{"nextToken": token, "maxResults": 2}))
	refused := func(op string, in obj) {
		b.Helper()
		b.invalid(op, in, "NextToken", "Invalid next token provided")
	}
	refused("ListImages", merge(list, obj{"nextToken": token, "repositoryName": "bee"}))
	refused("ListImages", merge(list, obj{"nextToken": token, "filter": obj{"tagStatus": "TAGGED"}}))
	refused("ListImages", merge(list, obj{"nextToken": token + "A"}))
	refused("ListImages", merge(list, obj{"nextToken": token[:len(token)-4]}))
	refused("ListImages", merge(list, obj{"nextToken": ""}))
	refused("ListImages", merge(list, obj{"nextToken": "no token"}))
	refused("DescribeImages", merge(list, obj{"nextToken": token}))
	refused("DescribeRepositories", obj{"nextToken": token})
	refused("ListImageReferrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum("")}, "nextToken": token})
	raw, err := base64.RawURLEncoding.DecodeString(token)
	b.must(err)
	for i := range raw {
		raw[i] ^= 1
		refused("ListImages", merge(list, obj{"nextToken": base64.RawURLEncoding.EncodeToString(raw)}))
		raw[i] ^= 1
	}
	w := b.send(request{target: targetPrefix + "ListImages", region: "eu-west-1", body: b.encode(merge(list, obj{"nextToken": token}))})
	if out := b.decode(w.Body.Bytes()); out["message"] != "Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'" {
		t.Errorf("the token in another region: %s", w.Body)
	}
	// A process with the same key goes on with the list, one with another does not.
	b = open(t, func(s *setup) { s.registry = store })
	b.call("ListImages", merge(list, obj{"nextToken": token}))
	b = open(t, func(s *setup) { s.registry, s.api.PageKey = store, []byte("another key of some length") })
	refused("ListImages", merge(list, obj{"nextToken": token}))
}
