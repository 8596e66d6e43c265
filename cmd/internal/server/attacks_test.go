package server_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// The attacks on who may do what, each against a whole server, and each with the store
// as it was. Some are tested where their code is:
//
//   - two headers, garbled ones and the like: also package sigv4, TestHeader
//   - a token with any bit changed: package token, TestEveryBitCounts
//   - bearer tokens of others' making: package ociapi, TestBadBearers
//   - what was disabled or revoked: TestRightsEndInTheMiddleOfAPush
//   - guessing, and how long it takes: package credentials, TestGuessesHaveToWait and
//     TestGuessingTellsNothing
//   - requests whose end is in doubt: TestAmbiguousRequestsAreRefused
//   - each action that is missing, one at a time: TestEachActionIsNeeded
//   - anonymous requests, and what is told of what is there: TestMatrix
//   - registries that one may not log in to: package ecrapi, TestRegistriesThatOneMayLogInTo
//   - web identities: package stsapi, TestWebIdentityRefusals; package oidc, TestRefusals
//     and TestGuarded
//   - denials beside allowances, NotPrincipal and NotAction: package policy
//   - who may only make tags: packages ociapi and ecrapi, TestWhoMayOnlyCreateTags
//   - lists that show what may be seen: packages ociapi and ecrapi
//   - secrets in logs and answers: TestSecretsStaySecret
var attacks = map[string]func(*world){
	"credentials that are none":                noCredentials,
	"passwords that are not ours":              foreignPasswords,
	"bearer tokens of another's making":        forgedBearers,
	"passwords used for more than they are":    passwordsElsewhere,
	"signatures that are not whole":            badSignatures,
	"requests sent again":                      replays,
	"hosts and proxies that are made up":       forgedHosts,
	"line ends in what goes into headers":      lineEnds,
	"pages of other origins":                   otherOrigins,
	"policies that take long":                  slowPolicies,
	"policies of who is gone":                  policyOfTheDeleted,
	"ARNs of other accounts":                   foreignARNs,
	"insides that are looked for from outside": insides,
}

func TestAttacks(t *testing.T) {
	w := newWorld(t, map[string]string{"login.bearer": "true", "hosts-strict": "true", "limits.login-failures": "100000", "pull-time-flush": "24h", "trash-window": "0s"})
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			w.TB = t
			attack(w)
			w.unchanged(name, w.print)
		})
	}
	w.TB = t
}

// answers holds the answer to a request against an outcome.
func (w *world) answers(what string, at int, r *http.Request, want string) response {
	w.Helper()
	a := w.do(r)
	if got := (knock{at: at, head: r.Method == http.MethodHead}).outcome(w, a); got != want {
		w.Errorf("%s: %s, want %s\n%.300s", what, got, want, a.body)
	}
	return a
}

// layerOf is the address of a layer that is there.
const layerOf = "/v2/" + shut + "/blobs/"

func noCredentials(w *world) {
	good := basic("AWS", w.password)
	for name, values := range map[string][]string{
		"none":                 nil,
		"empty":                {""},
		"two":                  {good, good},
		"two of two kinds":     {good, "Bearer x"},
		"no colon":             {"Basic " + base64.StdEncoding.EncodeToString([]byte("AWS"))},
		"no text":              {"Basic"},
		"no base64":            {"Basic !!!"},
		"no UTF-8":             {"Basic " + base64.StdEncoding.EncodeToString([]byte("\xff\xfe:\xff"))},
		"a zero byte":          {basic("AWS\x00", w.password)},
		"a password with more": {basic("AWS", w.password+"\n")},
		"a long name":          {basic(strings.Repeat("a", 5000), w.password)},
		"in another order":     {basic(w.password, "AWS")},
		"another scheme":       {"Digest username=AWS"},
		"two in one":           {good + ", " + good},
		"long":                 {"Basic " + strings.Repeat("QUFB", 10_000)},
	} {
		r := w.request(http.MethodDelete, "/v2/"+shut+"/manifests/1", nil)
		r.Header["Authorization"] = values
		w.answers("/v2: "+name, atV2, r, notAuthorized)
		r = w.request(http.MethodPost, "/", []byte("{}"))
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy")
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header["Authorization"] = values
		want := "400 IncompleteSignature"
		if len(values) == 0 {
			want = "400 MissingAuthenticationTokenException"
		}
		w.answers("JSON: "+name, atAPI, r, want)
	}
}

