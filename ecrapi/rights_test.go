package ecrapi_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/storage"
)

// governed is a bench where policies decide.
func governed(t testing.TB) *bench {
	t.Helper()
	policies := &struct{ *access.Authorizer }{}
	b := open(t, func(s *setup) { s.api.Authorizer = policies })
	var err error
	policies.Authorizer, err = access.New(access.Options{Identities: b.keys, Resources: b.registry})
	b.must(err)
	return b
}

// person is a user who signs requests.
type person struct {
	*bench
	account, name string
	key           accounts.Key
}

// user makes a user with the statements of a policy; none gives him none.
func (b *bench) user(account, name string, statements ...string) person {
	b.Helper()
	_, err := b.keys.CreateUser(b.Context(), account, accounts.NewUser{Name: name})
	b.must(err)
	key, err := b.keys.CreateFor(b.Context(), account, name)
	b.must(err)
	p := person{b, account, name, key}
	if len(statements) > 0 {
		p.govern(statements...)
	}
	return p
}

// govern gives a user other statements.
func (p person) govern(statements ...string) {
	p.Helper()
	p.must(p.keys.PutInline(p.Context(), accounts.Holder{Account: p.account, Kind: accounts.HolderUser, Name: p.name}, "own", policyOf(statements...)))
}

func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

// where is a statement under a condition.
func where(statement, condition string) string {
	return strings.TrimSuffix(statement, "}") + `,"Condition":` + condition + `}`
}

func deny(statement string) string { return strings.Replace(statement, `"Allow"`, `"Deny"`, 1) }

func arnOf(repo string) string {
	return "arn:aws:ecr:" + region + ":" + account + ":repository/" + repo
}

// does carries out an operation as a user, and returns the answer and the exception,
// "" for none.
func (p person) does(op string, in any) (out obj, exception string) {
	p.Helper()
	w := p.send(request{target: targetPrefix + op, body: p.encode(in), key: p.key.ID, secret: p.key.Secret.Reveal()})
	out = p.decode(w.Body.Bytes())
	exception, _ = out["__type"].(string)
	return out, exception
}

// may carries out an operation that must work.
func (p person) may(op string, in any) obj {
	p.Helper()
	out, exception := p.does(op, in)
	if exception != "" {
		p.Errorf("%s %.200s: %v", op, p.encode(in), out)
	}
	return out
}

// mayNot carries out an operation that must be denied, with a reason.
func (p person) mayNot(op string, in any, reason string) {
	p.Helper()
	p.unchanged(func() {
		out, exception := p.does(op, in)
		if exception != "AccessDeniedException" || !strings.HasSuffix(out["message"].(string), reason) {
			p.Errorf("%s %.200s: %v, want a denial %s", op, p.encode(in), out, reason)
		}
	})
}

// unchanged fails the test if fn leaves a trace in the index.
func (b *bench) unchanged(fn func()) {
	b.Helper()
	before := b.fingerprint()
	fn()
	if b.fingerprint() != before {
		b.Error("the store has changed")
	}
}

func (b *bench) fingerprint() string {
	b.Helper()
	h := sha256.New()
	b.must(b.store.View(context.Background(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%q %q\n", e.Key, e.Value)
		}
		return nil
	}))
	return fmt.Sprintf("%x", h.Sum(nil))
}

const (
	noIdentity = "because no identity-based policy allows the "
	noResource = "because no resource-based policy allows the "
	identityNo = "with an explicit deny in an identity-based policy"
)

// images makes a repository with two images, the first under release-1 and dev.
func (b *bench) images(repo string) (one, two string) {
	b.Helper()
	b.repository(repo)
	return b.image(repo, "one", "release-1", "dev"), b.image(repo, "two")
}

func push(manifest string, more obj) obj {
	return merge(obj{"repositoryName": "app", "imageManifest": manifest}, more)
}

func remove(ids ...any) obj { return obj{"repositoryName": "app", "imageIds": arr(ids)} }

// schema1 is a manifest that has a tag of its own.
func schema1(tag string) string {
	return `{"schemaVersion":1,"name":"app","tag":"` + tag + `","architecture":"amd64","fsLayers":[{"blobSum":"` + sum("one") +
		`"}],"history":[{"v1Compatibility":"{}"}]}`
}

