package ociapi_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry/ociapi"
)

const realm = `Bearer realm="` + base + `/v2/token",service="localhost:5000"`

func withBearer(s *setup) { s.bearer = true }

// token is an answer of /v2/token.
type token struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	Scope       string    `json:"scope"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
}

func (d *door) tokenOf(a answer) token {
	d.t.Helper()
	var got token
	if a.status != 200 || json.Unmarshal([]byte(a.body), &got) != nil || got.Token == "" || got.Token != got.AccessToken {
		d.t.Fatalf("%s: %d %s", a.request, a.status, a.body)
	}
	wantHeader(d.t, a, "Cache-Control", "no-store", "Set-Cookie", "", "Content-Type", "application/json")
	return got
}

// bearer gets a token for scopes.
func (d *door) bearer(scopes ...string) string {
	d.t.Helper()
	q := url.Values{"service": {"localhost:5000"}, "scope": scopes}
	return d.tokenOf(d.do("GET", "/v2/token?"+q.Encode())).Token
}

// bearing shows a bearer token in place of a password.
func bearing(token string) option {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestBearerChallenges(t *testing.T) {
	d := open(t, withBearer)
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/v2/", realm},
		{"GET", "/v2/_catalog", realm + `,scope="registry:catalog:*"`},
		{"GET", "/v2/team/app/manifests/v1", realm + `,scope="repository:team/app:pull"`},
		{"HEAD", "/v2/team/app/blobs/" + someDigest, realm + `,scope="repository:team/app:pull"`},
		{"GET", "/v2/" + account + "/" + region + "/team/app/tags/list", realm + `,scope="repository:` + account + "/" + region + `/team/app:pull"`},
		{"POST", "/v2/team/app/blobs/uploads/", realm + `,scope="repository:team/app:pull,push"`},
		{"GET", "/v2/team/app/blobs/uploads/1-2", realm + `,scope="repository:team/app:pull,push"`},
		{"PUT", "/v2/team/app/manifests/v1", realm + `,scope="repository:team/app:pull,push"`},
		{"DELETE", "/v2/team/app/manifests/v1", realm + `,scope="repository:team/app:delete"`},
		{"GET", `/v2/a"b/manifests/v1`, realm},
		{"GET", "/v2/a%22b/manifests/v1", realm},
		{"GET", "/v2/nothing", realm},
	} {
		a := d.do(tt.method, tt.path, as(""))
		if a.status != 401 {
			t.Errorf("%s: %d", a.request, a.status)
		}
		wantHeader(t, a, "Www-Authenticate", tt.want)
	}
	want(t, d.do("GET", "/v2/"), 200, "") // Basic is taken too
}

func TestTokensAreGivenOut(t *testing.T) {
	d := open(t, withBearer)
	d.unchanged(func() {
		got := d.tokenOf(d.do("GET", "/v2/token?account=AWS&client_id=docker&offline_token=true&service=localhost%3A5000"+
			"&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository(plugin)%3Ateam%2Fother%3Apull+weird+cluster%3Aa%3Ab"))
		if got.ExpiresIn != 300 || got.TokenType != "Bearer" || !got.IssuedAt.Equal(d.clock().Truncate(time.Second)) ||
			got.Scope != "repository:team/app:pull,push repository:team/other:pull" {
			t.Errorf("%+v", got)
		}
		if strings.Contains(got.Token, ".") || strings.Contains(got.Token, ":") {
			t.Errorf("token %q", got.Token)
		}
		form := func(change func(url.Values)) answer {
			f := url.Values{
				"grant_type": {"password"}, "username": {"AWS"}, "password": {d.password}, "service": {"localhost:5000"}, "client_id": {"x"},
				"access_type": {"offline"}, "scope": {"repository:team/app:pull repository:team/other:*"},
			}
			change(f)
			return d.do("POST", "/v2/token", as(""), with("Content-Type", "application/x-www-form-urlencoded"), body(f.Encode()))
		}
		a := form(func(url.Values) {})
		if got := d.tokenOf(a); got.ExpiresIn != 300 || strings.Contains(a.body, "refresh") || got.Scope != "repository:team/app:pull repository:team/other:*" {
			t.Errorf("%s", a.body)
		}
		want(t, form(func(f url.Values) { f.Set("grant_type", "refresh_token") }), 400, "UNSUPPORTED")
		want(t, form(func(f url.Values) { f.Del("grant_type") }), 400, "UNSUPPORTED")
		want(t, form(func(f url.Values) { f.Add("password", "x") }), 400, "UNSUPPORTED")
		want(t, form(func(f url.Values) { f.Set("service", "elsewhere") }), 400, "UNSUPPORTED")
		want(t, form(func(f url.Values) { f["scope"] = []string{strings.Repeat("repository:a:pull ", 101)} }), 400, "UNSUPPORTED")
		want(t, form(func(f url.Values) { f.Set("x", strings.Repeat("x", 70_000)) }), 400, "UNSUPPORTED")
		for _, a := range []answer{
			form(func(f url.Values) { f.Set("password", "x") }), form(func(f url.Values) { f.Del("username") }),
			d.do("GET", "/v2/token", as("")), d.do("GET", "/v2/token", as("wrong")), d.do("GET", "/v2/token", bearing(got.Token)),
		} {
			want(t, a, 401, "UNAUTHORIZED")
			wantHeader(t, a, "Www-Authenticate", challenge)
		}
		want(t, d.do("GET", "/v2/token?service=other"), 400, "UNSUPPORTED")
		want(t, d.do("GET", "/v2/token?service=a&service=b"), 400, "UNSUPPORTED")
		want(t, d.do("GET", "/v2/token?%zz"), 400, "UNSUPPORTED")
		want(t, d.do("PUT", "/v2/token"), 405, "UNSUPPORTED")
	})
}

