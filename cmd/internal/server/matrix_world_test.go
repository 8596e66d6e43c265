package server_test

import (
	"maps"
	"net/http"
	"path"
	"slices"
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

// The accounts of the matrix: the one that has the repositories, and another.
const (
	home    = "000000000000"
	abroad  = "111122223333"
	ecrARNs = "arn:aws:ecr:us-east-1:" + home + ":repository/"
)

// The repositories of the matrix. Their names are as long as each other, so that
// answers about them may be compared byte by byte. There are roles of the same names,
// but for the one that is missing.
const (
	shut    = "m/xshut" // is there, and lets granted of the other account in
	missing = "m/xnone" // is not there
	open    = "m/xopen" // is there, and lets everyone pull
	locked  = "m/xdeny" // is there, and denies everyone everything
)

var visibilities = []string{shut, missing, open, locked}

// identity is somebody who knocks at the doors, and what he shows there.
type identity struct {
	name string
	home bool // is of the account that has the repositories
	// gives says what the policies of the identity itself allow.
	gives    func(action string) bool
	user     string // of Basic; "" for none at all
	password string
	key      sigv4test.Key
	session  bool   // key is a temporary one
	from     string // the key that it derives from
	// refused is what becomes of his credentials: at the OCI door, the JSON API and
	// STS; "" where they are good.
	refused [3]string
}

// The places of identity.refused.
const (
	atV2 = iota
	atAPI
	atSTS
)

// world is a server with all identities and repositories of the matrix.
type world struct {
	*doorway
	by []*identity
	// anonymous says that requests without credentials are answered.
	anonymous bool
	manifest  []byte         // of the image that each repository has
	upload    string         // in shut, of root
	began     string         // of who asks, for his request
	acting    auth.Principal // the user who acts as roles
	was       map[string]string
	print     map[string]string
}

// The contents of the image, and of a layer that no image uses.
const (
	layerText = "a layer of the matrix"
	looseText = "a layer that nothing uses"
	begunText = "hello"
)

func newWorld(t testing.TB, settings map[string]string) *world {
	t.Helper()
	w := &world{doorway: openDoorway(t, settings), anonymous: settings["anonymous-pull"] == "true"}
	w.identities()
	for _, name := range []string{shut, open, locked} {
		w.fill(name)
		w.trusting(name)
	}
	w.setPolicy(shut, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+abroad+`:user/granted"},"Action":"ecr:*"}]}`)
	w.setPolicy(open, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["`+strings.Join(pullActions, `","`)+`"]}]}`)
	w.setPolicy(locked, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`)
	w.renewUpload()
	return w
}

// renewUpload begins the upload of the root's in shut, in place of an earlier one, and
// takes down what there is.
func (w *world) renewUpload() {
	w.Helper()
	if w.upload != "" {
		w.do(w.oci(w.root(), http.MethodDelete, shut, "/blobs/uploads/"+w.upload, ""))
		w.settled()
	}
	w.upload = w.begin(w.root(), shut)
	w.was, w.print = w.rows(), w.fingerprint()
}

func (w *world) setPolicy(repo, text string) {
	w.Helper()
	w.mustCall("SetRepositoryPolicy", members{"repositoryName": repo, "policyText": text, "force": true}, nil)
}

// fill makes a repository with an image, a layer of its own, and the subject of no
// referrer.
func (w *world) fill(repo string) {
	w.Helper()
	w.createRepository(repo)
	config := []byte("{}")
	for _, b := range [][]byte{config, []byte(layerText), []byte(looseText)} {
		w.must(w.pushBlob(repo, sha256Of(b), b))
	}
	w.manifest = w.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: describe(v1.MediaTypeImageConfig, config), Layers: []v1.Descriptor{describe(v1.MediaTypeImageLayer, []byte(layerText))},
	})
	w.must(w.pushManifest(repo, "1", w.manifest))
}

// trusting makes the role that goes by the name of a repository, which trusts one user.
func (w *world) trusting(repo string) {
	w.Helper()
	_, err := w.house.Accounts().CreateRole(w.Context(), home, accounts.NewRole{
		Name:  path.Base(repo),
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:user/` + trusted + `"},"Action":"sts:AssumeRole"}]}`,
	})
	w.must(err)
}

// begin begins an upload of somebody and sends its first bytes, in a way that has them
// noted at once.
func (w *world) begin(by *identity, repo string) (id string) {
	w.Helper()
	in := members{"registryId": home, "repositoryName": repo}
	var begun struct{ UploadID string }
	w.mustDo(by, "InitiateLayerUpload", in, &begun)
	in["uploadId"], in["layerPartBlob"] = begun.UploadID, []byte(begunText)
	in["partFirstByte"], in["partLastByte"] = 0, len(begunText)-1
	w.mustDo(by, "UploadLayerPart", in, nil)
	return begun.UploadID
}

