package ecrapi_test

import "testing"

func TestAccountSettings(t *testing.T) {
	b := open(t)
	is := func(name, want string) {
		t.Helper()
		if got := b.call("GetAccountSetting", obj{"name": name}); got["name"] != name || got["value"] != want {
			t.Errorf("GetAccountSetting answers %v, want %s", got, want)
		}
	}
	is("BLOB_MOUNTING", "DISABLED")
	if got := b.call("PutAccountSetting", obj{"name": "BLOB_MOUNTING", "value": "ENABLED"}); got["value"] != "ENABLED" {
		t.Errorf("PutAccountSetting answers %v", got)
	}
	is("BLOB_MOUNTING", "ENABLED")
	is("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE")
	is("REGISTRY_POLICY_SCOPE", "V2")
	for name, value := range map[string]string{"REGISTRY_POLICY_SCOPE": "V1", "BASIC_SCAN_TYPE_VERSION": "CLAIR"} {
		b.call("PutAccountSetting", obj{"name": name, "value": value})
		is(name, value)
	}
}

func TestAccountSettingsRefused(t *testing.T) {
	b := open(t)
	const names = "Member must satisfy enum value set: [BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING]"
	for _, name := range []string{"BLOB", "blob_mounting", " BLOB_MOUNTING"} {
		b.invalid("GetAccountSetting", obj{"name": name}, "name", names)
		b.invalid("PutAccountSetting", obj{"name": name, "value": "ENABLED"}, "name", names)
	}
	for _, value := range []string{"on", "enabled", ""} {
		b.invalid("PutAccountSetting", obj{"name": "BLOB_MOUNTING", "value": value}, "value", "Member must satisfy enum value set: [DISABLED, ENABLED]")
	}
	b.invalid("PutAccountSetting", obj{"name": "REGISTRY_POLICY_SCOPE", "value": "V3"}, "value", "Member must satisfy enum value set: [V2, V1]")
	b.invalid("PutAccountSetting", obj{"name": "BASIC_SCAN_TYPE_VERSION", "value": "INSPECTOR"}, "value", "Member must satisfy enum value set: [AWS_NATIVE, CLAIR]")
	if got := b.call("GetAccountSetting", obj{"name": "BLOB_MOUNTING"}); got["value"] != "DISABLED" {
		t.Errorf("refused settings left %v", got)
	}
}
