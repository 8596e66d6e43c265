package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// ending is a way in which somebody's rights end: who it is, what ends them, and what
// is said then at the OCI door and at the JSON API; "" where he has nothing to show.
type ending struct {
	who  func(*world) *identity
	end  func(*world, *identity) error
	v2   string
	json string
}

const (
	notAuthorized = "401 UNAUTHORIZED"
	notRecognized = "400 UnrecognizedClientException"
)

var endings = map[string]ending{
	"key deleted":  {pusher, func(w *world, by *identity) error { return w.store().Delete(w.Context(), by.key.ID) }, notAuthorized, notRecognized},
	"key inactive": {pusher, func(w *world, by *identity) error { return w.store().SetActive(w.Context(), by.key.ID, false) }, notAuthorized, notRecognized},
	"key revoked":  {pusherBySession, func(w *world, by *identity) error { return w.store().RevokeKey(w.Context(), by.from) }, notAuthorized, notRecognized},
	"user disabled": {pusher, func(w *world, _ *identity) error {
		yes := true
		return w.change(accounts.UserChange{Disabled: &yes})
	}, notAuthorized, notRecognized},
	"user deleted": {pusher, func(w *world, _ *identity) error { return w.store().DeleteUser(w.Context(), home, "pusher") }, notAuthorized, notRecognized},
	"user revoked": {pusherBySession, func(w *world, _ *identity) error { return w.change(accounts.UserChange{Revoke: true}) }, notAuthorized, notRecognized},
	"user of a session deleted": {pusherBySession, func(w *world, _ *identity) error {
		return w.store().DeleteUser(w.Context(), home, "pusher")
	}, notAuthorized, notRecognized},
	"role deleted": {pushingRole, func(w *world, _ *identity) error { return w.store().DeleteRole(w.Context(), home, "pusher") }, notAuthorized, notRecognized},
	"role revoked": {pushingRole, func(w *world, _ *identity) error {
		_, err := w.store().UpdateRole(w.Context(), home, "pusher", accounts.RoleChange{Revoke: true})
		return err
	}, notAuthorized, notRecognized},
	"registry password revoked": {pusherByPassword, revokePasswords, notAuthorized, ""},
	"person's password changed": {person, func(w *world, _ *identity) error {
		other := accounts.NewSecret("another horse, another staple")
		return w.change(accounts.UserChange{Password: &other})
	}, notAuthorized, ""},
	"robot key deleted": {robot, func(w *world, by *identity) error { return w.store().DeleteRobot(w.Context(), by.user) }, notAuthorized, ""},
	"policy taken away": {pusher, func(w *world, _ *identity) error {
		return w.store().Detach(w.Context(), accounts.Holder{Account: home, Kind: accounts.HolderUser, Name: "pusher"}, managedARN("FullAccess"))
	}, denials[atV2], denials[atAPI]},
	"policy of the role taken away": {pushingRole, func(w *world, _ *identity) error {
		return w.store().Detach(w.Context(), accounts.Holder{Account: home, Kind: accounts.HolderRole, Name: "pusher"}, managedARN("FullAccess"))
	}, denials[atV2], denials[atAPI]},
	"denied by the repository": {pusher, func(w *world, _ *identity) error {
		w.setPolicy("team/app", `{"Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::`+home+`:user/pusher"},"Action":"ecr:*"}]}`)
		return nil
	}, denials[atV2], denials[atAPI]},
}

func (w *world) store() *accounts.Store { return w.house.Accounts() }

func (w *world) change(c accounts.UserChange) error {
	_, err := w.store().UpdateUser(w.Context(), home, "pusher", c)
	return err
}

func pusher(w *world) *identity { return w.user(home, "pusher", "FullAccess", everything) }

func pushingRole(w *world) *identity {
	return w.role("pusher", "FullAccess", credentials.RoleRequest{}, everything)
}