func foreignPasswords(w *world) {
	other := openDoorway(w.TB, nil)
	future, err := w.house.CredentialsAt(func() time.Time { return time.Now().Add(time.Hour) })
	w.must(err)
	early, _, err := future.Password(w.Context(), w.principal(future, w.key, time.Now().Add(time.Hour)))
	w.must(err)
	flip := func(at int) string {
		b := []byte(w.password)
		b[at] ^= 1
		return string(b)
	}
	for name, password := range map[string]string{
		"the first bit": flip(0), "the last bit": flip(len(w.password) - 1), "a bit in the middle": flip(len(w.password) / 2),
		"cut off": w.password[:len(w.password)-1], "half": w.password[:len(w.password)/2], "with more": w.password + "A",
		"another server's": other.password, "of the future": early, "a secret key": w.key.Secret,
	} {
		r := w.request(http.MethodGet, layerOf+sha256Of([]byte(layerText)), nil)
		r.SetBasicAuth("AWS", password)
		w.answers(name, atV2, r, notAuthorized)
	}
}

func forgedBearers(w *world) {
	r := w.request(http.MethodGet, "/v2/token?service="+strings.TrimPrefix(w.house.url, "http://")+"&scope=repository:"+shut+":pull", nil)
	r.SetBasicAuth("AWS", w.password)
	a := w.do(r)
	var got struct{ Token string }
	w.decode(a.body, &got)
	if a.status != http.StatusOK || got.Token == "" {
		w.Fatalf("no bearer token: %d %s", a.status, a.body)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	public := base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	for name, forged := range map[string]string{
		"no algorithm":         w.jwt(`{"alg":"none","typ":"JWT"}`, func(string) []byte { return nil }),
		"a key that it brings": w.jwt(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+public+`"}}`, func(s string) []byte { return ed25519.Sign(private, []byte(s)) }),
		"a key's address":      w.jwt(`{"alg":"EdDSA","jku":"http://127.0.0.1:1/keys","x5u":"http://127.0.0.1:1/keys","kid":"1"}`, func(s string) []byte { return ed25519.Sign(private, []byte(s)) }),
		"signed with itself": w.jwt(`{"alg":"HS256","kid":"../../keys"}`, func(s string) []byte {
			m := hmac.New(sha256.New, []byte(got.Token))
			m.Write([]byte(s))
			return m.Sum(nil)
		}),
		"one bit":    got.Token[:len(got.Token)-2] + flipped(got.Token[len(got.Token)-2:]),
		"cut off":    got.Token[:len(got.Token)/2],
		"a password": w.password,
	} {
		r := w.request(http.MethodGet, layerOf+sha256Of([]byte(layerText)), nil)
		r.Header.Set("Authorization", "Bearer "+forged)
		w.answers(name, atV2, r, notAuthorized)
	}
	for name, r := range map[string]*http.Request{
		"another repository": w.request(http.MethodGet, "/v2/"+open+"/blobs/"+sha256Of([]byte(layerText)), nil),
		"another action":     w.request(http.MethodDelete, "/v2/"+shut+"/manifests/1", nil),
	} {
		r.Header.Set("Authorization", "Bearer "+got.Token)
		if a := w.do(r); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			w.Errorf("a bearer token for %s: %d", name, a.status)
		}
	}
}

func flipped(s string) string {
	b := []byte(s)
	b[0] ^= 1
	return string(b)
}

// jwt is a token that says it is the root's.
func (w *world) jwt(head string, sign func(string) []byte) string {
	claims := fmt.Sprintf(`{"iss":"berth","sub":"arn:aws:iam::%s:root","aud":"%s","exp":%d,"access":[{"type":"repository","name":"%s","actions":["*"]}]}`,
		home, strings.TrimPrefix(w.house.url, "http://"), time.Now().Add(time.Hour).Unix(), shut)
	raw := base64.RawURLEncoding
	text := raw.EncodeToString([]byte(head)) + "." + raw.EncodeToString([]byte(claims))
	return text + "." + raw.EncodeToString(sign(text))
}

