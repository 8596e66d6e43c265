package ecrapi_test

import (
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// to is a destination as requests write it.
func to(account, region string) obj { return obj{"registryId": account, "region": region} }

// replicationRule is a rule as requests write it.
func replicationRule(destinations arr, prefixes ...string) obj {
	rule := obj{"destinations": destinations}
	if len(prefixes) > 0 {
		list := arr{}
		for _, p := range prefixes {
			list = append(list, obj{"filter": p, "filterType": "PREFIX_MATCH"})
		}
		rule["repositoryFilters"] = list
	}
	return rule
}

func putRules(rules ...any) obj {
	return obj{"replicationConfiguration": obj{"rules": append(arr{}, rules...)}}
}

func TestReplicationConfiguration(t *testing.T) {
	b := open(t)
	ten := arr{}
	for i := range 10 {
		ten = append(ten, replicationRule(arr{to(other, "us-west-2"), to(account, "eu-west-1")}, "zz/", fmt.Sprintf("team-%d", i)))
	}
	b.same("at first", b.call("DescribeRegistry", obj{}), merge(putRules(), obj{"registryId": account}))
	for _, set := range []obj{
		putRules(replicationRule(arr{to(other, region)})),
		putRules(ten...),
		putRules(replicationRule(arr{})),
		putRules(),
	} {
		b.same("put", b.call("PutReplicationConfiguration", set), set)
		b.same("described", b.call("DescribeRegistry", obj{}), merge(set, obj{"registryId": account}))
	}
}

func TestReplicationConfigurationRefused(t *testing.T) {
	b := open(t)
	kept := putRules(replicationRule(arr{to(other, region)}))
	b.call("PutReplicationConfiguration", kept)
	const op, at = "PutReplicationConfiguration", "replicationConfiguration"
	b.invalid(op, obj{}, at, "Member must not be null")
	b.invalid(op, obj{at: obj{}}, at+".rules", "Member must not be null")
	b.invalid(op, putRules(obj{}), at+".rules.1.member.destinations", "Member must not be null")
	b.invalid(op, putRules(replicationRule(arr{obj{"region": region}})), at+".rules.1.member.destinations.1.member.registryId", "Member must not be null")
	b.invalid(op, putRules(obj{"destinations": arr{}, "repositoryFilters": arr{}}), at+".rules.1.member.repositoryFilters",
		"Member must have length greater than or equal to 1")
	b.invalid(op, putRules(obj{"destinations": arr{}, "repositoryFilters": arr{obj{"filter": "team", "filterType": "WILDCARD"}}}),
		at+".rules.1.member.repositoryFilters.1.member.filterType", "Member must satisfy enum value set: [PREFIX_MATCH]")
	b.invalid(op, putRules(replicationRule(arr{to(account, region)})), at, "Replication destination cannot be the same as the source registry")
	b.invalid(op, putRules(replicationRule(arr{to(account, "nowhere-1")})), at, "Invalid region 'nowhere-1'")
	b.invalid(op, putRules(replicationRule(arr{to(account, "cn-north-1")})), at, "Invalid region 'cn-north-1'")
	eleven := arr{}
	for range 11 {
		eleven = append(eleven, replicationRule(arr{to(other, region)}))
	}
	b.invalid(op, putRules(eleven...), at+".rules", "Member must have length less than or equal to 10")
	many := arr{}
	for i := range 26 {
		many = append(many, to(fmt.Sprintf("2222222222%02d", i), region))
	}
	b.invalid(op, putRules(replicationRule(many)), at, "The number of unique replication destinations must be less than or equal to 25")
	b.same("kept", b.call("DescribeRegistry", obj{}), merge(kept, obj{"registryId": account}))
}

// replicated brings all that waits to where it is to go.
func (b *bench) replicated() {
	b.Helper()
	for {
		destinations, _, err := b.registry.ReplicaDestinations(b.Context())
		b.must(err)
		if len(destinations) == 0 {
			return
		}
		for _, id := range destinations {
			page, _, err := b.registry.Replicas(b.Context(), id, registry.Lane{}, 10)
			b.must(err)
			for _, r := range page {
				b.must(b.registry.ReceiveReplica(b.Context(), r))
			}
		}
	}
}

func TestImageReplicationStatus(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.wantsAnImage("DescribeImageReplicationStatus")
	before := b.image("app", "before", "before")
	b.call("PutReplicationConfiguration", putRules(replicationRule(arr{to(other, region), to(account, "us-west-2")})))
	one := b.image("app", "one", "1")

	status := func(id obj, want ...any) {
		t.Helper()
		in := obj{"repositoryName": "app", "imageId": id}
		b.same("statuses", b.call("DescribeImageReplicationStatus", in), merge(in, obj{"replicationStatuses": append(arr{}, want...)}))
	}
	status(obj{"imageDigest": sum(before)})
	status(obj{"imageTag": "1"}, merge(to(account, "us-west-2"), obj{"status": "IN_PROGRESS"}), merge(to(other, region), obj{"status": "IN_PROGRESS"}))
	b.replicated()
	want := arr{
		merge(to(account, "us-west-2"), obj{"status": "COMPLETE"}),
		merge(to(other, region), obj{"status": "FAILED", "failureCode": "AccessDenied"}),
	}
	status(obj{"imageTag": "1"}, want...)
	status(obj{"imageDigest": sum(one), "imageTag": "1"}, want...)
	b.call("PutReplicationConfiguration", putRules())
	status(obj{"imageTag": "1"}, want...) // the copy is still there

	w := b.send(request{target: targetPrefix + "BatchGetImage", region: "us-west-2", body: `{"repositoryName":"app","imageIds":[{"imageTag":"1"}]}`})
	if images := b.decode(w.Body.Bytes())["images"].(arr); len(images) != 1 || images[0].(obj)["imageManifest"] != one {
		t.Errorf("the copy is %s", w.Body)
	}
}
