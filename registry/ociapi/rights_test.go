package ociapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry"
)

// governed starts a server where policies decide.
func governed(t testing.TB, change ...func(*setup)) *door {
	t.Helper()
	return governedNoting(t, nil, change...)
}

// governedNoting is governed with a place for denials.
func governedNoting(t testing.TB, denials *access.Denials, change ...func(*setup)) *door {
	t.Helper()
	policies := &struct{ *access.Authorizer }{}
	d := open(t, append([]func(*setup){func(o *setup) { o.authorizer = policies }}, change...)...)
	var err error
	policies.Authorizer, err = access.New(access.Options{Identities: d.keys, Resources: d.service, Denials: denials})
	must(t, err)
	return d
}

// statements is a policy of them.
func statements(list ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

// where is a statement under a condition.
func where(statement, condition string) string {
	return strings.TrimSuffix(statement, "}") + `,"Condition":` + condition + `}`
}

func deny(statement string) string { return strings.Replace(statement, `"Allow"`, `"Deny"`, 1) }

// user makes a user with a policy, "" for none, and is an option to ask as him.
func (d *door) user(account, name, text string) option {
	d.t.Helper()
	_, err := d.keys.CreateUser(d.t.Context(), account, accounts.NewUser{Name: name})
	must(d.t, err)
	key, err := d.keys.CreateFor(d.t.Context(), account, name)
	must(d.t, err)
	if text != "" {
		d.govern(account, name, text)
	}
	return as(d.passwordOf(account, key.ID, region))
}

// govern gives a user another policy.
func (d *door) govern(account, name, text string) {
	d.t.Helper()
	must(d.t, d.keys.PutInline(d.t.Context(), accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: name}, "own", text))
}

// grant gives a repository a policy.
func (d *door) grant(repo, text string) {
	d.t.Helper()
	_, err := d.service.SetRepositoryPolicy(d.ctx(), name(d.t, repo), text, true)
	must(d.t, err)
}

// movable makes a repository with two images: one under release-1 and dev, the other
// without a tag.
func (d *door) movable(repo string) (one, two string) {
	d.t.Helper()
	d.create(repo)
	one = d.tag(repo, "release-1", "one")
	want(d.t, d.put(repo, "dev", v1.MediaTypeImageManifest, one), 201, "")
	two = d.image(repo, nil, "two")
	want(d.t, d.put(repo, sha256Of(two).String(), v1.MediaTypeImageManifest, two), 201, "")
	return one, two
}

// TestWhoMayOnlyCreateTags: nothing of what there is can be moved, by any path.
func TestWhoMayOnlyCreateTags(t *testing.T) {
	d := governed(t)
	one, two := d.movable("team/app")
	subject := strings.Replace(sha256Of(one).String(), ":", "-", 1)
	want(t, d.put("team/app", subject, v1.MediaTypeImageIndex, indexOf(t, two)), 201, "")
	user := d.user(account, "alice", statements(
		`{"Effect":"Allow","NotAction":["ecr:PutImage","ecr:BatchDeleteImage"],"Resource":"*"}`,
		where(allow("ecr:PutImage", "*"), `{"Bool":{"berth:TagExists":"false"}}`),
	))
	third := d.image("team/app", nil, "three")
	put := func(ref, mediaType, manifest string) answer {
		return d.do("PUT", "/v2/team/app/manifests/"+ref, with("Content-Type", mediaType), body(manifest), user)
	}
	image := v1.MediaTypeImageManifest
	d.unchanged(func() {
		for what, try := range map[string]func() answer{
			"a new image":                   func() answer { return put("dev", image, third) },
			"an image that is there":        func() answer { return put("dev", image, two) },
			"by digest":                     func() answer { return put(sha256Of(third).String()+"?tag=dev", image, third) },
			"by digest, behind others":      func() answer { return put(sha256Of(two).String()+"?tag=new&tag=dev", image, two) },
			"by tag and digest":             func() answer { return put("x@"+sha256Of(two).String()+"?tag=dev", image, two) },
			"an image without its layers":   func() answer { return put("dev", image, lacking(t)) },
			"the fallback of referrers":     func() answer { return put(subject, v1.MediaTypeImageIndex, indexOf(t, one)) },
			"removal of the tag":            func() answer { return d.do("DELETE", "/v2/team/app/manifests/dev", user) },
			"removal of the image":          func() answer { return d.do("DELETE", "/v2/team/app/manifests/"+sha256Of(one).String(), user) },
			"removal of one without a tag":  func() answer { return d.do("DELETE", "/v2/team/app/manifests/"+sha256Of(two).String(), user) },
			"removal of a layer":            func() answer { return d.do("DELETE", "/v2/team/app/blobs/"+sha256Of("one").String(), user) },
			"an image under a hundred tags": func() answer { return put(sha256Of(two).String()+"?tag=a"+strings.Repeat("&tag=dev", 99), image, two) },
		} {
			if a := try(); a.status != 403 || a.code() != "DENIED" {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
		}
		want(t, put("dev", image, one), 201, "") // what it names already
	})
	want(t, put("new", image, two), 201, "")
	want(t, put("newer", image, third), 201, "")
	want(t, put(sha256Of(third).String()+"?tag=a&tag=b", image, third), 201, "")
	want(t, put(sha256Of(third).String(), image, third), 201, "")
	want(t, put("new", image, third), 403, "DENIED")
}

// lacking is a manifest of blobs that are nowhere.
func lacking(t testing.TB) string {
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{}}
	m.SchemaVersion = 2
	m.Config = v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: sha256Of("nowhere").OCI(), Size: 7}
	return marshal(t, m)
}