func passwordsElsewhere(w *world) {
	v, err := w.house.CredentialsAt(time.Now)
	w.must(err)
	password, _, err := v.PasswordFor(w.Context(), credentials.PasswordRequest{
		Account: home, User: "FullAccess", Region: "us-east-1", Scope: &auth.Scope{Repositories: []string{open}, Actions: []string{"pull"}},
	})
	w.must(err)
	by := &identity{home: true, user: "AWS", password: password}
	w.answers("what it is for", atV2, w.oci(by, http.MethodGet, open, "/blobs/"+sha256Of([]byte(layerText)), ""), "200")
	w.answers("another repository", atV2, w.oci(by, http.MethodGet, shut, "/blobs/"+sha256Of([]byte(layerText)), ""), denials[atV2])
	w.answers("one that is not there", atV2, w.oci(by, http.MethodGet, missing, "/blobs/"+sha256Of([]byte(layerText)), ""), denials[atV2])
	w.answers("another action", atV2, w.oci(by, http.MethodPost, open, "/blobs/uploads/", ""), denials[atV2])
	r := w.api(&identity{}, "DeleteRegistryPolicy", nil)
	r.SetBasicAuth("AWS", password)
	w.answers("the JSON API", atAPI, r, "400 IncompleteSignature")
	key := w.key
	key.Secret = password
	w.answers("as a secret key", atAPI, w.api(&identity{key: key}, "DeleteRegistryPolicy", nil), "400 InvalidSignatureException")
	key = w.key
	key.Token = password
	w.answers("as a session token", atAPI, w.api(&identity{key: key}, "DeleteRegistryPolicy", nil), notRecognized)
}

func badSignatures(w *world) {
	stranger := w.by[len(w.by)-1]
	for _, by := range w.by {
		if by.name == "role" {
			stranger = by
		}
	}
	const invalid, incomplete = "400 InvalidSignatureException", "400 IncompleteSignature"
	now := time.Now()
	for name, tt := range map[string]struct {
		key   func(*sigv4test.Key)
		at    time.Time
		after func(*http.Request)
		want  string
	}{
		"host not signed":           {after: edit("Authorization", ";host;", ";"), want: invalid},
		"target not signed":         {after: edit("Authorization", ";x-amz-target", ""), want: invalid},
		"another target":            {after: set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"), want: invalid},
		"another body's hash":       {after: set("X-Amz-Content-Sha256", sha256Of([]byte("x"))[len("sha256:"):]), want: invalid},
		"UNSIGNED-PAYLOAD":          {after: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), want: invalid},
		"too old":                   {at: now.Add(-16 * time.Minute), want: invalid},
		"of the future":             {at: now.Add(16 * time.Minute), want: invalid},
		"another region":            {key: func(k *sigv4test.Key) { k.Region = "mars-1" }, want: invalid},
		"another service":           {key: func(k *sigv4test.Key) { k.Service = "s3" }, want: invalid},
		"another day":               {after: edit("Authorization", "/"+now.UTC().Format("20060102")+"/", "/20200101/"), want: invalid},
		"a header twice":            {after: func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }, want: invalid},
		"a query that has a say":    {after: func(r *http.Request) { r.URL.RawQuery = "a=%7e" }, want: invalid},
		"header and query":          {after: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=00" }, want: incomplete},
		"no session token":          {key: func(k *sigv4test.Key) { *k = stranger.key; k.Token = "" }, want: notRecognized},
		"another's session token":   {key: func(k *sigv4test.Key) { k.Token = stranger.key.Token }, want: notRecognized},
		"a session token with more": {key: func(k *sigv4test.Key) { *k = stranger.key; k.Token += "A" }, want: notRecognized},
		"another's secret":          {key: func(k *sigv4test.Key) { k.Secret = stranger.key.Secret }, want: invalid},
		"nobody's key":              {key: func(k *sigv4test.Key) { k.ID = "AKIA7777777777777777" }, want: notRecognized},
	} {
		key := w.key
		if tt.key != nil {
			tt.key(&key)
		}
		if tt.at.IsZero() {
			tt.at = now
		}
		r := w.request(http.MethodPost, "/", []byte(`{"repositoryName":"`+missing+`"}`))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.CreateRepository")
		key.Sign(r, `{"repositoryName":"`+missing+`"}`, tt.at)
		if tt.after != nil {
			tt.after(r)
		}
		w.answers(name, atAPI, r, tt.want)
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func edit(name, old, new string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, strings.Replace(r.Header.Get(name), old, new, 1)) }
}

