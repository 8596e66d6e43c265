package ecrapi_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

const profile = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/release_1"

// signRule is a signing rule as requests write it.
func signRule(arn string, filters ...string) obj {
	rule := obj{"signingProfileArn": arn}
	if len(filters) > 0 {
		list := arr{}
		for _, f := range filters {
			list = append(list, obj{"filter": f, "filterType": "WILDCARD_MATCH"})
		}
		rule["repositoryFilters"] = list
	}
	return rule
}

func TestSigningConfiguration(t *testing.T) {
	b := open(t)
	none := func() {
		t.Helper()
		for _, op := range []string{"GetSigningConfiguration", "DeleteSigningConfiguration"} {
			b.refused(op, obj{}, "SigningConfigurationNotFoundException", "Signing configuration does not exist in the registry with id '000000000000'")
		}
	}
	none()
	var set obj
	for _, rules := range []arr{
		{signRule(profile)},
		{signRule(profile, "prod/*", "*-release"), signRule(profile[:len(profile)-1]+"2", "team/app")},
		{},
	} {
		set = obj{"signingConfiguration": obj{"rules": rules}}
		b.same("put", b.call("PutSigningConfiguration", set), set)
		b.same("got", b.call("GetSigningConfiguration", obj{}), merge(set, obj{"registryId": account}))
	}
	b.same("deleted", b.call("DeleteSigningConfiguration", obj{}), merge(set, obj{"registryId": account}))
	none()
}

func TestSigningConfigurationRefused(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{SigningRules: 2, SigningFilters: 1} })
	put := func(rules ...any) obj { return obj{"signingConfiguration": obj{"rules": rules}} }
	elsewhere := strings.Replace(profile, "us-east-1", "eu-west-1", 1)
	b.invalid("PutSigningConfiguration", put(signRule(profile), signRule(elsewhere)), "signingProfileArn",
		"The region of signing profile ARN '"+elsewhere+"' is 'eu-west-1' but must be 'us-east-1' (the current region)")
	b.invalid("PutSigningConfiguration", put(signRule(profile), signRule(profile), signRule(profile)), "signingConfiguration.rules",
		"Member must have length less than or equal to 2")
	b.invalid("PutSigningConfiguration", put(signRule(profile, "a", "b")), "signingConfiguration.rules.1.member.repositoryFilters",
		"Member must have length less than or equal to 1")
	b.refused("GetSigningConfiguration", obj{}, "SigningConfigurationNotFoundException",
		"Signing configuration does not exist in the registry with id '000000000000'")
}

// TestSigningStatus: an image has a status for each profile that matched when it was
// pushed, whatever the configuration says later.
func TestSigningStatus(t *testing.T) {
	b := open(t)
	b.repository("app")
	other := strings.Replace(profile, "111122223333", account, 1)
	b.wantsAnImage("DescribeImageSigningStatus")
	status := func(tag string, want ...any) {
		t.Helper()
		in := obj{"repositoryName": "app", "imageId": obj{"imageTag": tag}}
		got := b.call("DescribeImageSigningStatus", in)
		delete(got["imageId"].(obj), "imageDigest")
		b.same("status", got, merge(in, obj{"registryId": account, "signingStatuses": append(arr{}, want...)}))
	}
	rules := func(list ...any) {
		t.Helper()
		b.call("PutSigningConfiguration", obj{"signingConfiguration": obj{"rules": append(arr{}, list...)}})
	}
	d := sum(b.image("app", "one", "1"))
	status("1")
	b.same("by digest", b.call("DescribeImageSigningStatus", obj{"repositoryName": "app", "imageId": obj{"imageDigest": d}})["imageId"], obj{"imageDigest": d})
	rules(signRule(other, "ap", "*/app"))
	b.image("app", "two", "2")
	status("2")
	rules(signRule(other, "none", "a*"), signRule(profile), signRule(other))
	status("1")
	b.image("app", "three", "3")
	waits := obj{"signingProfileArn": other, "status": "IN_PROGRESS"}
	denied := obj{
		"signingProfileArn": profile, "status": "FAILED", "failureCode": "AccessDenied",
		"failureReason": "User: arn:aws:iam::000000000000:root is not authorized to perform: signer:SignPayload on resource: " + profile +
			" because no resource-based policy allows the signer:SignPayload action",
	}
	status("3", waits, denied)
	b.push("app", b.manifest("{}", "one", obj{"artifactType": "application/vnd.cncf.notary.signature"}), "signature")
	status("signature")
	b.call("DeleteSigningConfiguration", obj{})
	status("3", waits, denied)
	status("1")
}