const schema1Type = "application/vnd.docker.distribution.manifest.v1+json"

func TestWhoMayOnlyCreateTags(t *testing.T) {
	b := governed(t)
	one, two := b.images("app")
	alice := b.user(account, "alice",
		`{"Effect":"Allow","NotAction":["ecr:PutImage","ecr:BatchDeleteImage"],"Resource":"*"}`,
		where(allow("ecr:PutImage", "*"), `{"Bool":{"berth:TagExists":"false"}}`))
	reason := noIdentity + "ecr:PutImage action"
	alice.mayNot("PutImage", push(two, obj{"imageTag": "dev"}), reason)
	alice.mayNot("PutImage", push(two, obj{"imageTag": "dev", "imageDigest": sum(two)}), reason)
	alice.mayNot("PutImage", push(b.manifest("{}", "one", obj{"annotations": obj{"a": "b"}}), obj{"imageTag": "dev"}), reason)
	alice.mayNot("PutImage", push(schema1("dev"), obj{"imageManifestMediaType": schema1Type}), reason)
	reason = noIdentity + "ecr:BatchDeleteImage action"
	alice.mayNot("BatchDeleteImage", remove(obj{"imageTag": "dev"}), reason)
	alice.mayNot("BatchDeleteImage", remove(obj{"imageDigest": sum(one)}), reason)
	if _, exception := alice.does("PutImage", push(one, obj{"imageTag": "dev"})); exception != "ImageAlreadyExistsException" {
		t.Errorf("what the tag names already: %q", exception)
	}
	alice.may("PutImage", push(two, obj{"imageTag": "new"}))
	alice.may("PutImage", push(b.manifest("{}", "two", obj{"annotations": obj{"c": "d"}}), nil))
	alice.may("PutImage", push(schema1("own"), obj{"imageManifestMediaType": schema1Type}))
}

func TestTagsThatAreDenied(t *testing.T) {
	b := governed(t)
	one, two := b.images("app")
	alice := b.user(account, "alice", allow("ecr:*", "*"), where(
		deny(`{"Effect":"Allow","Action":["ecr:PutImage","ecr:BatchDeleteImage"],"Resource":"*"}`), `{"StringLike":{"berth:ImageTag":"release-*"}}`))
	for _, in := range []obj{
		push(two, obj{"imageTag": "release-1"}),
		push(one, obj{"imageTag": "release-1"}),
		push(two, obj{"imageTag": "release-2", "imageDigest": sum(two)}),
		push(two, obj{"imageTag": "release-2", "repositoryName": "none"}),
		push(schema1("release-3"), obj{"imageManifestMediaType": schema1Type}),
	} {
		alice.mayNot("PutImage", in, identityNo)
	}
	for _, in := range []obj{
		remove(obj{"imageTag": "release-1"}),
		remove(obj{"imageTag": "release-7"}),
		remove(obj{"imageDigest": sum(one)}),
		remove(obj{"imageDigest": sum(one), "imageTag": "dev"}),
		// What comes before stays too.
		remove(obj{"imageDigest": sum(two)}, obj{"imageTag": "dev"}, obj{"imageTag": "release-1"}),
		remove(obj{"imageDigest": sum(two)}, obj{"imageDigest": sum(one)}),
	} {
		alice.mayNot("BatchDeleteImage", in, identityNo)
	}
	alice.may("PutImage", push(two, obj{"imageTag": "Release-1"}))
	out := alice.may("BatchDeleteImage", remove(obj{"imageTag": "dev"}, obj{"imageDigest": sum(two)}, obj{"imageTag": "none"}))
	if gone, failed := out["imageIds"].(arr), out["failures"].(arr); len(gone) != 2 || len(failed) != 1 {
		t.Errorf("removed %v, failed %v", gone, failed)
	}
}

