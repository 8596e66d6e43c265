package ociapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// everyPath has a path of each kind, and some of none.
var everyPath = []string{
	"/v2", "/v2/", "/v2/_catalog", "/v2/team/app/tags/list", "/v2/team/app/manifests/1", "/v2/team/none/manifests/1",
	"/v2/team/app/manifests/" + someDigest, "/v2/team/app/blobs/" + someDigest, "/v2/team/app/blobs/uploads/",
	"/v2/team/app/blobs/uploads/?mount=" + someDigest + "&from=team/from", "/v2/team/app/blobs/uploads/1-2",
	"/v2/team/app/referrers/" + someDigest, "/v2/nothing", "/v2/team%2fapp/tags/list", "/v2/Bad/tags/list", "/v2/../..", "/V2/",
}

const challenge = `Basic realm="` + base + `/",service="ecr.amazonaws.com"`

func TestUnauthorized(t *testing.T) {
	d := open(t)
	d.create("team/app")
	d.tag("team/app", "1", "layer")
	d.unchanged(func() {
		for _, path := range everyPath {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
				a := d.do(method, path, as(""), body("{}"))
				if a.status != 401 || method != "HEAD" && a.code() != "UNAUTHORIZED" {
					t.Errorf("%s: %d %s", a.request, a.status, a.code())
				}
				wantHeader(t, a, "Www-Authenticate", challenge, "Allow", "")
			}
		}
	})
}

func TestBadCredentials(t *testing.T) {
	d := open(t)
	flipped := []byte(d.password)
	flipped[len(flipped)/2] ^= 1
	basic := func(s string) option { return with("Authorization", "Basic "+s) }
	encoded := func(s string) option { return basic(base64.StdEncoding.EncodeToString([]byte(s))) }
	foreign := open(t)
	theirs, _, err := mustVerifier(t, foreign.keys, 3).Password(context.Background(), rootOf(account, foreign.key.ID, region))
	must(t, err)
	tests := map[string][]option{
		"empty":            {with("Authorization", "")},
		"no credentials":   {with("Authorization", "Basic")},
		"garbled":          {basic("!!!")},
		"not padded":       {basic(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("AWS:"+d.password+"x")), "=") + "!")},
		"no colon":         {encoded("AWS")},
		"not UTF-8":        {encoded("AWS:\xff\xfe")},
		"empty password":   {encoded("AWS:")},
		"NUL":              {encoded("AWS:" + d.password + "\x00")},
		"another user":     {encoded("root:" + d.password)},
		"user in lower":    {encoded("aws:" + d.password)},
		"no user":          {encoded(":" + d.password)},
		"bit flipped":      {encoded("AWS:" + string(flipped))},
		"truncated":        {encoded("AWS:" + d.password[:len(d.password)-1])},
		"another server's": {encoded("AWS:" + theirs)},
		"bearer":           {with("Authorization", "Bearer "+d.password)},
		"bearer of none":   {with("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")},
		"signature":        {with("Authorization", "AWS4-HMAC-SHA256 Credential="+d.key.ID+"/20260301/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=00")},
		"access key":       {encoded(d.key.ID + ":" + d.key.Secret.Reveal())},
		"twice":            {encoded("AWS:" + d.password), encoded("AWS:" + d.password)},
		"with a bearer":    {encoded("AWS:" + d.password), with("Authorization", "Bearer x")},
		"huge":             {encoded("AWS:" + strings.Repeat("a", 100_000))},
	}
	for what, options := range tests {
		a := d.do("GET", "/v2/", append([]option{as("")}, options...)...)
		a.request = what
		want(t, a, 401, "UNAUTHORIZED")
		wantHeader(t, a, "Www-Authenticate", challenge)
	}
	for _, scheme := range []string{"Basic", "basic", "BASIC"} {
		token := base64.StdEncoding.EncodeToString([]byte("AWS:" + d.password))
		want(t, d.do("GET", "/v2/", as(""), with("Authorization", scheme+" "+token)), 200, "")
	}
	if strings.Contains(d.log.String(), d.password) {
		t.Error("the log has the password")
	}
}

