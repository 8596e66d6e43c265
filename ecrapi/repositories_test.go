package ecrapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// shown is a repository with ECR's defaults as the API shows it.
func shown(name string, more obj) obj {
	return merge(obj{
		"repositoryArn":              "arn:aws:ecr:us-east-1:000000000000:repository/" + name,
		"registryId":                 account,
		"repositoryName":             name,
		"repositoryUri":              "localhost:5000/" + name,
		"createdAt":                  1563223656.25,
		"imageTagMutability":         "MUTABLE",
		"imageScanningConfiguration": obj{"scanOnPush": false},
		"encryptionConfiguration":    obj{"encryptionType": "AES256"},
	}, more)
}

// atOneTime stops the clock of the store.
func atOneTime(s *setup) {
	s.registry.Now = func() time.Time { return time.UnixMilli(1563223656250) }
}

func TestRepositoryFromBirthToDeath(t *testing.T) {
	b := open(t, atOneTime)
	b.same("created", b.call("CreateRepository", obj{"repositoryName": "team/app"}), obj{"repository": shown("team/app", nil)})
	b.refused("CreateRepository", obj{"repositoryName": "team/app"}, "RepositoryAlreadyExistsException",
		"The repository with name 'team/app' already exists in the registry with id '000000000000'")
	b.same("described", b.call("DescribeRepositories", obj{}), obj{"repositories": arr{shown("team/app", nil)}})
	b.same("deleted", b.call("DeleteRepository", obj{"repositoryName": "team/app"}), obj{"repository": shown("team/app", nil)})
	b.refused("DeleteRepository", obj{"repositoryName": "team/app"}, "RepositoryNotFoundException", notThere("team/app"))
	b.same("none", b.call("DescribeRepositories", obj{}), obj{"repositories": arr{}})
}

func notThere(repo string) string {
	return "The repository with name '" + repo + "' does not exist in the registry with id '000000000000'"
}

func TestCreateRepositoryKeepsItsSettings(t *testing.T) {
	b := open(t, atOneTime)
	filters := arr{obj{"filterType": "WILDCARD", "filter": "dev-*"}, obj{"filterType": "WILDCARD", "filter": "latest"}}
	b.call("CreateRepository", obj{
		"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters,
		"imageScanningConfiguration": obj{"scanOnPush": true}, "encryptionConfiguration": obj{"encryptionType": "KMS", "kmsKey": "my-key"},
		"tags": arr{obj{"Key": "team", "Value": "a"}, obj{"Key": "empty", "Value": ""}},
	})
	b.same("read back", b.call("DescribeRepositories", obj{"repositoryNames": arr{"app"}}), obj{"repositories": arr{shown("app", obj{
		"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters,
		"imageScanningConfiguration": obj{"scanOnPush": true},
		"encryptionConfiguration":    obj{"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:000000000000:key/my-key"},
	})}})
	b.same("tags", b.call("ListTagsForResource", obj{"resourceArn": appARN}),
		obj{"tags": arr{obj{"Key": "empty", "Value": ""}, obj{"Key": "team", "Value": "a"}}})
}

// TestLargestRepository creates one that is at every limit, and reads it back.
func TestLargestRepository(t *testing.T) {
	b := open(t)
	name := strings.Repeat("a", 256)
	filters, tags := arr{}, arr{}
	for i := range 5 {
		filters = append(filters, obj{"filterType": "WILDCARD", "filter": fmt.Sprintf("%d*%s*", i, strings.Repeat("x", 125))})
	}
	for i := range 50 {
		tags = append(tags, obj{"Key": fmt.Sprintf("%02d%s", i, strings.Repeat("é", 126)), "Value": strings.Repeat("ß", 256)})
	}
	b.call("CreateRepository", obj{
		"repositoryName": name, "registryId": account, "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
		"imageTagMutabilityExclusionFilters": filters, "tags": tags,
		"encryptionConfiguration": obj{"encryptionType": "KMS_DSSE", "kmsKey": strings.Repeat("k", 256)},
	})
	got := b.call("DescribeRepositories", obj{"repositoryNames": arr{name}})["repositories"].(arr)[0].(obj)
	b.same("filters", got["imageTagMutabilityExclusionFilters"], filters)
	b.same("tags", b.call("ListTagsForResource", obj{"resourceArn": got["repositoryArn"]})["tags"], tags)
}