// pusherBySession is the pusher with a temporary key, and a password that he got by it.
func pusherBySession(w *world) *identity {
	by := pusher(w)
	v, err := w.house.CredentialsAt(time.Now)
	w.must(err)
	s, err := v.GetSessionToken(w.Context(), w.principal(v, by.key, time.Now()), 0)
	w.must(err)
	by.from, by.key, by.session = by.key.ID, temporary(s), true
	return w.loggedIn(by)
}

// pusherByPassword has a password that an administrator gave him, and no key to show.
func pusherByPassword(w *world) *identity {
	by := pusher(w)
	v, err := w.house.CredentialsAt(time.Now)
	w.must(err)
	by.password, _, err = v.PasswordFor(w.Context(), credentials.PasswordRequest{Account: home, User: "pusher", Region: "us-east-1"})
	w.must(err)
	w.must(v.FlushIssued(w.Context()))
	by.key = sigv4test.Key{}
	return by
}

func revokePasswords(w *world, _ *identity) error {
	list, err := w.store().IssuedPasswords(w.Context())
	w.must(err)
	for _, p := range list {
		if strings.HasSuffix(p.ARN, ":user/pusher") {
			w.must(w.store().RevokePassword(w.Context(), p.ID, p.Expires))
		}
	}
	return nil
}

func person(w *world) *identity {
	by := pusher(w)
	secret := accounts.NewSecret("correct horse battery staple")
	w.must(w.change(accounts.UserChange{Password: &secret}))
	by.user, by.password, by.key = "pusher", secret.Reveal(), sigv4test.Key{}
	return by
}

func robot(w *world) *identity {
	by := pusher(w)
	r, secret, err := w.store().CreateRobot(w.Context(), accounts.NewRobot{Account: home, User: "pusher", Scope: &auth.Scope{Actions: []string{"push"}}})
	w.must(err)
	by.user, by.password, by.key = r.ID, secret.Reveal(), sigv4test.Key{}
	return by
}

// TestRightsEndInTheMiddleOfAPush ends them when the first layer is whole and the
// second half sent, at both doors. The next request is refused, and so is every other.
func TestRightsEndInTheMiddleOfAPush(t *testing.T) {
	for name, e := range endings {
		t.Run(name, func(t *testing.T) {
			w := &world{doorway: openDoorway(t, nil)}
			w.by = []*identity{{name: "root", home: true, gives: everything, user: "AWS", password: w.password, key: w.key}}
			w.createRepository("team/app")
			p := &push{w, e.who(w), "team/app"}
			steps := p.steps(e)
			for _, s := range steps {
				p.expect(s, s.before)
			}
			rest := p.rest(e)
			w.must(e.end(w, p.by))
			for _, s := range append(rest, p.steps(e)...) {
				p.expect(s, s.after)
			}
			p.nothingCame()
		})
	}
}

// push is one of somebody's, at both doors.
type push struct {
	*world
	by   *identity
	repo string
}

// pushStep is a request of a push, with its outcome while he may and after.
type pushStep struct {
	what          string
	at            int
	make          func() *http.Request
	before, after string
}

// The layers of a push, one for each door, and half of another.
const (
	firstLayer = "the first layer, which comes whole"
	halfLayer  = "half of the second layer"
)

// steps are what is done before rights end, and can be done again: log in, push a layer
// at each door, pull it.
func (p *push) steps(e ending) (list []pushStep) {
	v2 := func(what, method, below, body, before string) {
		list = append(list, pushStep{what, atV2, func() *http.Request { return p.oci(p.by, method, p.repo, below, body) }, before, e.v2})
	}
	list = append(list, pushStep{"log in", atV2, func() *http.Request { return p.as(p.by, p.request(http.MethodGet, "/v2/", nil)) }, "200", p.login(e)})
	v2("push a layer", http.MethodPost, "/blobs/uploads/?digest="+sha256Of([]byte(firstLayer)), firstLayer, "201")
	v2("pull it", http.MethodGet, "/blobs/"+sha256Of([]byte(firstLayer)), "", "200")
	if e.json == "" {
		return list
	}
	api := func(op string, in members, before string) {
		list = append(list, pushStep{op, atAPI, func() *http.Request { return p.api(p.by, op, in) }, before, e.json})
	}
	api("InitiateLayerUpload", members{"repositoryName": p.repo}, "200")
	api("BatchCheckLayerAvailability", members{"repositoryName": p.repo, "layerDigests": []string{sha256Of([]byte(firstLayer))}}, "200")
	return list
}