// mustVerifier makes a verifier with a master key of its own.
func mustVerifier(t *testing.T, keys *accounts.Store, b byte) *credentials.Verifier {
	t.Helper()
	master := []byte(strings.Repeat(string(rune(b)), 32))
	v, err := credentials.New(credentials.Options{Accounts: keys, TokenKeys: [][]byte{master}})
	must(t, err)
	return v
}

func TestPasswordEnds(t *testing.T) {
	d := open(t)
	want(t, d.do("GET", "/v2/"), 200, "")
	d.advance(12*time.Hour - time.Second)
	want(t, d.do("GET", "/v2/"), 200, "")
	d.advance(time.Second)
	want(t, d.do("GET", "/v2/"), 401, "UNAUTHORIZED")
	d.advance(-12*time.Hour - time.Second)
	want(t, d.do("GET", "/v2/"), 401, "UNAUTHORIZED") // issued in the future

	d = open(t)
	must(t, d.keys.SetActive(t.Context(), d.key.ID, false))
	want(t, d.do("GET", "/v2/"), 401, "UNAUTHORIZED")
	must(t, d.keys.SetActive(t.Context(), d.key.ID, true))
	want(t, d.do("GET", "/v2/"), 200, "")
	must(t, d.keys.Delete(t.Context(), d.key.ID))
	want(t, d.do("GET", "/v2/"), 401, "UNAUTHORIZED")
}

func TestPing(t *testing.T) {
	d := open(t)
	for _, path := range []string{"/v2", "/v2/"} {
		a := d.do("GET", path)
		want(t, a, 200, "")
		wantHeader(t, a, "Content-Type", "application/json", "Www-Authenticate", "")
		if a.body != "{}\n" {
			t.Errorf("body %q", a.body)
		}
		want(t, d.do("HEAD", path), 200, "")
	}
}

// TestMethods: a method that a path does not have is refused with those that
// it has.
func TestMethods(t *testing.T) {
	d := open(t)
	d.create("team/app")
	paths := map[string]string{
		"root": "/v2/", "catalog": "/v2/_catalog", "tags": "/v2/team/app/tags/list", "manifests": "/v2/team/app/manifests/1",
		"blobs": "/v2/team/app/blobs/" + someDigest, "uploads": "/v2/team/app/blobs/uploads/",
		"upload": "/v2/team/app/blobs/uploads/1-2", "referrers": "/v2/team/app/referrers/" + someDigest,
	}
	for kind, methods := range ociapi.Operations() {
		slices.Sort(methods)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(methods, method) {
				continue
			}
			d.unchanged(func() {
				a := d.do(method, paths[kind])
				if a.status != 405 || method != "HEAD" && a.code() != "UNSUPPORTED" {
					t.Errorf("%s: %d %s", a.request, a.status, a.code())
				}
				wantHeader(t, a, "Allow", strings.Join(methods, ", "))
			})
		}
	}
}

// asking notes what it is asked, and lets everyone do everything but one
// action.
type asking struct {
	mu   sync.Mutex
	asks []string // action and resource
	deny string
}

func (a *asking) Authorize(_ context.Context, c auth.Check) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asks = append(a.asks, c.Action+" "+c.Resource)
	if c.Action == a.deny {
		return &auth.Denied{Check: c, Reason: "because no identity-based policy allows the " + c.Action + " action"}
	}
	return nil
}

// request is one of those that TestActions makes.
type request struct {
	kind, method, path string
	options            []option
	actions            []string // that it must be allowed
}