func TestDescribeRepositoriesByName(t *testing.T) {
	b := open(t)
	for _, name := range []string{"aa", "bb", "cc"} {
		b.repository(name)
	}
	got := arr{}
	for _, r := range b.call("DescribeRepositories", obj{"repositoryNames": arr{"cc", "aa", "cc"}})["repositories"].(arr) {
		got = append(got, r.(obj)["repositoryName"])
	}
	b.same("in the order of the request", got, arr{"cc", "aa"})
	b.refused("DescribeRepositories", obj{"repositoryNames": arr{"aa", "xx", "yy"}}, "RepositoryNotFoundException", notThere("xx"))
	b.invalid("DescribeRepositories", obj{"repositoryNames": arr{"aa"}, "maxResults": 5}, "maxResults", "Member must be null when repositoryNames is specified")
	b.invalid("DescribeRepositories", obj{"repositoryNames": arr{"aa"}, "nextToken": "x"}, "nextToken", "Member must be null when repositoryNames is specified")
}

func TestDeleteRepositoryWithImages(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.layer("app", "a layer that nothing uses does not count")
	b.call("DeleteRepository", obj{"repositoryName": "app"})
	b.repository("app")
	b.image("app", "layer")
	for _, force := range []any{nil, false} {
		b.refused("DeleteRepository", obj{"repositoryName": "app", "force": force}, "RepositoryNotEmptyException",
			"The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images")
	}
	b.call("DeleteRepository", obj{"repositoryName": "app", "force": true})
	b.repository("app")
	b.same("made anew", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{}})
}

func TestTagMutabilitySettings(t *testing.T) {
	b := open(t)
	b.repository("app")
	filters := arr{obj{"filterType": "WILDCARD", "filter": "dev-*"}}
	tests := []struct {
		setting string
		filters any
		reason  string // "" if it is taken
	}{
		{"IMMUTABLE", nil, ""},
		{"IMMUTABLE_WITH_EXCLUSION", filters, ""},
		{"MUTABLE_WITH_EXCLUSION", filters, ""},
		{"MUTABLE", nil, ""},
		{"MUTABLE", filters, "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as MUTABLE"},
		{"IMMUTABLE", filters, "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as IMMUTABLE"},
		{"MUTABLE_WITH_EXCLUSION", nil, "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as MUTABLE_WITH_EXCLUSION"},
		{"IMMUTABLE_WITH_EXCLUSION", nil, "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION"},
	}
	for i, tt := range tests {
		set := obj{"repositoryName": "app", "imageTagMutability": tt.setting, "imageTagMutabilityExclusionFilters": tt.filters}
		create := merge(set, obj{"repositoryName": fmt.Sprint("new", i)})
		if tt.reason != "" {
			b.invalid("PutImageTagMutability", set, "imageTagMutabilityExclusionFilters", tt.reason)
			b.invalid("CreateRepository", create, "imageTagMutabilityExclusionFilters", tt.reason)
			continue
		}
		b.call("CreateRepository", create)
		want := obj{"registryId": account, "repositoryName": "app", "imageTagMutability": tt.setting}
		if tt.filters != nil {
			want["imageTagMutabilityExclusionFilters"] = tt.filters
		}
		b.same(tt.setting, b.call("PutImageTagMutability", set), want)
		got := b.call("DescribeRepositories", obj{"repositoryNames": arr{"app"}})["repositories"].(arr)[0].(obj)
		b.same(tt.setting, arr{got["imageTagMutability"], got["imageTagMutabilityExclusionFilters"]}, arr{tt.setting, tt.filters})
	}
	b.refused("PutImageTagMutability", obj{"repositoryName": "no", "imageTagMutability": "MUTABLE"}, "RepositoryNotFoundException", notThere("no"))
	for _, filter := range []string{"***", "a b"} {
		w := b.send(request{target: targetPrefix + "PutImageTagMutability", body: b.encode(obj{"repositoryName": "app",
			"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": arr{obj{"filterType": "WILDCARD", "filter": filter}}})})
		if out := b.decode(w.Body.Bytes()); out["__type"] != "InvalidParameterException" {
			t.Errorf("filter %q: %s", filter, w.Body)
		}
	}
}