// login is what the root of the OCI door says after: who has no rights any more may
// still log in.
func (p *push) login(e ending) string {
	if e.v2 == denials[atV2] {
		return "200"
	}
	return e.v2
}

// rest begins another layer at each door, and returns what would end the push.
func (p *push) rest(e ending) (list []pushStep) {
	p.Helper()
	a := p.do(p.oci(p.by, http.MethodPost, p.repo, "/blobs/uploads/", ""))
	_, id, _ := strings.Cut(a.header.Get("Location"), "/blobs/uploads/")
	v2 := func(what, method, below, body string) {
		list = append(list, pushStep{what, atV2, func() *http.Request { return p.oci(p.by, method, p.repo, below, body) }, "", e.v2})
	}
	if a = p.do(p.oci(p.by, http.MethodPatch, p.repo, "/blobs/uploads/"+id, halfLayer)); a.status != http.StatusAccepted {
		p.Fatalf("half of a layer: %d %s", a.status, a.body)
	}
	v2("send the other half", http.MethodPatch, "/blobs/uploads/"+id, halfLayer)
	v2("ask how far it came", http.MethodGet, "/blobs/uploads/"+id, "")
	v2("end the upload", http.MethodPut, "/blobs/uploads/"+id+"?digest="+sha256Of([]byte(halfLayer)), "")
	v2("push the image", http.MethodPut, "/manifests/1", string(p.image()))
	if e.json == "" {
		return list
	}
	upload := p.begin(p.by, p.repo)
	api := func(op string, in members) {
		in["repositoryName"], in["registryId"] = p.repo, home
		list = append(list, pushStep{op, atAPI, func() *http.Request { return p.api(p.by, op, in) }, "", e.json})
	}
	api("UploadLayerPart", members{"uploadId": upload, "partFirstByte": 5, "partLastByte": 7, "layerPartBlob": "AAAA"})
	api("CompleteLayerUpload", members{"uploadId": upload, "layerDigests": []string{sha256Of([]byte(begunText))}})
	api("PutImage", members{"imageManifest": string(p.image()), "imageTag": "1"})
	return list
}

// image is of the layer that came whole.
func (p *push) image() []byte {
	p.Helper()
	return p.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: describe(v1.MediaTypeImageConfig, []byte(firstLayer)), Layers: []v1.Descriptor{},
	})
}

func (p *push) expect(s pushStep, want string) {
	p.Helper()
	r := s.make()
	if s.what == "push the image" {
		r.Header.Set("Content-Type", v1.MediaTypeImageManifest)
	}
	a := p.do(r)
	if got := (knock{at: s.at}).outcome(p.world, a); got != want {
		p.Errorf("%s: %s, want %s\n%.300s", s.what, got, want, a.body)
	}
}

// nothingCame has the root look whether the push has left an image or half a layer.
func (p *push) nothingCame() {
	p.Helper()
	w := p.world
	for _, below := range []string{"/manifests/1", "/blobs/" + sha256Of([]byte(halfLayer)), "/blobs/" + sha256Of([]byte(begunText))} {
		if a := w.do(w.oci(w.root(), http.MethodGet, p.repo, below, "")); a.status != http.StatusNotFound {
			w.Errorf("%s came in all the same: %d", below, a.status)
		}
	}
}