// requests are all that the door does, to a layer, a manifest and an upload.
func requests(layer, m, path string) []request {
	return []request{
		{"root", "GET", "/v2/", nil, nil},
		{"root", "HEAD", "/v2/", nil, nil},
		{"catalog", "GET", "/v2/_catalog", nil, []string{"DescribeRepositories"}},
		{"catalog", "HEAD", "/v2/_catalog", nil, []string{"DescribeRepositories"}},
		{"tags", "GET", "/v2/team/app/tags/list", nil, []string{"ListImages"}},
		{"tags", "HEAD", "/v2/team/app/tags/list", nil, []string{"ListImages"}},
		{"manifests", "GET", "/v2/team/app/manifests/1", nil, []string{"BatchGetImage"}},
		{"manifests", "HEAD", "/v2/team/app/manifests/1", nil, []string{"BatchGetImage"}},
		{"manifests", "PUT", "/v2/team/app/manifests/2", []option{body(m)}, []string{"PutImage"}},
		{"manifests", "DELETE", "/v2/team/app/manifests/1", nil, []string{"BatchDeleteImage"}},
		{"blobs", "GET", "/v2/team/app/blobs/" + layer, nil, []string{"GetDownloadUrlForLayer"}},
		{"blobs", "HEAD", "/v2/team/app/blobs/" + layer, nil, []string{"BatchCheckLayerAvailability"}},
		{"blobs", "DELETE", "/v2/team/app/blobs/" + layer, nil, []string{"BatchDeleteImage"}},
		{"uploads", "POST", "/v2/team/app/blobs/uploads/", nil, []string{"InitiateLayerUpload"}},
		{"uploads", "POST", "/v2/team/app/blobs/uploads/?digest=" + sha256Of("x").String(), []option{body("x")},
			[]string{"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"}},
		{"upload", "GET", path, nil, []string{"UploadLayerPart"}},
		{"upload", "HEAD", path, nil, []string{"UploadLayerPart"}},
		{"upload", "PATCH", path, []option{body("x")}, []string{"UploadLayerPart"}},
		{"upload", "PUT", path + "?digest=" + sha256Of("").String(), nil, []string{"CompleteLayerUpload"}},
		{"upload", "PUT", path + "?digest=" + sha256Of("x").String(), []option{body("x")}, []string{"CompleteLayerUpload", "UploadLayerPart"}},
		{"upload", "PUT", path + "?digest=" + sha256Of("x").String(), []option{stream(strings.NewReader("x"))}, []string{"CompleteLayerUpload", "UploadLayerPart"}},
		{"upload", "DELETE", path, nil, []string{"UploadLayerPart"}},
		{"referrers", "GET", "/v2/team/app/referrers/" + layer, nil, []string{"BatchGetImage"}},
		{"referrers", "HEAD", "/v2/team/app/referrers/" + layer, nil, []string{"BatchGetImage"}},
	}
}

// TestActions: what each request must be allowed, and that it does nothing
// when any of it is not.
func TestActions(t *testing.T) {
	rules := &asking{}
	d := open(t, func(s *setup) { s.authorizer = auth.AuthorizerFunc(rules.Authorize) })
	d.create("team/app")
	layer := d.push("team/app", "layer").Digest.String()
	m := d.image("team/app", nil, "layer")
	want(t, d.put("team/app", "1", imageType, m), 201, "")
	tried := map[string][]string{}
	for _, r := range requests(layer, m, d.start("team/app")) {
		if !slices.Contains(tried[r.kind], r.method) {
			tried[r.kind] = append(tried[r.kind], r.method)
		}
		for _, action := range r.actions {
			rules.deny = "ecr:" + action
			d.unchanged(func() { d.denied(r, action) })
		}
	}
	all := ociapi.Operations()
	for _, table := range []map[string][]string{tried, all} {
		for kind := range table {
			slices.Sort(table[kind])
		}
	}
	if diff := cmp.Diff(all, tried); diff != "" {
		t.Errorf("operations and those tried here: -all +tried\n%s", diff)
	}
	rules.deny, rules.asks = "", nil
	d.do("GET", "/v2/")
	if len(rules.asks) > 0 {
		t.Errorf("a ping asks for %v", rules.asks)
	}
}

// denied makes a request that must be refused for want of an action.
func (d *door) denied(r request, action string) {
	d.t.Helper()
	a := d.do(r.method, r.path, r.options...)
	if r.method == "HEAD" {
		want(d.t, a, 403, "")
		return
	}
	want(d.t, a, 403, "DENIED")
	resource := arn("team/app")
	if r.kind == "catalog" {
		resource = arn("*")
	}
	sentence := "User: arn:aws:iam::" + account + ":root is not authorized to perform: ecr:" + action + " on resource: " +
		resource + " because no identity-based policy allows the ecr:" + action + " action"
	if !strings.Contains(a.body, sentence) {
		d.t.Errorf("%s says %q, want %q", a.request, a.body, sentence)
	}
}