// TestRequestTags: conditions on tags that a request brings, and on those that the
// repository has.
func TestRequestTags(t *testing.T) {
	b := governed(t)
	tags := func(pairs ...string) (list arr) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, obj{"Key": pairs[i], "Value": pairs[i+1]})
		}
		return list
	}
	team := `{"StringEquals":{"aws:RequestTag/Team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["Team","Cost"]}}`
	alice := b.user(account, "alice", where(allow("ecr:CreateRepository", "*"), team), where(allow("ecr:TagResource", "*"), team),
		where(allow("ecr:UntagResource", "*"), `{"ForAllValues:StringEquals":{"aws:TagKeys":"Cost"}}`),
		where(allow("ecr:DeleteRepository", "*"), `{"StringEquals":{"aws:ResourceTag/Team":"red","ecr:ResourceTag/Cost":"1"}}`))
	create := func(list arr) obj { return obj{"repositoryName": "app", "tags": list} }
	reason := noIdentity + "ecr:CreateRepository action"
	alice.mayNot("CreateRepository", obj{"repositoryName": "app"}, reason)
	alice.mayNot("CreateRepository", create(tags("Team", "blue")), reason)
	alice.mayNot("CreateRepository", create(tags("Team", "red", "Other", "")), reason)
	alice.may("CreateRepository", create(tags("Team", "red")))
	tag := func(list arr) obj { return obj{"resourceArn": appARN, "tags": list} }
	alice.mayNot("TagResource", tag(tags("Cost", "1")), noIdentity+"ecr:TagResource action")
	alice.mayNot("DeleteRepository", obj{"repositoryName": "app"}, noIdentity+"ecr:DeleteRepository action")
	alice.may("TagResource", tag(tags("Cost", "1", "Team", "red")))
	alice.mayNot("UntagResource", obj{"resourceArn": appARN, "tagKeys": arr{"Cost", "Team"}}, noIdentity+"ecr:UntagResource action")
	alice.may("UntagResource", obj{"resourceArn": appARN, "tagKeys": arr{"Cost"}})
	alice.mayNot("DeleteRepository", obj{"repositoryName": "app"}, noIdentity+"ecr:DeleteRepository action")
	alice.may("TagResource", tag(tags("Cost", "1", "Team", "red")))
	alice.may("DeleteRepository", obj{"repositoryName": "app"})

	bob := b.user(account, "bob", allow("ecr:CreateRepository", "*")) // and not to tag it
	bob.mayNot("CreateRepository", create(tags("Team", "red")), noIdentity+"ecr:TagResource action")
	bob.may("CreateRepository", obj{"repositoryName": "app"})
}

// described are the repositories that a user is shown, page by page.
func (p person) described(in obj) (names []string) {
	p.Helper()
	for {
		out := p.may("DescribeRepositories", in)
		page, _ := out["repositories"].(arr)
		for _, repo := range page {
			names = append(names, repo.(obj)["repositoryName"].(string))
		}
		token, more := out["nextToken"]
		if size, limited := in["maxResults"].(int); limited && more && len(page) != size {
			p.Errorf("a page of %d that goes on, of %d", len(page), size)
		}
		if !more || len(page) == 0 {
			return names
		}
		in = merge(in, obj{"nextToken": token})
	}
}

