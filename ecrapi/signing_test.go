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

// TestSigningStatus: nothing signs, so images that no rule matches have no
// signatures, and of others nothing is said.
func TestSigningStatus(t *testing.T) {
	b := open(t)
	b.repository("app")
	d := sum(b.image("app", "one", "1"))
	b.push("app", b.manifest("{}", "one", obj{"artifactType": "application/vnd.cncf.notary.signature"}), "signature")
	b.wantsAnImage("DescribeImageSigningStatus")
	status := func(tag string) obj { return obj{"repositoryName": "app", "imageId": obj{"imageTag": tag}} }
	none := func(tag string) {
		t.Helper()
		got := b.call("DescribeImageSigningStatus", status(tag))
		delete(got["imageId"].(obj), "imageDigest")
		b.same("status", got, merge(status(tag), obj{"registryId": account, "signingStatuses": arr{}}))
	}
	none("1")
	b.call("PutSigningConfiguration", obj{"signingConfiguration": obj{"rules": arr{signRule(profile, "ap", "*/app")}}})
	none("1")
	b.same("by digest", b.call("DescribeImageSigningStatus", obj{"repositoryName": "app", "imageId": obj{"imageDigest": d}})["imageId"], obj{"imageDigest": d})
	for _, rule := range []obj{signRule(profile, "none", "a*"), signRule(profile)} {
		b.call("PutSigningConfiguration", obj{"signingConfiguration": obj{"rules": arr{rule}}})
		b.refused("DescribeImageSigningStatus", status("1"), "ValidationException", "Image signing is not available in this version of Berth")
		none("signature")
	}
	b.image("app", "two", "2") // what matches is pushed as before
	b.call("DeleteSigningConfiguration", obj{})
	none("1")
}