func TestWithoutBearerTokens(t *testing.T) {
	on, off := open(t, withBearer), open(t)
	token := on.bearer()
	want(t, on.do("GET", "/v2/", bearing(token)), 200, "")
	for _, a := range []answer{off.do("GET", "/v2/", bearing(token)), off.do("GET", "/v2/token", as(""))} {
		want(t, a, 401, "UNAUTHORIZED")
		wantHeader(t, a, "Www-Authenticate", challenge)
	}
	want(t, off.do("GET", "/v2/token"), 404, "UNSUPPORTED")
}

// A token is for what it was asked for, and for nothing else.
func TestBearerIsNarrow(t *testing.T) {
	d := open(t, withBearer)
	d.create("team/app", "team/other")
	m := d.tag("team/app", "v1", "layer")
	layer := sha256Of("layer").String()
	narrow := func(a answer, scope string) {
		t.Helper()
		if a.status != 401 {
			t.Errorf("%s: %d %s", a.request, a.status, a.body)
		}
		wantHeader(t, a, "Www-Authenticate", realm+scope+`,error="insufficient_scope"`)
	}
	none := bearing(d.bearer())
	pull := bearing(d.bearer("repository:team/app:pull"))
	push := bearing(d.bearer("repository:team/app:pull,push"))
	erase := bearing(d.bearer("repository:team/app:delete"))
	list := bearing(d.bearer("registry:catalog:*"))
	d.unchanged(func() {
		for _, o := range []option{none, pull, push, erase, list} {
			want(t, d.do("GET", "/v2/", o), 200, "")
		}
		want(t, d.do("GET", "/v2/team/app/manifests/v1", pull), 200, "")
		want(t, d.do("GET", "/v2/team/app/tags/list", pull), 200, "")
		want(t, d.do("GET", "/v2/team/app/blobs/"+layer, pull), 200, "")
		want(t, d.do("GET", "/v2/_catalog", list), 200, "")
		for _, o := range []option{none, erase, list} {
			narrow(d.do("GET", "/v2/team/app/manifests/v1", o), `,scope="repository:team/app:pull"`)
		}
		narrow(d.do("GET", "/v2/team/other/manifests/v1", push), `,scope="repository:team/other:pull"`)
		narrow(d.do("GET", "/v2/team/none/manifests/v1", push), `,scope="repository:team/none:pull"`)
		narrow(d.do("GET", "/v2/_catalog", push), `,scope="registry:catalog:*"`)
		narrow(d.do("POST", "/v2/team/app/blobs/uploads/", pull), `,scope="repository:team/app:pull,push"`)
		narrow(d.do("PUT", "/v2/team/app/manifests/v2", pull, body(m)), `,scope="repository:team/app:pull,push"`)
		narrow(d.do("DELETE", "/v2/team/app/manifests/v1", push), `,scope="repository:team/app:delete"`)
	})
	want(t, d.do("PUT", "/v2/team/app/manifests/v2", push, with("Content-Type", v1.MediaTypeImageManifest), body(m)), 201, "")
	mount := "/v2/team/other/blobs/uploads/?mount=" + layer + "&from=team/app"
	want(t, d.do("POST", mount, bearing(d.bearer("repository:team/other:pull,push"))), 202, "")
	want(t, d.do("POST", mount, bearing(d.bearer("repository:team/other:*", "repository:team/app:pull"))), 201, "")
	want(t, d.do("DELETE", "/v2/team/app/manifests/v1", erase), 202, "")
	want(t, d.do("DELETE", d.start("team/app"), push), 204, "")
}

