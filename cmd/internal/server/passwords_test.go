package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// bob is a user who may do everything with repositories, and his key.
func (d *doorway) bob() admin.OfUser {
	d.Helper()
	named := admin.Named{Name: "bob"}
	_, err := admin.CreateUser.Ask(d.Context(), d.house, admin.NewUser{Named: named, Password: admin.Show(accounts.NewSecret("correct horse"))})
	d.must(err)
	_, err = admin.AttachPolicy.Ask(d.Context(), d.house, admin.Given{Named: named, Kind: accounts.HolderUser, Policy: "AmazonEC2ContainerRegistryFullAccess"})
	d.must(err)
	return admin.OfUser{User: "bob"}
}

// as is a request to the OCI door with a name and a password.
func (d *doorway) as(name, password, method, to string, body []byte) *http.Request {
	d.Helper()
	r := d.request(method, to, body)
	r.SetBasicAuth(name, password)
	return r
}

// bearing gets a bearer token with a registry password.
func (d *doorway) bearing(password string, scopes ...string) func(r *http.Request) *http.Request {
	d.Helper()
	a := d.do(d.as("AWS", password, http.MethodGet, "/v2/token?"+url.Values{"scope": scopes}.Encode(), nil))
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &got); a.status != http.StatusOK || err != nil || got.Token == "" {
		d.Fatalf("token: %d %s", a.status, a.body)
	}
	return func(r *http.Request) *http.Request { return with(r, "Authorization", "Bearer "+got.Token) }
}

// A password with a scope opens nothing else, whichever way it is shown.
func TestScopedPassword(t *testing.T) {
	d := openDoorway(t, map[string]string{"login.bearer": "true"})
	bob := d.bob()
	for _, name := range []string{"team/app", "team/other", "apps/web"} {
		d.createRepository(name)
	}
	made, err := admin.CreatePassword.Ask(t.Context(), d.house, admin.NewPassword{
		OfUser: bob, Scope: admin.Scope{Repositories: []string{"team/app"}, Actions: []string{"pull"}},
	})
	d.must(err)
	password := made.Password.Reveal()
	bearer := d.bearing(password, "repository:team/app:*", "repository:team/other:*", "registry:catalog:*")
	shown := map[string]func(method, to string) *http.Request{
		"by Basic":  func(method, to string) *http.Request { return d.as("AWS", password, method, to, nil) },
		"by bearer": func(method, to string) *http.Request { return bearer(d.request(method, to, nil)) },
	}
	for how, show := range shown {
		for _, tt := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/v2/", 200},
			{"GET", "/v2/team/app/tags/list", 200},
			{"GET", "/v2/team/app/manifests/none", 404},
			{"GET", "/v2/team/other/manifests/none", 403},
			{"GET", "/v2/team/other/tags/list", 403},
			{"POST", "/v2/team/app/blobs/uploads/", 403},
			{"POST", "/v2/team/other/blobs/uploads/", 403},
			{"DELETE", "/v2/team/app/manifests/none", 403},
		} {
			if a := d.do(show(tt.method, tt.path)); a.status != tt.status {
				t.Errorf("%s %s %s: %d %s, want %d", how, tt.method, tt.path, a.status, a.body, tt.status)
			}
		}
		var list struct{ Repositories []string }
		a := d.do(show("GET", "/v2/_catalog"))
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || fmt.Sprint(list.Repositories) != "[team/app]" {
			t.Errorf("%s, catalog: %d %s", how, a.status, a.body)
		}
	}
	if a := d.do(bearer(d.request("GET", "/v2/apps/web/tags/list", nil))); a.status != 401 {
		t.Errorf("a token that was not got for it: %d %s", a.status, a.body)
	}
	d.refuseElsewhere(password, made.Username)
}