// replays: a request that reads may be sent again as at AWS, and one that changes
// something finds that it is done.
func replays(w *world) {
	again := func(op string, in members) (list []response) {
		body := string(w.encode(in))
		first := w.api(w.root(), op, in)
		for range 2 {
			r := w.request(http.MethodPost, "/", []byte(body))
			r.Header = first.Header.Clone()
			list = append(list, w.do(r))
		}
		return list
	}
	for _, a := range again("DescribeRegistry", members{}) {
		if a.status != http.StatusOK {
			w.Errorf("a read: %d %s", a.status, a.body)
		}
	}
	list := again("CreateRepository", members{"repositoryName": "m/again"})
	if list[0].status != http.StatusOK || !strings.Contains(list[1].body, "RepositoryAlreadyExistsException") {
		w.Errorf("a change: %d, and again %d %s", list[0].status, list[1].status, list[1].body)
	}
	w.mustCall("DeleteRepository", members{"repositoryName": "m/again"}, nil)
	w.settled()
}

// forgedHosts: whoever is not a trusted proxy says nothing of where he comes from and
// of how the server is called.
func forgedHosts(w *world) {
	plain := w.do(w.request(http.MethodGet, "/v2/", nil))
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Original-Url"} {
		r := w.request(http.MethodGet, "/v2/", nil)
		r.Header.Set(name, "evil.example")
		if a := w.do(r); likeness(a, shut) != likeness(plain, shut) {
			w.Errorf("%s changes the answer:\n%s\n%s", name, likeness(plain, shut), likeness(a, shut))
		}
		if name == "Forwarded" {
			r.Header.Set(name, `for=192.0.2.66;host=evil.example;proto=https`)
		}
		r.Header.Set(name, "192.0.2.66")
		w.do(r)
	}
	if log := w.house.log.String(); strings.Contains(log, "192.0.2.66") || strings.Contains(log, "evil.example") {
		w.Error("the log believes what a client says of where it comes from")
	}
	for _, at := range []string{"/v2/", "/"} {
		r := w.request(http.MethodPost, at, []byte("{}"))
		r.Host = "evil.example"
		if a := w.do(r); a.status != http.StatusMisdirectedRequest || strings.Contains(fmt.Sprint(a.header), "evil") {
			w.Errorf("%s of another host: %d %v", at, a.status, a.header)
		}
	}
}

// lineEnds: no text of a client's splits a header.
func lineEnds(w *world) {
	const split = "%0d%0aSet-Cookie:%20a=b"
	login := "Authorization: " + basic("AWS", w.password) + "\r\n"
	for _, line := range []string{
		"GET /v2/a" + split + "/tags/list", "POST /v2/a" + split + "/blobs/uploads/", "PUT /v2/" + shut + "/manifests/1" + split,
		"POST /v2/" + shut + "/blobs/uploads/?mount=sha256:" + split + "&from=" + shut, "GET /v2/" + shut + "/tags/list?n=1&last=" + split,
		"GET /v2/" + shut + "/tags/list?ns=" + split, "GET /v2/" + shut + "/referrers/" + sha256Of(nil) + "?artifactType=" + split,
		"GET /v2/token?service=" + split, "GET /?Action=" + split, "GET /" + split,
	} {
		c := w.house.dial()
		c.send("%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\n\r\n", line, strings.TrimPrefix(w.house.url, "http://"), login)
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			w.Errorf("%s: %v", line, err)
			continue
		}
		if resp.StatusCode/100 == 5 || resp.Header.Get("Set-Cookie") != "" {
			w.Errorf("%s: %d %v", line, resp.StatusCode, resp.Header)
		}
		_ = resp.Body.Close()
	}
}