func TestDescribeRepositoriesShowsWhatMayBeSeen(t *testing.T) {
	b := governed(t)
	for _, repo := range []string{"a/1", "a/2", "hidden/1", "hidden/2", "z/1", "zz/hidden"} {
		b.repository(repo)
	}
	const describe = "ecr:DescribeRepositories"
	alice := b.user(account, "alice", allow(describe, arnOf("a/*")), allow(describe, arnOf("z/1")))
	mine := []string{"a/1", "a/2", "z/1"}
	for _, in := range []obj{{}, {"maxResults": 1}, {"maxResults": 2}, {"maxResults": 3}, {"registryId": account}} {
		if got := alice.described(in); !slices.Equal(got, mine) {
			t.Errorf("%v: %v", in, got)
		}
	}
	alice.mayNot("DescribeRepositories", obj{"repositoryNames": arr{"a/1", "hidden/1"}}, noIdentity+describe+" action")
	alice.mayNot("DescribeRepositories", obj{"repositoryNames": arr{"a/none", "hidden/none"}}, noIdentity+describe+" action")
	bob := b.user(account, "bob", allow("ecr:BatchGetImage", "*"))
	for _, in := range []obj{{}, {"maxResults": 1}, {"registryId": other}} {
		bob.mayNot("DescribeRepositories", in, "ecr:DescribeRepositories action")
	}
	b.call("SetRepositoryPolicy", obj{"repositoryName": "hidden/2", "policyText": policyOf(
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:user/bob"},"Action":"ecr:Describe*"}`)})
	if got := bob.described(obj{"maxResults": 1}); !slices.Equal(got, []string{"hidden/2"}) {
		t.Errorf("what one's policy shows: %v", got)
	}
	b.call("TagResource", obj{"resourceArn": arnOf("hidden/1"), "tags": arr{obj{"Key": "open", "Value": "yes"}}})
	carol := b.user(account, "carol", where(allow(describe, "*"), `{"StringEquals":{"aws:ResourceTag/open":"yes"}}`))
	if got := carol.described(obj{}); !slices.Equal(got, []string{"hidden/1"}) {
		t.Errorf("what has a tag: %v", got)
	}
	carol.mayNot("BatchGetRepositoryScanningConfiguration", obj{"repositoryNames": arr{"hidden/1"}},
		noIdentity+"ecr:BatchGetRepositoryScanningConfiguration action")
	empty := b.user(other, "empty", allow(describe, "*"))
	if got := empty.described(obj{}); len(got) != 0 {
		t.Errorf("an account without repositories: %v", got)
	}
}

// TestAcrossAccounts: a foreigner has what both accounts give him, by registryId.
func TestAcrossAccounts(t *testing.T) {
	b := governed(t)
	one, _ := b.images("app")
	b.repository("secret")
	b.call("SetRepositoryPolicy", obj{"repositoryName": "app", "policyText": policyOf(
		`{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":["ecr:BatchGetImage","ecr:DescribeRepositories","ecr:GetDownloadUrlForLayer"]}`)})
	both, own := b.user(other, "both", allow("ecr:*", "*")), b.user(other, "own")
	third := b.user("222222222222", "third", allow("ecr:*", "*"))
	in := obj{"registryId": account, "repositoryName": "app", "imageIds": arr{obj{"imageTag": "dev"}}}
	if got := both.may("BatchGetImage", in)["images"].(arr)[0].(obj)["imageManifest"]; got != one {
		t.Errorf("pulled %v", got)
	}
	both.may("GetDownloadUrlForLayer", obj{"registryId": account, "repositoryName": "app", "layerDigest": sum("one")})
	if got := both.described(obj{"registryId": account}); !slices.Equal(got, []string{"app"}) {
		t.Errorf("repositories %v", got)
	}
	const action = "ecr:BatchGetImage action"
	own.mayNot("BatchGetImage", in, noIdentity+action)
	third.mayNot("BatchGetImage", in, noResource+action)
	both.mayNot("BatchGetImage", merge(in, obj{"repositoryName": "secret"}), noResource+action)
	both.mayNot("PutImage", push(one, obj{"registryId": account, "imageTag": "dev"}), noResource+"ecr:PutImage action")
	both.mayNot("TagResource", obj{"resourceArn": appARN, "tags": arr{obj{"Key": "a", "Value": "b"}}}, noResource+"ecr:TagResource action")
	third.mayNot("DescribeRepositories", obj{"registryId": account}, noResource+"ecr:DescribeRepositories action")
}

// TestRegistriesThatOneMayLogInTo: a policy may say of which accounts.
func TestRegistriesThatOneMayLogInTo(t *testing.T) {
	b := governed(t)
	const action = "ecr:GetAuthorizationToken"
	alice := b.user(account, "alice", where(allow(action, "*"), `{"StringEquals":{"aws:ResourceAccount":["`+account+`","`+other+`"]}}`))
	alice.may("GetAuthorizationToken", obj{})
	alice.may("GetAuthorizationToken", obj{"registryIds": arr{account, other}})
	alice.mayNot("GetAuthorizationToken", obj{"registryIds": arr{account, "222222222222"}}, noIdentity+action+" action")
	bob := b.user(account, "bob", allow(action, "*"), where(deny(allow(action, "*")), `{"StringNotEquals":{"aws:ResourceAccount":"`+account+`"}}`))
	bob.may("GetAuthorizationToken", obj{"registryIds": arr{account}})
	bob.mayNot("GetAuthorizationToken", obj{"registryIds": arr{other}}, identityNo)
	b.user(account, "carol", allow("ecr:BatchGetImage", "*")).mayNot("GetAuthorizationToken", obj{"registryIds": arr{account}}, noIdentity+action+" action")
}

// TestNothingTellsWhatIsThere: whoever has no right is answered alike, whatever there is.
func TestNothingTellsWhatIsThere(t *testing.T) {
	b := governed(t)
	one, _ := b.images("app")
	upload := b.call("InitiateLayerUpload", obj{"repositoryName": "app"})["uploadId"]
	stranger, foreigner := b.user(account, "stranger"), b.user(other, "foreigner", allow("ecr:*", "*"))
	for op, in := range built {
		if op == "GetAuthorizationToken" {
			continue // of oneself alone
		}
		for _, who := range []person{stranger, foreigner} {
			answers := map[string]string{}
			for _, real := range []bool{true, false} {
				in := merge(in, nil)
				if _, named := in["repositoryName"]; named && !real {
					in["repositoryName"] = "ape"
				}
				if op == "BatchGetRepositoryScanningConfiguration" && !real {
					in["repositoryNames"] = arr{"ape"}
				}
				if in["resourceArn"] != nil && !real {
					in["resourceArn"] = arnOf("ape")
				}
				if _, named := in["repositoryName"]; named && real {
					in = merge(in, about(op, one, upload))
				}
				if who.account == other {
					if in["repositoryName"] == nil && in["resourceArn"] == nil && op != "DescribeRepositories" {
						continue // of one's own registry
					}
					if in["resourceArn"] == nil {
						in["registryId"] = account
					}
				}
				b.unchanged(func() {
					out, exception := who.does(op, in)
					if exception != "AccessDeniedException" {
						t.Errorf("%s as %s: %v", op, who.name, out)
					}
					answers[strings.ReplaceAll(b.encode(out), "repository/ape", "repository/app")] = b.encode(in)
				})
			}
			if len(answers) > 1 {
				t.Errorf("%s as %s: %v", op, who.name, answers)
			}
		}
	}
}

// about are members of a request that name what is there.
func about(op, manifest string, upload any) obj {
	switch op {
	case "PutImage":
		return obj{"imageManifest": manifest, "imageTag": "dev"}
	case "BatchGetImage", "BatchDeleteImage":
		return obj{"imageIds": arr{obj{"imageTag": "dev"}, obj{"imageDigest": sum(manifest)}}}
	case "UploadLayerPart", "CompleteLayerUpload":
		return obj{"uploadId": upload}
	case "GetDownloadUrlForLayer":
		return obj{"layerDigest": sum("one")}
	}
	return nil
}

// TestUploadsAreTheirOwners: another one with all rights knows nothing of them.
func TestUploadsAreTheirOwners(t *testing.T) {
	b := governed(t)
	b.repository("app")
	alice, bob := b.user(account, "alice", allow("ecr:*", "*")), b.user(account, "bob", allow("ecr:*", "*"))
	id := alice.may("InitiateLayerUpload", obj{"repositoryName": "app"})["uploadId"]
	part := obj{"repositoryName": "app", "uploadId": id, "partFirstByte": 0, "partLastByte": 2, "layerPartBlob": "AAAA"}
	b.unchanged(func() {
		for _, in := range []obj{part, merge(part, obj{"partLastByte": 7})} {
			if out, exception := bob.does("UploadLayerPart", in); exception != "UploadNotFoundException" {
				t.Errorf("a part: %v", out)
			}
		}
		in := obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum("\x00\x00\x00")}}
		if out, exception := bob.does("CompleteLayerUpload", in); exception != "UploadNotFoundException" {
			t.Errorf("its end: %v", out)
		}
	})
	alice.may("UploadLayerPart", part)
}

// BenchmarkDescribeRepositories lists 2,000 repositories as a root whom policies
// govern, and as one whom nothing does.
func BenchmarkDescribeRepositories(b *testing.B) {
	for what, make := range map[string]func() *bench{
		"governed":  func() *bench { return governed(b) },
		"root only": func() *bench { return open(b, func(s *setup) { s.api.Authorizer = auth.RootOnly{} }) },
	} {
		api := make()
		for i := range 2000 {
			api.repository(fmt.Sprintf("team/%04d", i))
		}
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				for in, more := (obj{"maxResults": 1000}), true; more; {
					var token any
					token, more = api.call("DescribeRepositories", in)["nextToken"]
					in = obj{"maxResults": 1000, "nextToken": token}
				}
			}
		})
	}
}
