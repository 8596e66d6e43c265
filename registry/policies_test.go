package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

const openPolicy = `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:BatchGetImage"}]}`

// openRegistryPolicy is in both scopes.
const openRegistryPolicy = `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:ReplicateImage","Resource":"*"}]}`

func TestRepositoryPolicies(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	none := func(what string, n registry.Name, code registry.Code) {
		t.Helper()
		_, err := s.RepositoryPolicy(alice(t), n)
		wantCode(t, what+", get", err, code)
		_, err = s.DeleteRepositoryPolicy(alice(t), n)
		wantCode(t, what+", delete", err, code)
	}
	none("before", n, registry.RepositoryPolicyNotFound)
	none("of nothing", name(t, "team/none"), registry.RepositoryNotFound)
	_, err := s.SetRepositoryPolicy(alice(t), name(t, "team/none"), openPolicy, false)
	wantCode(t, "for nothing", err, registry.RepositoryNotFound)
	shown, err := s.SetRepositoryPolicy(alice(t), n, openPolicy, false)
	must(t, err)
	if !strings.Contains(shown, `"AWS" : "arn:aws:iam::111111111111:root"`) {
		t.Errorf("shown as %s", shown)
	}
	if got, err := s.RepositoryPolicy(alice(t), n); err != nil || got != shown {
		t.Errorf("kept as %s, %v", got, err)
	}
	for _, bad := range []string{"", "{}", strings.Replace(openPolicy, "ecr:", "s3:", 1)} {
		_, err := s.SetRepositoryPolicy(alice(t), n, bad, true)
		if e := wantCode(t, bad, err, registry.PolicyInvalid); e.Msg != "Invalid repository policy provided" || e.Field != "PolicyText" {
			t.Errorf("%s: %+v", bad, e)
		}
	}
	if got, err := s.DeleteRepositoryPolicy(alice(t), n); err != nil || got != shown {
		t.Errorf("deleted %s, %v", got, err)
	}
	none("after", n, registry.RepositoryPolicyNotFound)
	_, err = s.SetRepositoryPolicy(alice(t), n, openPolicy, false)
	must(t, err)
	_, err = s.DeleteRepository(alice(t), n, false)
	must(t, err)
	none("of a new one of the name", create(t, s, "team/app"), registry.RepositoryPolicyNotFound)
}

func TestPolicyThatLocksOut(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	deny := `{"Statement":[{"Effect":"Deny","Principal":{"AWS":"` + arn("alice") + `"},"Action":"ecr:Set*"}]}`
	_, err := s.SetRepositoryPolicy(alice(t), n, deny, false)
	wantCode(t, "lock out oneself", err, registry.PolicyInvalid)
	_, err = s.SetRepositoryPolicy(by(t, "bob"), n, deny, false) // somebody else
	must(t, err)
	_, err = s.SetRepositoryPolicy(alice(t), n, deny, true)
	must(t, err)
	tls := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	_, err = s.SetRepositoryPolicy(alice(t), n, tls, false) // which is not of her
	must(t, err)
	pulls := strings.Replace(deny, "ecr:Set*", "ecr:BatchGetImage", 1)
	_, err = s.SetRepositoryPolicy(alice(t), n, pulls, false)
	must(t, err)
}

func TestPoliciesThatAreLong(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	long := func(length int) string {
		const policy = `{"Id":"","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Resource":"*"}]}`
		return strings.Replace(policy, `""`, `"`+strings.Repeat("é", length-len(policy))+`"`, 1)
	}
	shown, err := s.SetRepositoryPolicy(alice(t), n, long(10_240), false)
	must(t, err)
	if got, err := s.RepositoryPolicy(alice(t), n); err != nil || got != shown {
		t.Errorf("of a long policy %d bytes are kept, %v; shown were %d", len(got), err, len(shown))
	}
	_, err = s.PutRegistryPolicy(alice(t), here, long(10_240))
	must(t, err)
	const reason = "Member must have length less than or equal to 10240"
	_, err = s.SetRepositoryPolicy(alice(t), n, long(10_241), true)
	if e := wantCode(t, "too long for a repository", err, registry.PolicyInvalid); e.Msg != reason {
		t.Errorf("%+v", e)
	}
	_, err = s.PutRegistryPolicy(alice(t), here, long(10_241))
	if e := wantCode(t, "too long for a registry", err, registry.PolicyInvalid); e.Msg != reason {
		t.Errorf("%+v", e)
	}
}

