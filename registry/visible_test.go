package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry"
)

// seer is an authorizer to whom some repositories are visible.
type seer struct {
	visible func(arn string, of auth.Resource) bool
	all     bool // may see all at once
	looks   int  // resources that were looked at
	// everywhere is what it says of all that have no policies.
	everywhere bool
}

func (v *seer) Everywhere(context.Context, auth.Check) (bool, error) { return v.everywhere, nil }

func (v *seer) Authorize(_ context.Context, c auth.Check) error {
	if strings.HasSuffix(c.Resource, "/*") && v.all {
		return nil
	}
	return &auth.Denied{Check: c}
}

func (v *seer) Prepare(context.Context, auth.Check) (auth.Decider, error) {
	return nil, errors.New("nobody prepares to look")
}

func (v *seer) Look(_ context.Context, c auth.Check) (auth.Look, error) {
	return func(_ context.Context, arn string, of auth.Resource) error {
		if v.looks++; v.visible(arn, of) {
			return nil
		}
		return &auth.Denied{Check: c}
	}, nil
}

func (v *seer) sight(t testing.TB) registry.Sight {
	t.Helper()
	sight, err := registry.SightFor(t.Context(), v, auth.Check{Action: "ecr:DescribeRepositories", Resource: here.ARN("*")})
	must(t, err)
	return sight
}

// seenPages lists all that a sight takes in, page by page, and fails the test where a
// page tells of anything else.
func seenPages(t testing.TB, s *registry.Service, sight registry.Sight, limit int) (all []string) {
	t.Helper()
	for after, more := "", true; more; {
		var page []registry.Repository
		var err error
		page, more, err = s.Repositories(alice(t), here, after, limit, sight)
		must(t, err)
		if more && len(page) < limit {
			t.Errorf("behind %q: %d of %d, and more", after, len(page), limit)
		}
		for _, repo := range page {
			all = append(all, repo.Name.String())
		}
		if len(page) > 0 {
			after = all[len(all)-1]
		}
	}
	return all
}

func TestVisibleRepositories(t *testing.T) {
	s := open(t, registry.Options{})
	const many = 1203 // several steps
	var every []string
	for i := range many {
		every = append(every, create(t, s, fmt.Sprintf("team/%04d", i)).String())
	}
	for what, see := range map[string]func(i int) bool{
		"all":       func(int) bool { return true },
		"every 7th": func(i int) bool { return i%7 == 0 },
		"first":     func(i int) bool { return i == 0 },
		"last":      func(i int) bool { return i == many-1 },
		"in steps":  func(i int) bool { return i == 10 || i == 510 || i == 511 },
	} {
		visible := func(name string) bool { return see(slices.Index(every, name)) }
		var want []string
		for _, name := range every {
			if visible(name) {
				want = append(want, name)
			}
		}
		v := seer{visible: func(arn string, _ auth.Resource) bool { return visible(strings.TrimPrefix(arn, here.ARN(""))) }}
		for _, limit := range []int{1, 2, 3, 100, 1000, 5000} {
			if limit < 100 && len(want) > 10 {
				continue
			}
			if d := cmp.Diff(want, seenPages(t, s, v.sight(t), limit)); d != "" {
				t.Errorf("%s, %d at a time (-want +got):\n%s", what, limit, d)
			}
		}
	}
}

func TestNothingVisible(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for _, tt := range []struct {
		what         string
		visible, all bool
		after        string
		denied       bool
	}{
		{"nothing", false, false, "", true},
		{"nothing behind a name", false, false, "zz", true},
		{"nothing, who might see all", false, true, "", false},
		{"all, behind the last", true, false, n.String(), false},
		{"all", true, false, "", false},
	} {
		v := seer{visible: func(string, auth.Resource) bool { return tt.visible }, all: tt.all}
		page, more, err := s.Repositories(alice(t), here, tt.after, 10, v.sight(t))
		var denied *auth.Denied
		if errors.As(err, &denied) != tt.denied || err != nil && !tt.denied || more {
			t.Errorf("%s: %v, %t, %v", tt.what, page, more, err)
		}
	}
	_, _, err := s.Repositories(alice(t), registry.ID{Account: "111111111111", Region: here.Region}, "", 10, (&seer{}).sight(t))
	var denied *auth.Denied
	if !errors.As(err, &denied) {
		t.Errorf("of a registry without any: %v", err)
	}
}

// TestLooksAtPoliciesAndTags: what decides on a repository is its own.
func TestLooksAtPoliciesAndTags(t *testing.T) {
	s := open(t, registry.Options{})
	shared := create(t, s, "b/shared")
	createWith(t, s, "a/tagged", registry.Settings{ResourceTags: map[string]string{"team": "x"}})
	create(t, s, "c/other")
	look := func() (got []string) {
		v := seer{visible: func(arn string, of auth.Resource) bool {
			got = append(got, fmt.Sprint(strings.TrimPrefix(arn, here.ARN("")), " ", names(of), " ", of.Tags["team"]))
			return true
		}}
		seenPages(t, s, v.sight(t), 10)
		return got
	}
	want := []string{"a/tagged [] x", "b/shared [] ", "c/other [] "}
	if d := cmp.Diff(want, look()); d != "" {
		t.Errorf("without policies (-want +got):\n%s", d)
	}
	_, err := s.SetRepositoryPolicy(alice(t), shared, openPolicy, false)
	must(t, err)
	_, err = s.PutRegistryPolicy(alice(t), here, openRegistryPolicy)
	must(t, err)
	want = []string{
		"a/tagged [registry policy] x", "b/shared [repository policy of " + shared.ARN() + " registry policy] ", "c/other [registry policy] ",
	}
	if d := cmp.Diff(want, look()); d != "" {
		t.Errorf("with policies (-want +got):\n%s", d)
	}
}