// mustDo has somebody carry out an operation that he may.
func (w *world) mustDo(by *identity, op string, in members, out any) {
	w.Helper()
	a := w.do(w.api(by, op, in))
	if a.status != http.StatusOK {
		w.Fatalf("%s by %s: %d %s", op, by.name, a.status, a.body)
	}
	if out != nil {
		w.decode(a.body, out)
	}
}

// root is who owns all.
func (w *world) root() *identity { return w.by[0] }

// as has somebody log in to the OCI door with a request.
func (w *world) as(by *identity, r *http.Request) *http.Request {
	if by.user != "" {
		r.SetBasicAuth(by.user, by.password)
	}
	return r
}

// oci is a request of somebody below a repository of the home account. Who is not
// of it names it.
func (w *world) oci(by *identity, method, repo, below, body string) *http.Request {
	w.Helper()
	r := w.as(by, w.request(method, by.base(repo)+below, []byte(body)))
	r.Header.Set("Content-Type", "application/octet-stream")
	return r
}

// base is the path of a repository, or of something else below /v2/.
func (by *identity) base(repo string) string {
	if by.home {
		return "/v2/" + repo
	}
	return "/v2/" + home + "/us-east-1/" + repo
}

// api is a request of somebody to the JSON API.
func (w *world) api(by *identity, op string, in members) *http.Request {
	w.Helper()
	body := string(w.encode(in))
	r := w.request(http.MethodPost, "/", []byte(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	if by.key.ID != "" {
		by.key.Sign(r, body, time.Now())
	}
	return r
}

// sts is a request of somebody to STS.
func (w *world) sts(by *identity, form string) *http.Request {
	w.Helper()
	r := w.request(http.MethodPost, "/", []byte(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key := by.key; key.ID != "" {
		key.Service = "sts"
		key.Sign(r, form, time.Now())
	}
	return r
}

// identities makes all who knock.
func (w *world) identities() {
	w.Helper()
	ctx := w.Context()
	store := w.house.Accounts()
	add := func(by *identity) *identity { w.by = append(w.by, by); return by }
	add(&identity{name: "root", home: true, gives: everything, user: "AWS", password: w.password, key: w.key})
	for _, managed := range slices.Sorted(maps.Keys(managedActions)) {
		add(w.user(home, managed, managed, allows(managedActions[managed])))
	}
	add(w.user(home, "no policies", "", nothing))
	bounded := add(w.user(home, "bounded", "FullAccess", allows(managedActions["ReadOnly"])))
	boundary := managedARN("ReadOnly")
	_, err := store.UpdateUser(ctx, home, userName(bounded.name), accounts.UserChange{Boundary: &boundary})
	w.must(err)
	add(w.role("role", "PowerUser", credentials.RoleRequest{}, allows(managedActions["PowerUser"])))
	add(w.role("role with a session policy", "PowerUser", credentials.RoleRequest{PolicyARNs: []string{managedARN("ReadOnly")}}, allows(managedActions["ReadOnly"])))

	add(w.user(abroad, "granted", "FullAccess", allows(managedActions["FullAccess"])))
	add(w.user(abroad, "not granted", "FullAccess", allows(managedActions["FullAccess"])))
	stranger, err := w.house.Accounts().Create(ctx, abroad)
	w.must(err)
	add(w.with(&identity{name: "root of another account", gives: everything}, stranger))

	w.dead(add(w.user(home, "revoked key", "FullAccess", nothing)), func(by *identity) error { return store.Delete(ctx, by.key.ID) })
	w.dead(add(w.user(home, "inactive key", "FullAccess", nothing)), func(by *identity) error { return store.SetActive(ctx, by.key.ID, false) })
	w.dead(add(w.user(home, "disabled user", "FullAccess", nothing)), func(by *identity) error {
		yes := true
		_, err := store.UpdateUser(ctx, home, userName(by.name), accounts.UserChange{Disabled: &yes})
		return err
	})
	w.dead(add(w.user(home, "deleted user", "FullAccess", nothing)), func(by *identity) error { return store.DeleteUser(ctx, home, userName(by.name)) })
	w.dead(add(w.role("deleted role", "FullAccess", credentials.RoleRequest{}, nothing)), func(by *identity) error {
		return store.DeleteRole(ctx, home, userName(by.name))
	})
	add(w.expired())
	add(&identity{name: "anonymous", gives: nothing, refused: [3]string{"", "400 MissingAuthenticationTokenException", "403 MissingAuthenticationToken"}})
}

func everything(string) bool { return true }
func nothing(string) bool    { return false }

func managedARN(name string) string {
	return "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistry" + name
}

// userName is a name as IAM has it.
func userName(name string) string { return strings.ReplaceAll(name, " ", "-") }

// user makes a user of an account with a managed policy and a key. He logs in while
// he has a policy that lets him, so that one without policies has a password too.
func (w *world) user(account, name, managed string, gives func(string) bool) *identity {
	w.Helper()
	ctx, store := w.Context(), w.house.Accounts()
	_, err := store.CreateUser(ctx, account, accounts.NewUser{Name: userName(name)})
	w.must(err)
	holder := accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: userName(name)}
	first := managed
	if first == "" {
		first = "PullOnly"
	}
	w.must(store.Attach(ctx, holder, managedARN(first)))
	key, err := store.CreateFor(ctx, account, userName(name))
	w.must(err)
	by := w.with(&identity{name: name, home: account == home, gives: gives}, key)
	if managed == "" {
		w.must(store.Detach(ctx, holder, managedARN(first)))
	}
	return by
}

// with gives an identity what comes of its key.
func (w *world) with(by *identity, key accounts.Key) *identity {
	w.Helper()
	by.key = sigv4test.Key{ID: key.ID, Secret: key.Secret.Reveal(), Region: "us-east-1", Service: "ecr"}
	return w.loggedIn(by)
}

// loggedIn gives an identity a registry password.
func (w *world) loggedIn(by *identity) *identity {
	w.Helper()
	d := *w.doorway
	d.key = by.key
	by.user, by.password = "AWS", d.logIn()
	return by
}

// role makes a role that everyone of the account may act as, and a session of it.
func (w *world) role(name, managed string, r credentials.RoleRequest, gives func(string) bool) *identity {
	w.Helper()
	ctx, store := w.Context(), w.house.Accounts()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:user/actor"},"Action":"sts:AssumeRole"}]}`
	verifier, err := w.house.CredentialsAt(time.Now)
	w.must(err)
	actor := w.actor(verifier)
	role, err := store.CreateRole(ctx, home, accounts.NewRole{Name: userName(name), Trust: trust})
	w.must(err)
	w.must(store.Attach(ctx, accounts.Holder{Account: home, Kind: accounts.HolderRole, Name: role.Name}, managedARN(managed)))
	r.Role, r.Name = role.ARN, "matrix"
	s, err := verifier.AssumeRole(ctx, actor, r)
	w.must(err)
	return w.loggedIn(&identity{name: name, home: true, gives: gives, session: true, key: temporary(s.Session)})
}

func temporary(s credentials.Session) sigv4test.Key {
	return sigv4test.Key{ID: s.KeyID, Secret: s.Secret.Reveal(), Token: s.Token, Region: "us-east-1", Service: "ecr"}
}

// actor is the user who acts as roles; he is made when he is first needed.
func (w *world) actor(v *credentials.Verifier) auth.Principal {
	w.Helper()
	if !w.acting.IsZero() {
		return w.acting
	}
	ctx, store := w.Context(), w.house.Accounts()
	_, err := store.CreateUser(ctx, home, accounts.NewUser{Name: "actor"})
	w.must(err)
	key, err := store.CreateFor(ctx, home, "actor")
	w.must(err)
	signed := sigv4test.Key{ID: key.ID, Secret: key.Secret.Reveal(), Region: "us-east-1", Service: "ecr"}
	w.acting = w.principal(v, signed, time.Now())
	return w.acting
}

// principal is whose key a key is.
func (w *world) principal(v *credentials.Verifier, key sigv4test.Key, at time.Time) auth.Principal {
	w.Helper()
	r := w.request(http.MethodPost, "/", nil)
	key.Sign(r, "", at)
	p, body, err := v.Signed(r, key.Service, 1<<10)
	w.must(err)
	w.must(body.Close())
	return p
}

// dead is an identity whose credentials are all refused once end was called.
func (w *world) dead(by *identity, end func(*identity) error) {
	w.Helper()
	w.must(end(by))
	by.refused = [3]string{"401 UNAUTHORIZED", "400 UnrecognizedClientException", "403 InvalidClientTokenId"}
}

// expired is a user whose password and temporary key have ended an hour ago.
func (w *world) expired() *identity {
	w.Helper()
	by := w.user(home, "expired", "FullAccess", nothing)
	then := time.Now().Add(-credentials.DefaultSession - time.Hour)
	v, err := w.house.CredentialsAt(func() time.Time { return then })
	w.must(err)
	p := w.principal(v, by.key, then)
	by.password, _, err = v.Password(w.Context(), p)
	w.must(err)
	s, err := v.GetSessionToken(w.Context(), p, 0)
	w.must(err)
	by.key, by.session = temporary(s), true
	by.refused = [3]string{"401 UNAUTHORIZED", "400 ExpiredTokenException", "403 ExpiredToken"}
	return by
}
