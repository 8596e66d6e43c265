package lifecycle_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

func TestOnly(t *testing.T) {
	index, child := image("index", 50), image("child", 50)
	child.Parents = []digest.Digest{index.Digest}
	all := []lifecycle.Facts{index, child, image("v", 40, "v1"), image("w", 40, "w1"), image("new", 1)}
	decide := func(rules ...string) []lifecycle.Decision {
		return parse(t, policy(rules...), lifecycle.Options{}).Decide(all, now)
	}
	named := func(list []lifecycle.Decision) (got []string) {
		for _, d := range list {
			for _, name := range []string{"index", "child", "v", "w", "new"} {
				if digestOf(name) == d.Image.Digest {
					got = append(got, string(d.Action)+" "+name)
				}
			}
		}
		return got
	}
	a := decide(rule(1, prefixed("v")+keep(1), expire), rule(2, anything+days("sinceImagePushed", 30), expire))
	b := decide(rule(1, prefixed("v")+days("sinceImagePushed", 30), expire), rule(2, prefixed("w")+days("sinceImagePushed", 30), archive))
	if diff := cmp.Diff([]string{"EXPIRE index", "EXPIRE w"}, named(lifecycle.Only(a, b))); diff != "" {
		t.Errorf("of a alone (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"EXPIRE v", "TRANSITION w"}, named(lifecycle.Only(b, a))); diff != "" {
		t.Errorf("of b alone (-want +got):\n%s", diff)
	}
	if got := lifecycle.Only(a, a); got != nil {
		t.Errorf("of one list twice: %v", got)
	}
	if diff := cmp.Diff([]string{"EXPIRE index", "EXPIRE w"}, named(lifecycle.Only(a, nil))); diff != "" {
		t.Errorf("of a beside nothing (-want +got):\n%s", diff)
	}
}