// TestTagsThatAreDenied: a denial of tags holds wherever a tag may be named.
func TestTagsThatAreDenied(t *testing.T) {
	for _, compat := range []func(*setup){func(*setup) {}, likeECR} {
		d := governed(t, compat)
		one, two := d.movable("team/app")
		user := d.user(account, "alice", statements(allow("ecr:*", "*"), where(
			deny(`{"Effect":"Allow","Action":["ecr:PutImage","ecr:BatchDeleteImage"],"Resource":"*"}`),
			`{"StringLike":{"berth:ImageTag":"release-*"}}`,
		)))
		put := func(repo, ref, manifest string) answer {
			return d.do("PUT", "/v2/"+repo+"/manifests/"+ref, with("Content-Type", v1.MediaTypeImageManifest), body(manifest), user)
		}
		oneIs, twoIs := sha256Of(one).String(), sha256Of(two).String()
		d.unchanged(func() {
			for what, a := range map[string]answer{
				"move it":              put("team/app", "release-1", two),
				"put it again":         put("team/app", "release-1", one),
				"make one":             put("team/app", "release-2", two),
				"in a query":           put("team/app", twoIs+"?tag=release-2", two),
				"among others":         put("team/app", twoIs+"?tag=a&tag=release-2&tag=b", two),
				"of nothing":           put("team/none", "release-1", two),
				"remove it":            d.do("DELETE", "/v2/team/app/manifests/release-1", user),
				"remove one of none":   d.do("DELETE", "/v2/team/app/manifests/release-7", user),
				"remove what has it":   d.do("DELETE", "/v2/team/app/manifests/"+oneIs, user),
				"by a tag that is not": d.do("DELETE", "/v2/team/app/manifests/dev@"+oneIs, user),
			} {
				want(t, a, 403, "DENIED")
				if !strings.Contains(a.body, "with an explicit deny in an identity-based policy") {
					t.Errorf("%s: %s", what, a.body)
				}
			}
		})
		want(t, put("team/app", "Release-1", two), 201, "") // another tag
		want(t, put("team/app", twoIs+"?tag=a&tag=b", two), 201, "")
		want(t, d.do("DELETE", "/v2/team/app/manifests/dev", user), 202, "")
		want(t, d.do("DELETE", "/v2/team/app/manifests/"+twoIs, user), 202, "")
	}
}

// TestConditionsOnWhatIsPushed: digest and media type are known to policies too.
func TestConditionsOnWhatIsPushed(t *testing.T) {
	d := governed(t)
	_, two := d.movable("team/app")
	index := indexOf(t, two)
	byType := d.user(account, "bob", statements(where(allow("ecr:PutImage", "*"), `{"StringEquals":{"berth:MediaType":"`+v1.MediaTypeImageIndex+`"}}`)))
	byDigest := d.user(account, "carol", statements(where(allow("ecr:PutImage", "*"), `{"StringEquals":{"berth:ImageDigest":"`+sha256Of(index).String()+`"}}`)))
	for _, user := range []option{byType, byDigest} {
		d.unchanged(func() {
			want(t, d.do("PUT", "/v2/team/app/manifests/x", with("Content-Type", v1.MediaTypeImageManifest), body(two), user), 403, "DENIED")
		})
		want(t, d.do("PUT", "/v2/team/app/manifests/x", with("Content-Type", v1.MediaTypeImageIndex), body(index), user), 201, "")
	}
}