// Setting and deleting are events, refusals are none.
func TestPolicyEvents(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	_, err := s.SetRepositoryPolicy(alice(t), n, openPolicy, false)
	must(t, err)
	_, err = s.SetRepositoryPolicy(alice(t), n, "{}", false)
	wantCode(t, "refused", err, registry.PolicyInvalid)
	_, err = s.DeleteRepositoryPolicy(alice(t), n)
	must(t, err)
	_, err = s.PutRegistryPolicy(alice(t), here, openRegistryPolicy)
	must(t, err)
	_, err = s.DeleteRegistryPolicy(alice(t), here)
	must(t, err)
	_, err = s.DeleteRegistryPolicy(alice(t), here)
	wantCode(t, "nothing to delete", err, registry.RegistryPolicyNotFound)
	events, err := s.Events(alice(t), 1, 10)
	must(t, err)
	var got []string
	for _, e := range events {
		got = append(got, string(e.Kind)+" "+string(e.Detail))
	}
	changed, registryChanged := string(registry.RepositoryChanged)+" ", string(registry.RegistryChanged)+` {"What":"registry-policy"}`
	if diff := cmp.Diff([]string{changed, changed, registryChanged, registryChanged}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRegistryPolicies(t *testing.T) {
	s := open(t, registry.Options{})
	policy := func(action string) string {
		return `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"` + action + `","Resource":"*"}]}`
	}
	_, err := s.RegistryPolicy(alice(t), here)
	wantCode(t, "none", err, registry.RegistryPolicyNotFound)
	_, err = s.DeleteRegistryPolicy(alice(t), here)
	wantCode(t, "delete none", err, registry.RegistryPolicyNotFound)
	shown, err := s.PutRegistryPolicy(alice(t), here, policy("ecr:*"))
	must(t, err)
	if got, err := s.RegistryPolicy(alice(t), here); err != nil || got != shown {
		t.Errorf("kept as %s, %v", got, err)
	}
	err = s.PutAccountSetting(alice(t), here, registry.RegistryPolicyScope, "V1")
	wantField(t, "a scope that the policy does not keep to", err, "value")
	if got, err := s.DeleteRegistryPolicy(alice(t), here); err != nil || got != shown {
		t.Errorf("deleted %s, %v", got, err)
	}
	must(t, s.PutAccountSetting(alice(t), here, registry.RegistryPolicyScope, "V1"))
	_, err = s.PutRegistryPolicy(alice(t), here, policy("ecr:*"))
	if e := wantCode(t, "all actions in V1", err, registry.PolicyInvalid); e.Msg != "Invalid registry policy provided" {
		t.Errorf("%+v", e)
	}
	_, err = s.PutRegistryPolicy(alice(t), here, policy("ecr:ReplicateImage"))
	must(t, err)
	must(t, s.PutAccountSetting(alice(t), here, registry.RegistryPolicyScope, "V2"))
	must(t, s.PutAccountSetting(alice(t), here, registry.BasicScanType, "CLAIR"))
	if got, err := s.AccountSetting(alice(t), here, registry.BasicScanType); err != nil || got != "CLAIR" {
		t.Errorf("the scan type is %s, %v", got, err)
	}
}

func TestTemplatesBringPolicies(t *testing.T) {
	s := open(t, registry.Options{CreateOnPush: registry.CreateByTemplate})
	_, err := s.CreateTemplate(alice(t), here, registry.Template{Prefix: "x", Settings: registry.Settings{Policy: "{}"}})
	wantCode(t, "no policy", err, registry.PolicyInvalid)
	_, err = s.CreateTemplate(alice(t), here, registry.Template{Prefix: "x", Settings: registry.Settings{Lifecycle: "{}"}})
	wantCode(t, "no lifecycle policy", err, registry.LifecyclePolicyInvalid)
	made := template(t, s, registry.Template{Prefix: "team", AppliedFor: []registry.Cause{registry.ForPush}, Settings: registry.Settings{Policy: openPolicy}})
	n := name(t, "team/app")
	_, err = s.StartUpload(alice(t), n, registry.NewUpload{MayCreate: true})
	must(t, err)
	if got, err := s.RepositoryPolicy(alice(t), n); err != nil || got != made.Policy || !strings.Contains(got, " : ") {
		t.Errorf("the repository's policy is %s, %v", got, err)
	}
	_, err = s.CreateRepository(alice(t), name(t, "plain"), registry.Settings{Policy: openPolicy})
	must(t, err)
	_, err = s.RepositoryPolicy(alice(t), name(t, "plain"))
	wantCode(t, "of one made by name", err, registry.RepositoryPolicyNotFound)
}