// otherOrigins: a page of another origin is told nothing that a browser would let it
// read, and there are no cookies that a browser would send along.
func otherOrigins(w *world) {
	for _, r := range []*http.Request{
		w.request(http.MethodGet, "/v2/", nil), w.v2(http.MethodGet, "/v2/"+shut+"/tags/list", nil), w.request(http.MethodOptions, "/v2/"+shut+"/tags/list", nil),
		w.request(http.MethodOptions, "/", nil), w.operation("DescribeRegistry", members{}), w.request(http.MethodGet, "/healthz", nil),
	} {
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		a := w.do(r)
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
				w.Errorf("%s %s answers with %s", r.Method, r.URL.Path, name)
			}
		}
		if r.Method == http.MethodOptions && a.status < 400 {
			w.Errorf("%s %s: %d", r.Method, r.URL.Path, a.status)
		}
	}
	r := w.operation("DescribeRegistry", members{}) // as DNS rebinding would
	r.Host = "evil.example:5000"
	w.answers("another host", atAPI, r, "421 MisdirectedRequest")
}

// slowPolicies: no policy that is taken takes long.
func slowPolicies(w *world) {
	stars := strings.Repeat("*a", 400)
	one := `{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"StringLike":{"aws:UserAgent":"` + stars + `b"}}}`
	list := strings.TrimSuffix(strings.Repeat(one+",", 9), ",")
	text := `{"Version":"2012-10-17","Statement":[` + list + `]}`
	w.setPolicy(shut, text)
	r := w.v2(http.MethodGet, "/v2/"+shut+"/manifests/1", nil)
	r.Header.Set("User-Agent", strings.Repeat("a", 8000))
	began := time.Now()
	w.answers("a policy of stars", atV2, r, "200")
	if took := time.Since(began); took > patient/4 {
		w.Errorf("a request took %v", took)
	}
	for name, text := range map[string]string{
		"longer than ECR takes": `{"Version":"2012-10-17","Statement":[` + list + `],"Id":"` + strings.Repeat("x", 10240) + `"}`,
		"1,000 statements":      `{"Statement":[` + strings.TrimSuffix(strings.Repeat(one+",", 1000), ",") + `]}`,
		"deep":                  strings.Repeat(`{"Statement":`, 2000) + strings.Repeat("}", 2000),
	} {
		w.answers(name, atAPI, w.api(w.root(), "SetRepositoryPolicy", members{"repositoryName": shut, "policyText": text}), "400 InvalidParameterException")
	}
	w.putBack(w.was, w.print)
}

// policyOfTheDeleted: a policy that names who is gone stays, and lets nobody in.
func policyOfTheDeleted(w *world) {
	gone := w.user(home, "gone", "", nothing)
	w.setPolicy(shut, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+home+`:user/gone"},"Action":"ecr:*"}]}`)
	pull := func() *http.Request {
		return w.oci(gone, http.MethodGet, shut, "/blobs/"+sha256Of([]byte(layerText)), "")
	}
	w.answers("while he is there", atV2, pull(), "200")
	w.must(w.store().DeleteUser(w.Context(), home, "gone"))
	before := w.fingerprint()
	w.answers("when he is gone", atV2, pull(), notAuthorized)
	for _, by := range w.by {
		if by.name == "no policies" {
			w.answers("another", atV2, w.oci(by, http.MethodGet, shut, "/blobs/"+sha256Of([]byte(layerText)), ""), denials[atV2])
		}
	}
	var got struct{ PolicyText string }
	w.mustCall("GetRepositoryPolicy", members{"repositoryName": shut}, &got)
	if !strings.Contains(got.PolicyText, "user/gone") {
		w.Errorf("the policy is another: %s", got.PolicyText)
	}
	w.unchanged("requests of who is gone", before)
	w.putBack(w.was, w.print)
	w.was, w.print = w.rows(), w.fingerprint() // the account has counted up
}