func TestUndecided(t *testing.T) {
	d := open(t, func(s *setup) {
		s.authorizer = auth.AuthorizerFunc(undecided{"ecr:ListImages": true, "ecr:CreateRepository": true}.Authorize)
	})
	d.create("team/app")
	d.unchanged(func() {
		want(t, d.do("GET", "/v2/team/app/tags/list"), 500, "UNKNOWN")
		want(t, d.do("POST", "/v2/team/app/blobs/uploads/"), 500, "UNKNOWN")
		want(t, d.put("team/app", "1", indexType, indexOf(t)), 500, "UNKNOWN")
	})
}

func TestWhichRegistry(t *testing.T) {
	d := open(t, func(s *setup) { s.authorizer = auth.AuthorizerFunc(anyone{}.Authorize) })
	for _, id := range []registry.ID{{Account: account, Region: region}, {Account: other, Region: region}, {Account: account, Region: "eu-west-1"}} {
		n, err := registry.ParseName(id, "team/app")
		must(t, err)
		_, err = d.service.CreateRepository(d.ctx(), n, registry.Settings{})
		must(t, err)
		tag, err := registry.ParseTag("of-" + id.Account + "-" + id.Region)
		must(t, err)
		_, err = d.service.PutImage(d.ctx(), n, registry.Push{Tags: []registry.Tag{tag}, Body: []byte(indexOf(t))})
		must(t, err)
	}
	irish := d.passwordOf(account, d.key.ID, "eu-west-1")
	tests := []struct {
		host, path, password string
		status               int
		tag                  string
	}{
		{"localhost:5000", "team/app", d.password, 200, "of-" + account + "-" + region},
		{"localhost:5000", "team/app", irish, 200, "of-" + account + "-eu-west-1"},
		{"localhost:5000", other + "/" + region + "/team/app", d.password, 200, "of-" + other + "-" + region},
		{"localhost:5000", other + "/eu-west-1/team/app", d.password, 401, ""},
		{"localhost:5000", account + "/eu-west-1/team/app", irish, 200, "of-" + account + "-eu-west-1"},
		{account + ".dkr.ecr." + region + ".amazonaws.com", "team/app", d.password, 200, "of-" + account + "-" + region},
		{other + ".dkr.ecr." + region + ".localhost:5000", "team/app", d.password, 200, "of-" + other + "-" + region},
		{other + ".dkr-ecr." + region + ".on.aws", "team/app", d.password, 200, "of-" + other + "-" + region},
		{other + ".dkr.ecr-fips." + region + ".amazonaws.com", "team/app", d.password, 200, "of-" + other + "-" + region},
		{account + ".dkr.ecr.eu-west-1.amazonaws.com", "team/app", d.password, 401, ""},
		{account + ".dkr.ecr.eu-west-1.amazonaws.com", "team/app", irish, 200, "of-" + account + "-eu-west-1"},
		{account + ".dkr.ecr.nowhere-1.amazonaws.com", "team/app", d.password, 401, ""},
		{"api.ecr." + region + ".amazonaws.com", "team/app", d.password, 200, "of-" + account + "-" + region},
		// Below a registry's own host a path is all name.
		{account + ".dkr.ecr." + region + ".amazonaws.com", other + "/" + region + "/team/app", d.password, 404, ""},
		{"localhost:5000", other + "/nowhere-1/team/app", d.password, 404, ""},
		{"localhost:5000", other[1:] + "/" + region + "/team/app", d.password, 404, ""},
	}
	for _, tt := range tests {
		a := d.do("GET", "/v2/"+tt.path+"/tags/list", as(tt.password), toHost(tt.host))
		if a.status != tt.status || tt.tag != "" && !strings.Contains(a.body, `"`+tt.tag+`"`) {
			t.Errorf("%s/%s: %d %s, want %d %s", tt.host, tt.path, a.status, a.body, tt.status, tt.tag)
		}
		if tt.status == 401 {
			wantHeader(t, a, "Www-Authenticate", `Basic realm="http://`+tt.host+`/",service="ecr.amazonaws.com"`)
		}
	}
}

