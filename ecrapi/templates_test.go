package ecrapi_test

import (
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

func TestCreationTemplates(t *testing.T) {
	b := open(t)
	in := obj{
		"prefix": "team", "description": "all teams", "appliedFor": arr{"CREATE_ON_PUSH", "REPLICATION"},
		"imageTagMutability":                 "IMMUTABLE_WITH_EXCLUSION",
		"imageTagMutabilityExclusionFilters": arr{obj{"filterType": "WILDCARD", "filter": "dev-*"}},
		"encryptionConfiguration":            obj{"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:000000000000:key/k"},
		"resourceTags":                       arr{obj{"Key": "a", "Value": "1"}, obj{"Key": "b", "Value": "2"}},
		"customRoleArn":                      "arn:aws:iam::000000000000:role/ecr",
	}
	made := b.call("CreateRepositoryCreationTemplate", in)
	want := obj{"registryId": account, "repositoryCreationTemplate": obj{}}
	for k, v := range in {
		want["repositoryCreationTemplate"].(obj)[k] = v
	}
	for _, at := range []string{"createdAt", "updatedAt"} {
		want["repositoryCreationTemplate"].(obj)[at] = made["repositoryCreationTemplate"].(obj)[at]
	}
	b.same("made", made, b.plain(want))
	b.same("described", b.call("DescribeRepositoryCreationTemplates", obj{"prefixes": arr{"none", "team", "team"}})["repositoryCreationTemplates"],
		arr{made["repositoryCreationTemplate"]})

	changed := b.call("UpdateRepositoryCreationTemplate", obj{"prefix": "team", "imageTagMutability": "MUTABLE", "resourceTags": arr{},
		"encryptionConfiguration": obj{"encryptionType": "AES256", "kmsKey": ""}})["repositoryCreationTemplate"].(obj)
	b.same("description that was left alone", changed["description"], "all teams")
	b.same("encryption", changed["encryptionConfiguration"], obj{"encryptionType": "AES256"})
	for _, gone := range []string{"imageTagMutabilityExclusionFilters", "resourceTags"} {
		if v, there := changed[gone]; there {
			t.Errorf("%s is still %v", gone, v)
		}
	}
	b.same("deleted", b.call("DeleteRepositoryCreationTemplate", obj{"prefix": "team"})["repositoryCreationTemplate"], changed)
	b.same("none left", b.call("DescribeRepositoryCreationTemplates", obj{}), obj{"registryId": account, "repositoryCreationTemplates": arr{}})
}

func TestCreationTemplatesRefused(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits.Templates = 1 })
	team := obj{"prefix": "team", "appliedFor": arr{"REPLICATION"}}
	for _, op := range []string{"UpdateRepositoryCreationTemplate", "DeleteRepositoryCreationTemplate"} {
		b.refused(op, team, "TemplateNotFoundException", "The Template with prefix 'team' does not exist in the registry with id '000000000000'")
	}
	b.call("CreateRepositoryCreationTemplate", team)
	b.refused("CreateRepositoryCreationTemplate", team, "TemplateAlreadyExistsException",
		"The Template with prefix 'team' already exists in the registry with id '000000000000'")
	b.refused("CreateRepositoryCreationTemplate", obj{"prefix": "other", "appliedFor": arr{"REPLICATION"}}, "LimitExceededException",
		"The registry with id '000000000000' already has the maximum allowed number of repository creation templates which is '1'")
	b.invalid("CreateRepositoryCreationTemplate", obj{"prefix": "x", "appliedFor": arr{"PUSH"}}, "appliedFor.1.member",
		"Member must satisfy enum value set: [REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH]")
	b.invalid("CreateRepositoryCreationTemplate", obj{"prefix": "x"}, "appliedFor", "Member must not be null")
	b.invalid("CreateRepositoryCreationTemplate", obj{"prefix": "x", "appliedFor": arr{}, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"},
		"imageTagMutabilityExclusionFilters",
		"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION")
	b.refused("CreateRepositoryCreationTemplate", obj{"prefix": "x", "appliedFor": arr{}, "resourceTags": arr{obj{"Key": "a", "Value": ""}, obj{"Key": "a", "Value": ""}}},
		"InvalidParameterException", "Tag parameters are invalid")
}

func TestCreationTemplatesArePaged(t *testing.T) {
	b := open(t)
	for i := range 5 {
		b.call("CreateRepositoryCreationTemplate", obj{"prefix": fmt.Sprintf("team-%d", i), "appliedFor": arr{"REPLICATION"}})
	}
	var got arr
	in := obj{"maxResults": 2}
	for pages := 1; ; pages++ {
		out := b.call("DescribeRepositoryCreationTemplates", in)
		for _, tpl := range out["repositoryCreationTemplates"].(arr) {
			got = append(got, tpl.(obj)["prefix"])
		}
		next, more := out["nextToken"]
		if !more {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		in["nextToken"] = next
	}
	b.same("all", got, arr{"team-0", "team-1", "team-2", "team-3", "team-4"})
	b.invalid("DescribeRepositoryCreationTemplates", obj{"nextToken": "x"}, "NextToken", "Invalid next token provided")
}

func TestRepositoryLimit(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Repositories: 1} })
	b.repository("one")
	b.refused("CreateRepository", obj{"repositoryName": "two"}, "LimitExceededException",
		"The registry with id '000000000000' already has the maximum allowed number of repositories which is '1'")
}