// TestSeenEverywhere: where all is seen nothing is looked at, until any policy of the
// registry or of one of its repositories could say otherwise.
func TestSeenEverywhere(t *testing.T) {
	s := open(t, registry.Options{})
	all := []string{"a/1", "b/2", "c/3", "d/4", "e/5"}
	for _, path := range all {
		create(t, s, path)
	}
	v := seer{everywhere: true, visible: func(arn string, of auth.Resource) bool { return len(of.Policies) == 0 }}
	check := func(what string, want []string, looks bool) {
		t.Helper()
		for _, limit := range []int{1, 2, 5, 100} {
			v.looks = 0
			if d := cmp.Diff(want, seenPages(t, s, v.sight(t), limit), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s, %d at a time (-want +got):\n%s", what, limit, d)
			}
			if d := cmp.Diff(want, seenNames(t, s, v.sight(t), limit), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s, names, %d at a time (-want +got):\n%s", what, limit, d)
			}
			if v.looks > 0 != looks {
				t.Errorf("%s: %d looks", what, v.looks)
			}
		}
	}
	check("no policies", all, false)
	_, err := s.SetRepositoryPolicy(alice(t), name(t, "c/3"), openPolicy, false)
	must(t, err)
	check("one repository has a policy", []string{"a/1", "b/2", "d/4", "e/5"}, true)
	_, err = s.DeleteRepositoryPolicy(alice(t), name(t, "c/3"))
	must(t, err)
	check("it had one", all, true)
	v.all = true
	_, err = s.PutRegistryPolicy(alice(t), here, openRegistryPolicy)
	must(t, err)
	check("the registry has a policy", nil, true)
}

// seenNames is seenPages by names alone.
func seenNames(t testing.TB, s *registry.Service, sight registry.Sight, limit int) (all []string) {
	t.Helper()
	for after, more := "", true; more; {
		var page []registry.Name
		var err error
		page, more, err = s.RepositoryNames(alice(t), here, after, limit, sight)
		must(t, err)
		for _, n := range page {
			all = append(all, n.String())
		}
		if len(page) > 0 {
			after = all[len(all)-1]
		}
	}
	return all
}

// TestSightWithoutLook: an authorizer that does not look is asked for each.
func TestSightWithoutLook(t *testing.T) {
	s := open(t, registry.Options{})
	for _, path := range []string{"a/1", "b/1", "c/1"} {
		create(t, s, path)
	}
	fault := errors.New("no answer")
	ask := auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error {
		switch c.Resource {
		case here.ARN("b/1"):
			return &auth.Denied{Check: c}
		case here.ARN("c/1"):
			return fault
		}
		return nil
	})
	sight, err := registry.SightFor(t.Context(), ask, auth.Check{Action: "ecr:DescribeRepositories", Resource: here.ARN("*")})
	must(t, err)
	_, _, err = s.Repositories(alice(t), here, "", 10, sight)
	if !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	_, err = s.DeleteRepository(alice(t), name(t, "c/1"), false)
	must(t, err)
	if d := cmp.Diff([]string{"a/1"}, seenPages(t, s, sight, 10)); d != "" {
		t.Error(d)
	}
}

// BenchmarkRepositories lists 2,000 repositories, as the server and for a root,
// without policies and where each repository has one.
func BenchmarkRepositories(b *testing.B) {
	root := auth.Principal{Account: here.Account, ARN: "arn:aws:iam::" + here.Account + ":root", Kind: auth.Root, Region: here.Region}
	v := seer{visible: func(arn string, of auth.Resource) bool {
		return policy.Evaluate(policy.Policies{Root: true, SameAccount: true, Resource: of.Policies}, policy.Request{
			Principal: policy.Principal{Account: root.Account, ARN: root.ARN}, Action: "ecr:DescribeRepositories", Resource: arn,
		}).Allowed
	}}
	for _, policies := range []bool{false, true} {
		s := open(b, registry.Options{})
		for i := range 2000 {
			n := create(b, s, fmt.Sprintf("team/%04d", i))
			if policies {
				_, err := s.SetRepositoryPolicy(alice(b), n, openPolicy, false)
				must(b, err)
			}
		}
		for what, sight := range map[string]registry.Sight{"server": {}, "root": v.sight(b)} {
			b.Run(fmt.Sprintf("%s, policies %t", what, policies), func(b *testing.B) {
				for b.Loop() {
					page, _, err := s.Repositories(alice(b), here, "", 2000, sight)
					must(b, err)
					if len(page) != 2000 {
						b.Fatalf("%d repositories", len(page))
					}
				}
			})
		}
	}
}