// TestOtherAccounts: without a policy that says so, nobody gets at another
// account's registry, and all that is in it looks alike.
func TestOtherAccounts(t *testing.T) {
	d := open(t)
	n, err := registry.ParseName(registry.ID{Account: other, Region: region}, "team/app")
	must(t, err)
	_, err = d.service.CreateRepository(d.ctx(), n, registry.Settings{})
	must(t, err)
	prefix := "/v2/" + other + "/" + region
	d.unchanged(func() {
		for _, path := range []string{"/team/app/tags/list", "/team/none/tags/list", "/_catalog", "/team/app/manifests/1"} {
			want(t, d.do("GET", prefix+path), 403, "DENIED")
		}
	})
}

func TestLocations(t *testing.T) {
	d := open(t, func(s *setup) { s.names.Hosts = []string{"registry.example.com"} })
	d.create("team/app")
	prefix := account + "/" + region + "/"
	for _, tt := range []struct{ host, path, want string }{
		{"localhost:5000", "team/app", base + "/v2/team/app"},
		{"127.0.0.1:1234", "team/app", "http://127.0.0.1:1234/v2/team/app"},
		{"registry.example.com", "team/app", "http://registry.example.com/v2/team/app"},
		{"localhost:5000", prefix + "team/app", base + "/v2/" + prefix + "team/app"},
		{account + ".dkr.ecr." + region + ".amazonaws.com", "team/app", "http://" + account + ".dkr.ecr." + region + ".amazonaws.com/v2/team/app"},
		{"evil.example.com", "team/app", "/v2/team/app"}, // not a host to print back
	} {
		forged := []option{
			toHost(tt.host), with("X-Forwarded-Host", "forged.example.com"), with("X-Forwarded-Proto", "gopher"),
			with("Forwarded", "host=forged.example.com;proto=gopher"), with("X-Real-IP", "10.0.0.1"),
		}
		a := d.do("POST", "/v2/"+tt.path+"/blobs/uploads/", forged...)
		want(t, a, 202, "")
		location := a.header.Get("Location")
		if !strings.HasPrefix(location, tt.want+"/blobs/uploads/") {
			t.Errorf("%s: Location %q, want it below %q", tt.host, location, tt.want)
		}
		content := "content for " + tt.host + tt.path
		a = d.do("PUT", pathOf(t, location)+"?digest="+sha256Of(content).String(), append(forged, body(content))...)
		want(t, a, 201, "")
		wantHeader(t, a, "Location", tt.want+"/blobs/"+sha256Of(content).String())
		a = d.do("PUT", "/v2/"+tt.path+"/manifests/1", append(forged, with("Content-Type", indexType), body(indexOf(t)))...)
		want(t, a, 201, "")
		wantHeader(t, a, "Location", tt.want+"/manifests/"+sha256Of(indexOf(t)).String())
		a = d.do("GET", "/v2/"+tt.path+"/tags/list?n=0", forged...)
		want(t, a, 200, "")
	}
}

func TestMisdirected(t *testing.T) {
	d := open(t, func(s *setup) { s.names.Strict = true })
	for _, host := range []string{"evil.example.com", "localhost.evil.example.com", "10.1.2.3:5000"} {
		for _, path := range []string{"/v2/", "/v2/team/app/tags/list", "/layers/x"} {
			want(t, d.do("GET", path, toHost(host)), http.StatusMisdirectedRequest, "DENIED")
		}
	}
	want(t, d.do("GET", "/v2/"), 200, "")
}

func TestNewNeedsItsParts(t *testing.T) {
	d := build(t)
	names, err := endpoint.New(endpoint.Options{})
	must(t, err)
	whole := ociapi.Options{Registry: d.service, Credentials: d.verifier, Authorizer: auth.RootOnly{}, Names: names}
	if _, err := ociapi.New(whole); err != nil {
		t.Errorf("New: %v", err)
	}
	for _, drop := range []func(*ociapi.Options){
		func(o *ociapi.Options) { o.Registry = nil }, func(o *ociapi.Options) { o.Credentials = nil },
		func(o *ociapi.Options) { o.Authorizer = nil }, func(o *ociapi.Options) { o.Names = nil },
	} {
		o := whole
		drop(&o)
		if _, err := ociapi.New(o); err == nil {
			t.Error("New takes options without a part")
		}
	}
}