func TestScanOnPush(t *testing.T) {
	b := open(t)
	b.repository("app")
	for _, in := range []any{obj{"scanOnPush": true}, obj{"scanOnPush": true}, obj{}} {
		want := obj{"scanOnPush": in.(obj)["scanOnPush"] == true}
		b.same("answer", b.call("PutImageScanningConfiguration", obj{"repositoryName": "app", "imageScanningConfiguration": in}),
			obj{"registryId": account, "repositoryName": "app", "imageScanningConfiguration": want})
		got := b.call("DescribeRepositories", obj{"repositoryNames": arr{"app"}})["repositories"].(arr)[0].(obj)
		b.same("read back", got["imageScanningConfiguration"], want)
	}
	b.refused("PutImageScanningConfiguration", obj{"repositoryName": "no", "imageScanningConfiguration": obj{}}, "RepositoryNotFoundException", notThere("no"))
}

func TestEncryption(t *testing.T) {
	b := open(t)
	const keys = "arn:aws:kms:us-east-1:000000000000:key/"
	uuid := "1234abcd-12ab-34cd-56ef-1234567890ab"
	n := 0
	create := func(e obj) obj {
		n++
		return obj{"repositoryName": fmt.Sprint("app", n), "encryptionConfiguration": e}
	}
	key := func(e obj) string {
		got := b.call("CreateRepository", create(e))["repository"].(obj)["encryptionConfiguration"].(obj)
		if got["encryptionType"] != e["encryptionType"] {
			t.Errorf("%v was made %v", e, got)
		}
		arn, _ := got["kmsKey"].(string)
		return arn
	}
	if got := key(obj{"encryptionType": "AES256"}); got != "" {
		t.Errorf("AES256 has the key %s", got)
	}
	for _, in := range []string{uuid, "key/" + uuid, keys + uuid} {
		if got := key(obj{"encryptionType": "KMS", "kmsKey": in}); got != keys+uuid {
			t.Errorf("key %s is %s, want %s", in, got, keys+uuid)
		}
	}
	standard := key(obj{"encryptionType": "KMS"})
	if !strings.HasPrefix(standard, keys) || standard != key(obj{"encryptionType": "KMS_DSSE"}) {
		t.Errorf("the account's own key is %s", standard)
	}
	alias := key(obj{"encryptionType": "KMS", "kmsKey": "alias/mine"})
	if !strings.HasPrefix(alias, keys) || alias == standard || alias != key(obj{"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:000000000000:alias/mine"}) {
		t.Errorf("alias/mine is %s", alias)
	}
	b.invalid("CreateRepository", create(obj{"encryptionType": "AES256", "kmsKey": uuid}), "encryptionConfiguration",
		"Invalid encryption configuration: Encryption key should not be set for AES256 encryption.")
	refusals := []struct{ key, message, kmsError string }{
		{"arn:aws:kms:eu-west-1:000000000000:key/" + uuid, "Invalid arn eu-west-1", "InvalidArnException"},
		{"arn:aws-cn:kms:us-east-1:000000000000:key/" + uuid, "Invalid arn us-east-1", "InvalidArnException"},
		{"arn:aws:kms:us-east-1:000000000000:grant/x", "Invalid arn grant/x", "InvalidArnException"},
		{"no key", "Invalid keyId no key", "NotFoundException"},
		{"alias/", "Invalid keyId alias/", "NotFoundException"},
	}
	for _, r := range refusals {
		out := b.refused("CreateRepository", create(obj{"encryptionType": "KMS", "kmsKey": r.key}), "KmsException", r.message)
		if out["kmsError"] != r.kmsError {
			t.Errorf("key %s: kmsError %v, want %s", r.key, out["kmsError"], r.kmsError)
		}
	}
}

// full is an index that takes no writes.
type full struct{ storage.Index }

func (f full) Update(_ context.Context, fn func(storage.Tx) error) error {
	return fmt.Errorf("write: %w", storage.ErrFull)
}

func TestFullStoreIsTold(t *testing.T) {
	b := open(t, func(s *setup) {
		s.registry = registry.Options{Index: full{memory.NewIndex()}, Blobs: memory.NewBlobs()}
	})
	w := b.send(request{target: targetPrefix + "CreateRepository", body: `{"repositoryName":"app"}`})
	if out := b.decode(w.Body.Bytes()); w.Code != 500 || out["__type"] != "ServerException" || out["message"] != "No room left on the server" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