// refuseElsewhere shows a registry password where there is none of: at the ECR door,
// and as the secret of a signature.
func (d *doorway) refuseElsewhere(password, name string) {
	d.Helper()
	basic := d.operation("DescribeRepositories", members{})
	basic.SetBasicAuth(name, password)
	bearer := with(d.operation("DescribeRepositories", members{}), "Authorization", "Bearer "+password)
	for what, r := range map[string]*http.Request{"Basic": basic, "Bearer": bearer} {
		a := d.do(r)
		if a.status != 400 || !strings.Contains(a.body, "MissingAuthenticationTokenException") && !strings.Contains(a.body, "IncompleteSignature") {
			d.Errorf("%s at the ECR door: %d %s", what, a.status, a.body)
		}
	}
	right := d.key
	defer func() { d.key = right }()
	for what, key := range map[string]sigv4test.Key{
		"as the secret": {ID: right.ID, Secret: password}, "as key and secret": {ID: name, Secret: password},
		"as the session token": {ID: right.ID, Secret: right.Secret, Token: password},
	} {
		key.Region, key.Service = right.Region, right.Service
		d.key = key
		if a := d.do(d.operation("DescribeRepositories", members{})); a.status != 400 ||
			!strings.Contains(a.body, "InvalidSignatureException") && !strings.Contains(a.body, "UnrecognizedClientException") {
			d.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
}

// Whatever is revoked, or loses its right, is refused in the next request of a push.
func TestRevokedInAPush(t *testing.T) {
	yes := true
	for what, end := range map[string]func(d *doorway, key string) (oci int, ecr string, err error){
		"the password": func(d *doorway, _ string) (int, string, error) {
			list, err := admin.ListPasswords.Ask(d.Context(), d.house, admin.PasswordsOf{OfUser: admin.OfUser{User: "bob"}})
			if err != nil || len(list) != 1 {
				d.Fatalf("passwords: %+v, %v", list, err)
			}
			_, err = admin.RevokePassword.Ask(d.Context(), d.house, admin.ByID{ID: list[0].ID})
			return 401, "", err
		},
		"the key": func(d *doorway, key string) (int, string, error) {
			_, err := admin.SetKeyActive.Ask(d.Context(), d.house, admin.KeyState{ByID: admin.ByID{ID: key}})
			return 401, "400 UnrecognizedClientException", err
		},
		"what derives from the key": func(d *doorway, key string) (int, string, error) {
			_, err := admin.RevokeKey.Ask(d.Context(), d.house, admin.ByID{ID: key})
			return 401, "", err
		},
		"the user": func(d *doorway, _ string) (int, string, error) {
			_, err := admin.ChangeUser.Ask(d.Context(), d.house, admin.UserChange{Named: admin.Named{Name: "bob"}, Disabled: &yes})
			return 401, "400 UnrecognizedClientException", err
		},
		"the right": func(d *doorway, _ string) (int, string, error) {
			_, err := admin.DetachPolicy.Ask(d.Context(), d.house, admin.Given{
				Named: admin.Named{Name: "bob"}, Kind: accounts.HolderUser, Policy: "AmazonEC2ContainerRegistryFullAccess",
			})
			return 403, "400 AccessDeniedException", err
		},
	} {
		d := openDoorway(t, map[string]string{"login.bearer": "true"})
		d.createRepository("app")
		made, err := admin.CreateKey.Ask(t.Context(), d.house, d.bob())
		d.must(err)
		d.key.ID, d.key.Secret = made.ID, made.Secret.Reveal()
		d.password = d.logIn()
		bearer := d.bearing(d.password, "repository:app:pull,push")
		a, err := d.ok(d.v2("POST", "/v2/app/blobs/uploads/", nil), 202)
		d.must(err)
		place := a.header.Get("Location")
		_, err = d.ok(bearer(d.request("PATCH", place, []byte("one"))), 202)
		d.must(err)
		id, _ := ecrDoor{d}.begin("app")
		want, exception, err := end(d, made.ID)
		d.must(err)
		if r := (ecrDoor{d}).send("app", id, 0, []byte("part")); r.text != exception {
			t.Errorf("%s: at the ECR door %q, want %q", what, r.text, exception)
		}
		for _, r := range []*http.Request{
			d.v2("PATCH", place, []byte("two")), bearer(d.request("PATCH", place, []byte("two"))),
			d.v2("PUT", place+"?digest="+sha256Of([]byte("one")), nil), bearer(d.request("POST", "/v2/app/blobs/uploads/", nil)),
		} {
			if a := d.do(r); a.status != want {
				t.Errorf("%s: %s: %d %s, want %d", what, r.Method, a.status, a.body, want)
			}
		}
	}
}

// Guesses are slowed at both doors, and settings say how much.
func TestGuessing(t *testing.T) {
	d := openDoorway(t, map[string]string{"limits.login-failures": "2"})
	d.bob()
	for _, name := range []string{"bob", "nobody"} {
		for i, want := range []int{401, 401, 429} {
			a := d.do(d.as(name, "wrong horse", "GET", "/v2/", nil))
			if a.status != want {
				t.Errorf("%s, guess %d: %d %s", name, i, a.status, a.body)
			}
			if (want == 429) != (a.header.Get("Retry-After") != "") {
				t.Errorf("%s, guess %d: %v", name, i, a.header)
			}
		}
	}
	right := d.key
	d.key.Secret = "wrong"
	for i := range 11 {
		want := "400 InvalidSignatureException"
		if i == 10 {
			want = "400 ThrottlingException"
		}
		if got := d.call("DescribeRegistry", members{}, nil); got != want {
			t.Errorf("guess %d: %s, want %s", i, got, want)
		}
	}
	d.key = right
	d.mustCall("DescribeRegistry", members{}, nil)
	if got := d.do(d.v2("GET", "/v2/", nil)); got.status != 200 {
		t.Errorf("with a password that is right: %d", got.status)
	}
}
