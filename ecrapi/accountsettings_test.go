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
}

func TestAccountSettingsRefused(t *testing.T) {
	b := open(t)
	b.invalid("GetAccountSetting", obj{"name": "BLOB"}, "name", "Member must satisfy enum value set: [BLOB_MOUNTING]")
	b.invalid("PutAccountSetting", obj{"name": "BLOB", "value": "ENABLED"}, "name", "Member must satisfy enum value set: [BLOB_MOUNTING]")
	b.invalid("PutAccountSetting", obj{"name": "BLOB_MOUNTING", "value": "on"}, "value", "Member must satisfy enum value set: [DISABLED, ENABLED]")
	b.refused("PutAccountSetting", obj{"name": "REGISTRY_POLICY_SCOPE", "value": "V1"}, "ValidationException",
		"The account setting REGISTRY_POLICY_SCOPE is not available in this version of Berth")
}
