package ecrapi_test

import (
	"strings"
	"testing"
)

const openPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":["ecr:BatchGetImage"]}]}`

// shownPolicy is openPolicy as ECR shows it.
const shownPolicy = "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [ {\n    \"Sid\" : \"pull\",\n    \"Effect\" : \"Allow\",\n" +
	"    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::111111111111:root\"\n    },\n    \"Action\" : [ \"ecr:BatchGetImage\" ]\n  } ]\n}"

func TestRepositoryPolicies(t *testing.T) {
	b := open(t)
	b.repository("app")
	app := obj{"repositoryName": "app"}
	want := obj{"registryId": account, "repositoryName": "app", "policyText": shownPolicy}
	absent := "Repository policy does not exist for the repository with name 'app' in the registry with id '000000000000'"
	b.refused("GetRepositoryPolicy", app, "RepositoryPolicyNotFoundException", absent)
	b.same("set", b.call("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": openPolicy}), want)
	b.same("get", b.call("GetRepositoryPolicy", app), want)
	b.same("delete", b.call("DeleteRepositoryPolicy", app), want)
	b.refused("DeleteRepositoryPolicy", app, "RepositoryPolicyNotFoundException", absent)
	for _, op := range []string{"GetRepositoryPolicy", "DeleteRepositoryPolicy"} {
		b.refused(op, obj{"repositoryName": "no"}, "RepositoryNotFoundException", notThere("no"))
	}
	b.refused("SetRepositoryPolicy", obj{"repositoryName": "no", "policyText": openPolicy}, "RepositoryNotFoundException", notThere("no"))
	b.invalid("SetRepositoryPolicy", app, "PolicyText", "Cannot be null")
	b.invalid("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": ""}, "PolicyText", "Invalid repository policy provided")
	b.invalid("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": strings.Replace(openPolicy, "111111111111", "nobody", 1)}, "PolicyText", "Principal not found")
	b.invalid("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": strings.Repeat(" ", 10_241)}, "policyText", "Member must have length less than or equal to 10240")
	lock := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`
	b.invalid("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": lock}, "PolicyText",
		"The policy would keep you from setting the repository policy again; use force to set it all the same")
	b.call("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": lock, "force": true})
}

func TestRegistryPolicies(t *testing.T) {
	b := open(t)
	text := strings.Replace(openPolicy, `"Action"`, `"Resource":"*","Action"`, 1)
	absent := "Registry policy does not exist in the registry with id '000000000000'"
	b.refused("GetRegistryPolicy", obj{}, "RegistryPolicyNotFoundException", absent)
	put := b.call("PutRegistryPolicy", obj{"policyText": text})
	b.same("get", b.call("GetRegistryPolicy", obj{}), put)
	b.same("delete", b.call("DeleteRegistryPolicy", obj{}), put)
	b.refused("DeleteRegistryPolicy", obj{}, "RegistryPolicyNotFoundException", absent)
	b.invalid("PutRegistryPolicy", obj{}, "PolicyText", "Cannot be null")
	b.invalid("PutRegistryPolicy", obj{"policyText": openPolicy}, "PolicyText", "Invalid registry policy provided")
}