// What is wrong with a token is not told, and a token never says by which key it is to
// be believed.
func TestBadBearers(t *testing.T) {
	for _, compat := range []ociapi.Compat{ociapi.OCI, ociapi.ECR} {
		d := open(t, withBearer, func(s *setup) { s.compat = compat })
		good := d.bearer("repository:team/app:pull")
		theirs, err := mustVerifier(t, d.keys, 3).IssueBearer(t.Context(), credentials.BearerRequest{Nobody: true, Service: "localhost:5000"})
		must(t, err)
		flipped := []byte(good)
		flipped[len(flipped)/2] ^= 1
		jwt := func(head string) string {
			enc := base64.RawURLEncoding.EncodeToString
			claims := `{"iss":"berth","sub":"AWS","aud":"localhost:5000","exp":4102444800,"access":[{"type":"repository","name":"team/app","actions":["*"]}]}`
			return enc([]byte(head)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
		}
		for what, o := range map[string]option{
			"empty":           bearing(""),
			"garbled":         bearing("!!!"),
			"flipped":         bearing(string(flipped)),
			"truncated":       bearing(good[:len(good)-1]),
			"longer":          bearing(good + "A"),
			"password":        bearing(d.password),
			"another's":       bearing(theirs.Token),
			"twice":           func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good} },
			"as a password":   as(good),
			"for a host":      func(r *http.Request) { bearing(good)(r); r.Host = "127.0.0.1:5000" },
			"none":            bearing(jwt(`{"alg":"none"}`)),
			"None":            bearing(jwt(`{"alg":"None","typ":"JWT"}`)),
			"HS256":           bearing(jwt(`{"alg":"HS256"}`)),
			"RS256":           bearing(jwt(`{"alg":"RS256","kid":"../../dev/null"}`)),
			"own key":         bearing(jwt(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`)),
			"key elsewhere":   bearing(jwt(`{"alg":"RS256","x5u":"http://127.0.0.1/key","jku":"http://127.0.0.1/keys"}`)),
			"chain":           bearing(jwt(`{"alg":"ES256","x5c":["MIIB"]}`)),
			"unsigned in all": bearing(strings.TrimSuffix(jwt(`{"alg":"none"}`), base64.RawURLEncoding.EncodeToString([]byte("signature")))),
		} {
			a := d.do("GET", "/v2/", o)
			if a.status != 401 && !(what == "as a password" && compat == ociapi.ECR) {
				t.Errorf("compat %s, %s: %d %s", compat, what, a.status, a.body)
			}
			if strings.Contains(a.body, "expired") {
				t.Errorf("%s: %s", what, a.body)
			}
		}
		want(t, d.do("GET", "/v2/", func(r *http.Request) { r.Header.Set("Authorization", "bEARER "+good) }), 200, "")
		d.advance(300*time.Second - time.Second)
		want(t, d.do("GET", "/v2/", bearing(good)), 200, "")
		d.advance(time.Second)
		a := d.do("GET", "/v2/", bearing(good))
		if a.status != 401 {
			t.Errorf("after its time: %d", a.status)
		}
		wantHeader(t, a, "Www-Authenticate", realm+`,error="invalid_token"`)
		d.advance(-302 * time.Second)
		if a := d.do("GET", "/v2/", bearing(good)); a.status != 401 {
			t.Errorf("before its time: %d", a.status)
		}
		if strings.Contains(d.log.String(), good) {
			t.Error("the log has the token")
		}
	}
}

// A token dies with what it was got with: the key, or the one password.
func TestBearerDies(t *testing.T) {
	for what, end := range map[string]func(d *door) error{
		"key": func(d *door) error { return d.keys.SetActive(d.t.Context(), d.key.ID, false) },
		"password": func(d *door) error {
			if err := d.verifier.FlushIssued(d.t.Context()); err != nil {
				return err
			}
			list, err := d.keys.IssuedPasswords(d.t.Context())
			if err != nil || len(list) != 1 {
				d.t.Fatalf("%+v, %v", list, err)
			}
			return d.keys.RevokePassword(d.t.Context(), list[0].ID, time.Time{})
		},
		"derived": func(d *door) error { return d.keys.RevokeKey(d.t.Context(), d.key.ID) },
	} {
		d := open(t, withBearer)
		d.create("app")
		token := bearing(d.bearer("repository:app:pull,push"))
		a := d.do("POST", "/v2/app/blobs/uploads/", token)
		want(t, a, 202, "")
		place := pathOf(t, a.header.Get("Location"))
		want(t, d.do("PATCH", place, token, body("part")), 202, "")
		must(t, end(d))
		d.unchanged(func() {
			for _, a := range []answer{
				d.do("PATCH", place, token, body("part"), with("Content-Range", "4-7")),
				d.do("PUT", place+"?digest="+sha256Of("part").String(), token),
				d.do("GET", "/v2/", token),
			} {
				a.request = what + ": " + a.request
				want(t, a, 401, "UNAUTHORIZED")
			}
		})
	}
}

// Docker has no way to pull without credentials but by a token that stands for nobody.
func TestAnonymousBearer(t *testing.T) {
	d := open(t, withBearer, func(s *setup) { s.authorizer, s.anonymous, s.names.Account = nobodyReads("team/open"), true, account })
	d.create("team/open", "team/shut")
	layer := d.push("team/open", "bytes").Digest.String()
	a := d.do("GET", "/v2/", as(""))
	want(t, a, 401, "UNAUTHORIZED")
	wantHeader(t, a, "Www-Authenticate", realm)
	nobody := func(scope string) option {
		return bearing(d.tokenOf(d.do("GET", "/v2/token?service=localhost:5000&scope="+scope, as(""))).Token)
	}
	d.unchanged(func() {
		open, shut := nobody("repository:team/open:pull,push"), nobody("repository:team/shut:pull,push")
		want(t, d.do("GET", "/v2/", open), 200, "")
		want(t, d.do("GET", "/v2/team/open/blobs/"+layer, open), 200, "")
		for _, a := range []answer{
			d.do("GET", "/v2/team/open/blobs/"+layer, shut), d.do("GET", "/v2/team/shut/blobs/"+layer, shut),
			d.do("PUT", "/v2/team/open/manifests/v1", open), d.do("POST", "/v2/team/open/blobs/uploads/", open),
			d.do("GET", "/v2/token", as("wrong")),
		} {
			want(t, a, 401, "UNAUTHORIZED")
		}
	})
	want(t, open(t, withBearer).do("GET", "/v2/token", as("")), 401, "UNAUTHORIZED")
}

// FuzzToken asks for a token, and shows one, in whatever way: it is given or refused,
// the store stays as it is, and a header has no more in it than it should.
func FuzzToken(f *testing.F) {
	for _, seed := range [][2]string{
		{"scope=repository:team/app:pull", "grant_type=password&username=AWS&password=x"}, {"service=&scope=::", "grant_type=password"},
		{"scope=registry:catalog:*+repository(a:b):", "x"}, {"%", "%"}, {"scope=repository:" + `"` + "\r\n:pull", "a;b"}, {"/team/app/manifests/1", "Bearer"},
	} {
		f.Add(seed[0], seed[1])
	}
	d := build(f, withBearer, func(s *setup) { s.anonymous = true })
	before := d.fingerprint()
	f.Fuzz(func(t *testing.T, query, text string) {
		d.t = t
		at := &url.URL{Scheme: "http", Host: "localhost:5000", Path: "/v2/token", RawQuery: query}
		form := &http.Request{Method: "POST", URL: at, Host: at.Host, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
		shown := &http.Request{Method: "GET", URL: &url.URL{Path: "/v2/" + query}, Host: at.Host, Header: http.Header{"Authorization": {"Bearer " + text}}}
		for _, r := range []*http.Request{{Method: "GET", URL: at, Host: at.Host, Header: http.Header{}}, form, shown} {
			r.Body = io.NopCloser(strings.NewReader(text))
			w := httptest.NewRecorder()
			d.handler.ServeHTTP(w, r)
			if w.Code >= 500 || d.log.String() != "" || strings.ContainsAny(w.Header().Get("Www-Authenticate"), "\r\n") {
				t.Errorf("%s %q with %q: %d %s, %v, log %s", r.Method, query, text, w.Code, w.Body, w.Header(), d.log)
			}
		}
		if d.fingerprint() != before {
			t.Error("the store has changed")
		}
	})
}
