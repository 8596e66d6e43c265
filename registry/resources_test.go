package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// names are where the policies of a resource are in force.
func names(of auth.Resource) (list []string) {
	for _, p := range of.Policies {
		list = append(list, p.Name)
	}
	return list
}

func TestResource(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{ResourceTags: map[string]string{"Team": "a"}})
	create(t, s, "team/bare")
	_, err := s.SetRepositoryPolicy(alice(t), n, openPolicy, false)
	must(t, err)
	_, err = s.PutRegistryPolicy(alice(t), here, openRegistryPolicy)
	must(t, err)
	asking := auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, Region: here.Region, ARN: arn("alice")})
	common := []string{"registry policy"}
	for _, tt := range []struct {
		ctx      context.Context
		arn      string
		policies []string
		tags     map[string]string
	}{
		{asking, n.ARN(), []string{"repository policy of " + n.ARN(), "registry policy"}, map[string]string{"Team": "a"}},
		{asking, here.ARN("team/bare"), common, nil},
		{asking, here.ARN("team/none"), common, nil},
		{asking, here.ARN("*"), common, nil},
		{asking, here.ARN("team/*"), common, nil},
		{asking, "*", common, nil},
		{t.Context(), "*", nil, nil},
		{asking, registry.ID{Account: "111111111111", Region: here.Region}.ARN("team/app"), nil, nil},
		{asking, registry.ID{Account: here.Account, Region: "eu-west-1"}.ARN("team/app"), nil, nil},
		{asking, "arn:aws:s3:::bucket", nil, nil},
		{asking, strings.Replace(n.ARN(), "arn:aws:", "arn:aws-cn:", 1), nil, nil},
		{asking, strings.Replace(n.ARN(), ":repository/", ":registry/", 1), nil, nil},
		{asking, "", nil, nil},
	} {
		of, err := s.Resource(tt.ctx, tt.arn)
		must(t, err)
		if d := cmp.Diff(tt.policies, names(of)) + cmp.Diff(tt.tags, of.Tags); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.arn, d)
		}
	}
}

// TestResourcePoliciesAreInForceAtOnce: what was read of a policy lasts as long as
// it does.
func TestResourcePoliciesAreInForceAtOnce(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	allows := func(action string) bool {
		of, err := s.Resource(alice(t), n.ARN())
		must(t, err)
		return policy.Evaluate(policy.Policies{SameAccount: true, Resource: of.Policies}, policy.Request{
			Principal: policy.Principal{Account: here.Account, ARN: arn("alice")}, Action: action, Resource: n.ARN(),
		}).Allowed
	}
	want := func(what string, get, put bool) {
		t.Helper()
		for range 2 { // as read, and as kept
			if g, p := allows("ecr:BatchGetImage"), allows("ecr:PutImage"); g != get || p != put {
				t.Errorf("%s: may get %t, put %t", what, g, p)
			}
		}
	}
	set := func(action string) {
		t.Helper()
		_, err := s.SetRepositoryPolicy(alice(t), n, allowing(action, ""), true)
		must(t, err)
	}
	want("at first", false, false)
	set("ecr:BatchGetImage")
	want("set", true, false)
	set("ecr:PutImage")
	want("set again", false, true)
	_, err := s.DeleteRepositoryPolicy(alice(t), n)
	must(t, err)
	want("deleted", false, false)
	set("ecr:BatchGetImage")
	want("set after all", true, false)
	_, err = s.DeleteRepository(alice(t), n, true)
	must(t, err)
	want("of a repository that is gone", false, false)
	create(t, s, "team/app")
	want("of another one of the name", false, false)
	_, err = s.PutRegistryPolicy(alice(t), here, allowing("ecr:PutImage", "*"))
	must(t, err)
	want("of the registry", false, true)
	_, err = s.DeleteRegistryPolicy(alice(t), here)
	must(t, err)
	want("none of the registry", false, false)
}

// allowing is a policy that lets alice do an action; with a resource it is one of
// a registry.
func allowing(action, resource string) string {
	if resource != "" {
		resource = `,"Resource":"` + resource + `"`
	}
	return `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arn("alice") + `"},"Action":"` + action + `"` + resource + `}]}`
}

// TestManyPolicies: more are in force than are kept read.
func TestManyPolicies(t *testing.T) {
	s := openUnchecked(t, registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()})
	const many = 1200
	long := strings.Repeat("x", 9_500)
	for i := range many {
		n := create(t, s, fmt.Sprintf("team/%d", i))
		text := strings.Replace(allowing("ecr:BatchGetImage", ""), "{", fmt.Sprintf(`{"Id":"%d%s",`, i, long), 1)
		_, err := s.SetRepositoryPolicy(alice(t), n, text, false)
		must(t, err)
	}
	for _, step := range []int{1, 100} {
		for i := 0; i < many; i += step {
			of, err := s.Resource(alice(t), here.ARN(fmt.Sprintf("team/%d", i)))
			must(t, err)
			if text := of.Policies[0].Document.Text(); !strings.Contains(text, fmt.Sprintf(`"%dxxx`, i)) {
				t.Fatalf("team/%d has the policy %.100s", i, text)
			}
		}
	}
}

// TestPolicyThatCannotBeRead: nobody gets past a policy that is there.
func TestPolicyThatCannotBeRead(t *testing.T) {
	index := memory.NewIndex()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	n := create(t, s, "team/app")
	_, err = s.SetRepositoryPolicy(alice(t), n, openPolicy, false)
	must(t, err)
	for _, row := range []string{`{"Version":7,"Text":"{}"}`, `{"Version":7,"Text":"`} {
		must(t, index.Update(t.Context(), func(tx storage.Tx) error {
			for e, err := range tx.Scan(storage.Range{Prefix: "repodocument\x00", Limit: 1}) {
				if err != nil {
					return err
				}
				return tx.Put(e.Key, []byte(row))
			}
			return nil
		}))
		if of, err := s.Resource(alice(t), n.ARN()); err == nil || registry.CodeOf(err) != "" {
			t.Errorf("%s: %v, %v", row, of, err)
		}
	}
}

func BenchmarkResource(b *testing.B) {
	s := open(b, registry.Options{})
	n := create(b, s, "team/app")
	statement := `{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:BatchGetImage"}`
	_, err := s.SetRepositoryPolicy(alice(b), n, `{"Statement":[`+statement+strings.Repeat(","+statement, 99)+`]}`, false)
	must(b, err)
	ctx := alice(b)
	for b.Loop() {
		_, err := s.Resource(ctx, n.ARN())
		must(b, err)
	}
}