// foreignARNs: what is another account's is denied, there or not.
func foreignARNs(w *world) {
	for _, name := range []string{shut, missing} {
		arn := "arn:aws:ecr:us-east-1:" + abroad + ":repository/" + name
		for op, in := range map[string]members{
			"TagResource":         {"resourceArn": arn, "tags": []members{{"Key": "a", "Value": "b"}}},
			"UntagResource":       {"resourceArn": arn, "tagKeys": []string{"a"}},
			"ListTagsForResource": {"resourceArn": arn},
			"PutImage":            {"registryId": abroad, "repositoryName": name, "imageManifest": string(w.manifest)},
			"DeleteRepository":    {"registryId": abroad, "repositoryName": name, "force": true},
			"DescribeImages":      {"registryId": "999999999999", "repositoryName": name},
		} {
			w.answers(op+" of "+name, atAPI, w.api(w.root(), op, in), denials[atAPI])
		}
	}
	w.answers("another partition", atAPI, w.api(w.root(), "ListTagsForResource", members{"resourceArn": "arn:aws-cn:ecr:us-east-1:" + home + ":repository/" + shut}), "400 InvalidParameterException")
}

// insides: what is for administrators is on no port.
func insides(w *world) {
	for _, at := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/requests", "/metrics", "/admin", "/admin/keys", "/status", "/reload",
		"/v1/call", "/call", "/_test", "/test", "/api/v2.0/users", "/.env", "/v2/../debug/pprof/", "//debug/pprof/",
	} {
		for _, r := range []*http.Request{w.request(http.MethodGet, at, nil), w.v2(http.MethodGet, at, nil), w.v2(http.MethodPost, at, nil)} {
			a := w.do(r)
			if a.status != http.StatusNotFound && a.status != http.StatusUnauthorized || strings.Contains(a.body, "goroutine") {
				w.Errorf("%s %s: %d %.100s", r.Method, at, a.status, a.body)
			}
		}
	}
}

// Guesses have to wait, whether or not there is a user of the name, and the answer says
// for how long.
func TestGuessingIsSlowed(t *testing.T) {
	w := &world{doorway: openDoorway(t, map[string]string{"limits.login-failures": "3"})}
	_, err := w.store().CreateUser(t.Context(), home, accounts.NewUser{Name: "alice", Password: accounts.NewSecret("correct horse battery staple")})
	w.must(err)
	before := w.fingerprint()
	heard := map[string][]int{}
	for _, name := range []string{"alice", "nobody"} {
		for range 5 {
			r := w.request(http.MethodGet, "/v2/", nil)
			r.SetBasicAuth(name, "a guess of some length")
			a := w.do(r)
			heard[name] = append(heard[name], a.status)
			if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") == "" {
				t.Errorf("%s is not told how long to wait", name)
			}
		}
	}
	if got, want := fmt.Sprint(heard["nobody"]), fmt.Sprint(heard["alice"]); got != want || heard["alice"][0] != 401 || heard["alice"][4] != 429 {
		t.Errorf("guesses are answered %s for one who is there and %s for one who is not", want, got)
	}
	w.unchanged("guesses", before)
}

// A data folder is its owner's alone, and what was sent leaves nothing lying about.
func TestFolderIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	w := &world{doorway: openDoorway(t, map[string]string{"data": dir})}
	w.by = []*identity{{name: "root", home: true, gives: everything, user: "AWS", password: w.password, key: w.key}}
	w.fill("team/app")
	w.mustCall("SetRepositoryPolicy", members{"repositoryName": "team/app", "policyText": nobody}, nil)
	long, err := json.Marshal(members{"repositoryName": "team/app", "imageManifest": strings.Repeat("x", 1<<20)})
	w.must(err)
	r := w.request(http.MethodPost, "/", long) // longer than is held in memory
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.PutImage")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	w.key.Sign(r, string(long), time.Now())
	w.answers("a long body", atAPI, r, "400 InvalidParameterException")
	w.must(filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", at, info.Mode())
		}
		return err
	}))
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("in tmp there is %v, %v", left, err)
	}
}