// catalog is the names of a page and the address of the next one.
func (d *door) catalog(query string, who option) (names []string, next string) {
	d.t.Helper()
	a := d.do("GET", "/v2/_catalog"+query, who)
	want(d.t, a, 200, "")
	var list struct{ Repositories []string }
	must(d.t, json.Unmarshal([]byte(a.body), &list))
	if link := a.header.Get("Link"); link != "" {
		next = link[strings.Index(link, "?"):strings.Index(link, ">")]
	}
	return list.Repositories, next
}

func TestCatalogShowsWhatMayBeSeen(t *testing.T) {
	d := governed(t)
	all := []string{"a/1", "a/2", "hidden/1", "hidden/2", "z/1", "z/2", "zz/hidden"}
	d.create(all...)
	describe := "ecr:DescribeRepositories"
	d.grant("hidden/1", statements(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+account+`:root"},"Action":"ecr:*"}`))
	some := d.user(account, "alice", statements(allow(describe, arn("a/*")), allow(describe, arn("z/?"))))
	every := d.user(account, "bob", statements(allow("ecr:*", "*")))
	none := d.user(account, "carol", statements(allow("ecr:BatchGetImage", "*")))
	mine := []string{"a/1", "a/2", "z/1", "z/2"}
	for _, tt := range []struct {
		who  option
		want []string
	}{{some, mine}, {every, all}, {as(d.password), all}} {
		for _, query := range []string{"", "?n=1", "?n=2", "?n=3", "?n=4", "?n=100"} {
			var got []string
			for next := query; ; {
				page, behind := d.catalog(next, tt.who)
				got = append(got, page...)
				if behind == "" {
					break
				}
				if query != "" && strings.Contains(behind, "hidden") && !slices.Contains(tt.want, "hidden/1") || "?n="+string('0'+rune(len(page))) != query {
					t.Errorf("%s: a page of %d goes on at %s", query, len(page), behind)
				}
				next = behind
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	}
	if page, _ := d.catalog("?last=zz", some); len(page) != 0 {
		t.Errorf("behind all: %v", page)
	}
	for _, query := range []string{"", "?n=1", "?last=z", "?last=hidden/1&n=1"} {
		a := d.do("GET", "/v2/_catalog"+query, none)
		want(t, a, 403, "DENIED")
		if sentence := "is not authorized to perform: " + describe + " on resource: " + here.ARN("*"); !strings.Contains(a.body, sentence) {
			t.Errorf("%s: %s", query, a.body)
		}
		want(t, d.do("HEAD", "/v2/_catalog"+query, none), 403, "")
	}
	d.grant("a/2", statements(`{"Effect":"Deny","Principal":"*","Action":"ecr:Describe*"}`))
	if page, _ := d.catalog("", as(d.password)); slices.Contains(page, "a/2") || len(page) != len(all)-1 {
		t.Errorf("with one that denies it: %v", page)
	}
}

// TestNothingTellsWhatIsThere: whoever has no right learns nothing from an answer,
// whatever it is asked of.
func TestNothingTellsWhatIsThere(t *testing.T) {
	d := governed(t)
	manifest := d.tagIn("team/app", "v1")
	upload := d.start("team/app")
	there := map[string]string{"repo": "team/app", "tag": "v1", "digest": sha256Of(manifest).String(), "blob": sha256Of("layer").String(), "upload": upload[strings.LastIndex(upload, "/")+1:]}
	absent := map[string]string{"repo": "team/none", "tag": "v2", "digest": sha256Of("other").String(), "blob": sha256Of("none").String(), "upload": "0123456789abcdef0123456789abcdef"}
	paths := []string{
		"/v2/REPO/tags/list", "/v2/REPO/manifests/TAG", "/v2/REPO/manifests/DIGEST", "/v2/REPO/manifests/DIGEST?tag=TAG", "/v2/REPO/manifests/TAG@DIGEST",
		"/v2/REPO/blobs/BLOB", "/v2/REPO/blobs/uploads/", "/v2/REPO/blobs/uploads/?digest=BLOB", "/v2/REPO/blobs/uploads/?mount=BLOB&from=REPO",
		"/v2/REPO/blobs/uploads/UPLOAD", "/v2/REPO/blobs/uploads/UPLOAD?digest=BLOB", "/v2/REPO/referrers/DIGEST",
	}
	stranger := d.user(account, "stranger", "")
	foreigner := d.user(other, "foreigner", statements(allow("ecr:*", "*")))
	date := regexp.MustCompile(`\d\d:\d\d:\d\d`)
	for who, user := range map[string]option{"stranger": stranger, "foreigner": foreigner, "nobody": as("")} {
		for _, path := range paths {
			if who == "foreigner" {
				path = strings.Replace(strings.Replace(path, "/v2/", "/v2/"+account+"/"+region+"/", 1), "from=", "from="+account+"/"+region+"/", 1)
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				answers := map[string]bool{}
				for _, set := range []map[string]string{there, absent, mixed(there, absent, "repo"), mixed(there, absent, "tag", "repo"), mixed(there, absent, "upload", "repo")} {
					d.unchanged(func() {
						a := d.do(method, fill(path, set), body(manifest), with("Content-Type", v1.MediaTypeImageManifest), user)
						if a.status < 400 {
							t.Errorf("%s: %s: %d", who, a.request, a.status)
						}
						a.header.Del("Date")
						text := marshal(t, []any{a.status, a.header, strings.ReplaceAll(a.body, set["repo"], "REPO")})
						answers[date.ReplaceAllString(text, "")] = true
					})
				}
				for length := range answers { // the one with the longer name is longer
					delete(answers, length)
					answers[regexp.MustCompile(`"Content-Length":\["\d+"\]`).ReplaceAllString(length, "")] = true
				}
				if len(answers) != 1 {
					t.Errorf("%s: %s %s: %d answers: %v", who, method, path, len(answers), answers)
				}
			}
		}
	}
}

// tagIn makes a repository with an image.
func (d *door) tagIn(repo, tag string) string {
	d.t.Helper()
	d.create(repo)
	return d.tag(repo, tag, "layer")
}

func fill(path string, set map[string]string) string {
	for name, value := range set {
		path = strings.ReplaceAll(path, strings.ToUpper(name), value)
	}
	return path
}

// mixed is b with some of a's.
func mixed(a, b map[string]string, from ...string) map[string]string {
	m := map[string]string{}
	for name := range b {
		m[name] = b[name]
		if slices.Contains(from, name) {
			m[name] = a[name]
		}
	}
	return m
}

// TestUploadsAreTheirOwners: whoever may upload to a repository still knows nothing of
// the uploads of others there, nor of one's own elsewhere.
func TestUploadsAreTheirOwners(t *testing.T) {
	d := governed(t)
	d.create("team/app", "team/other")
	all := statements(allow("ecr:*", "*"))
	alice, bob := d.user(account, "alice", all), d.user(account, "bob", all)
	a := d.do("POST", "/v2/team/app/blobs/uploads/", alice)
	want(t, a, 202, "")
	path := pathOf(t, a.header.Get("Location"))
	elsewhere := strings.Replace(path, "team/app", "team/other", 1)
	want(t, d.do("PATCH", path, alice, body("half")), 202, "")
	digest := "?digest=" + sha256Of("half").String()
	d.unchanged(func() {
		for _, user := range []struct {
			option
			path string
		}{{bob, path}, {as(d.password), path}, {alice, elsewhere}} {
			for _, method := range []string{"GET", "HEAD", "PATCH", "PUT", "DELETE"} {
				at := user.path
				if method == "PUT" {
					at += digest
				}
				a := d.do(method, at, user.option, body("half"))
				if a.status != 404 || method != "HEAD" && a.code() != "BLOB_UPLOAD_UNKNOWN" {
					t.Errorf("%s: %d %s", a.request, a.status, a.body)
				}
			}
		}
	})
	want(t, d.do("PUT", path+digest, alice), 201, "")
}

// TestAcrossAccounts: a foreigner has what both accounts give him, however he names the
// registry.
func TestAcrossAccounts(t *testing.T) {
	d := governed(t)
	manifest := d.tagIn("team/app", "v1")
	d.tagIn("team/secret", "v1")
	foreign := strings.Replace(account, "1", "9", 1) // a third one, to which nothing is granted
	pull := `{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:ListImages"]}`
	d.grant("team/app", statements(pull))
	able := statements(allow("ecr:*", "*"))
	both, own, third := d.user(other, "both", able), d.user(other, "own", ""), d.user(foreign, "third", able)
	key, err := d.keys.Create(t.Context(), other)
	must(t, err)
	root := as(d.passwordOf(other, key.ID, region))
	for what, at := range map[string]struct {
		prefix string
		option
	}{
		"by path": {"/v2/" + account + "/" + region + "/", func(*http.Request) {}},
		"by host": {"/v2/", toHost(account + ".dkr.ecr." + region + ".amazonaws.com")},
	} {
		for _, path := range []string{"team/app/manifests/v1", "team/app/blobs/" + sha256Of("layer").String(), "team/app/tags/list"} {
			for _, who := range []option{both, root} {
				want(t, d.do("GET", at.prefix+path, at.option, who), 200, "")
			}
			for suffix, who := range map[string]option{"no identity-based policy": own, "no resource-based policy": third} {
				a := d.do("GET", at.prefix+path, at.option, who)
				want(t, a, 403, "DENIED")
				if !strings.Contains(a.body, suffix) {
					t.Errorf("%s, %s: %s", what, path, a.body)
				}
			}
			want(t, d.do("GET", at.prefix+strings.Replace(path, "app", "secret", 1), at.option, both), 403, "DENIED")
		}
		d.unchanged(func() {
			a := d.do("PUT", at.prefix+"team/app/manifests/v2", at.option, both, with("Content-Type", v1.MediaTypeImageManifest), body(manifest))
			want(t, a, 403, "DENIED")
			want(t, d.do("GET", at.prefix+"_catalog", at.option, both), 403, "DENIED")
			want(t, d.do("POST", at.prefix+"team/app/blobs/uploads/", at.option, both), 403, "DENIED")
		})
	}
	d.grant("team/app", statements(strings.Replace(pull, `"ecr:ListImages"`, `"ecr:DescribeRepositories"`, 1)))
	if page, _ := d.catalog("", func(r *http.Request) {
		both(r)
		toHost(account + ".dkr.ecr." + region + ".amazonaws.com")(r)
	}); !slices.Equal(page, []string{"team/app"}) {
		t.Errorf("catalog across accounts: %v", page)
	}
}

// TestMountAsksForTheSource: what cannot be read there is as if it were not there.
func TestMountAsksForTheSource(t *testing.T) {
	d := governed(t)
	d.create("team/from", "team/app", "team/empty")
	dig := d.push("team/from", "shared").Digest.String()
	user := d.user(account, "alice", statements(allow("ecr:*", arn("team/app"))))
	d.unchanged(func() {
		var answers []string
		for _, query := range []string{"&from=team/from", "&from=team/empty", "&from=team/none", ""} {
			a := d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig+query, user)
			want(t, a, 202, "")
			text := strings.ReplaceAll(marshal(t, a.header), a.header.Get("Docker-Upload-UUID"), "ID")
			answers = append(answers, regexp.MustCompile(`"Date":\[[^]]*\]`).ReplaceAllString(text, "")+a.body)
		}
		if slices.Sort(answers); answers[0] != answers[3] {
			t.Errorf("answers differ: %v", answers)
		}
	})
	d.govern(account, "alice", statements(allow("ecr:*", arn("team/app")), allow("ecr:Get*", arn("team/from"))))
	want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig, user), 202, "")
	d.grant("team/from", statements(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+account+`:user/alice"},"Action":"ecr:BatchCheckLayerAvailability"}`))
	want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig, user), 201, "")
}

// TestCreateOnPushNeedsItsRight: whoever may push all there is makes nothing.
func TestCreateOnPushNeedsItsRight(t *testing.T) {
	d := governed(t, func(o *setup) { o.registry.CreateOnPush = registry.CreateAlways })
	user := d.user(account, "alice", statements(`{"Effect":"Allow","NotAction":"ecr:CreateRepository","Resource":"*"}`))
	d.unchanged(func() {
		want(t, d.do("POST", "/v2/team/new/blobs/uploads/", user), 404, "NAME_UNKNOWN")
		a := d.do("PUT", "/v2/team/new/manifests/v1", user, with("Content-Type", v1.MediaTypeImageIndex), body(indexOf(t)))
		want(t, a, 404, "NAME_UNKNOWN")
	})
	d.govern(account, "alice", statements(allow("ecr:*", arn("team/*"))))
	want(t, d.do("POST", "/v2/other/new/blobs/uploads/", user), 403, "DENIED")
	want(t, d.do("POST", "/v2/team/new/blobs/uploads/", user), 202, "")
}

// What a request would need where things are otherwise is no denial: to make the
// repository that is there, or to mount from one that cannot be read.
func TestOnlyWhatIsAskedForIsDenied(t *testing.T) {
	denials := access.NewDenials(10)
	d := governedNoting(t, denials)
	d.create("team/app", "team/shut")
	layer := d.push("team/shut", "bytes").Digest.String()
	pusher := d.user(account, "pusher", statements(allow("ecr:*LayerUpload", arn("team/app")), allow("ecr:PutImage", arn("team/app"))))
	want(t, d.do("POST", "/v2/team/app/blobs/uploads/", pusher), 202, "")
	want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+layer+"&from=team/shut", pusher), 202, "")
	if list := denials.Latest(10); len(list) != 0 {
		t.Errorf("noted %+v", list)
	}
	want(t, d.do("GET", "/v2/team/shut/tags/list", pusher), 403, "DENIED")
	if list := denials.Latest(10); len(list) != 1 || list[0].Check.Action != "ecr:ListImages" {
		t.Errorf("noted %+v", list)
	}
}
