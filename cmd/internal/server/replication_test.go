package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/remote"
)

const replicaAccount, replicaRegion = "000000000000", "eu-west-1"

// gate is the address of a server that is made later. It counts what comes, and lets
// nothing in while it is shut.
type gate struct {
	url string
	mu  sync.Mutex
	to  *url.URL
	got map[string]int // by method and the first word below /v2/name/
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{got: map[string]int{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		g.mu.Lock()
		defer g.mu.Unlock()
		r.SetURL(g.to)
		r.Out.Host = r.In.Host
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		shut := g.to == nil
		for _, kind := range []string{"/manifests/", "/blobs/"} {
			if strings.Contains(r.URL.Path, kind) {
				g.got[r.Method+kind]++
			}
		}
		g.mu.Unlock()
		if shut {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func (g *gate) open(t testing.TB, to string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = u
}

func (g *gate) count(what string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got[what]
}

// replicating is a server whose images go to an address, and a client of it.
type replicating struct {
	*house
	dir    string
	client *peer.Registry
}

// newReplicating makes a server that sends to an address what is pushed to it, with more
// settings of the destination.
func newReplicating(t testing.TB, to string, more string) *replicating {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "berth.yml")
	text := fmt.Sprintf(`egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
replication:
  destinations:
  - {account: %q, region: %s, url: %q, file: %q%s}
`, replicaAccount, replicaRegion, to, filepath.Join(dir, "secret"), more)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &replicating{house: dev(t, "config", conf), dir: dir}
	r.client = r.connect(t)
	return r
}

func (r *replicating) connect(t testing.TB) *peer.Registry {
	t.Helper()
	client, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := peer.New(peer.Options{URL: r.url, Client: client, Credentials: peer.Static("AWS", accounts.NewSecret(r.password()))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// knows gives a server the password of another one.
func (r *replicating) knows(user, password string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "secret"), []byte(user+":"+password), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// rule has all that is pushed replicated.
func (r *replicating) rule() {
	r.t.Helper()
	rule := fmt.Sprintf(`{"replicationConfiguration":{"rules":[{"destinations":[{"region":%q,"registryId":%q}]}]}}`, replicaRegion, replicaAccount)
	if status, answer := r.call("PutReplicationConfiguration", rule); status != 200 {
		r.t.Fatalf("a rule: %d %s", status, answer)
	}
}

const imageType = "application/vnd.oci.image.manifest.v1+json"

// pushImage pushes an image of one layer under a tag.
func pushImage(t testing.TB, to *peer.Registry, repo, tag, layer string) (d digest.Digest) {
	t.Helper()
	describe := func(mediaType, content string) string {
		d := digest.FromBytes(digest.SHA256, []byte(content))
		err := to.PushBlob(t.Context(), repo, d, int64(len(content)), func(from int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte(content)[from:])), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, len(content))
	}
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, imageType,
		describe("application/vnd.oci.image.config.v1+json", "{}"), describe("application/vnd.oci.image.layer.v1.tar", layer))
	if err := to.PushManifest(t.Context(), repo, tag, imageType, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(digest.SHA256, []byte(body))
}

// at is what a tag names, "" for nothing.
func at(t testing.TB, r *peer.Registry, repo, tag string) string {
	t.Helper()
	m, err := r.Manifest(t.Context(), repo, tag)
	if err != nil {
		return ""
	}
	return m.Digest.String()
}

// statusOf is what DescribeImageReplicationStatus says of a tag.
func (r *replicating) statusOf(repo, tag string) (list []struct{ Region, RegistryID, Status, FailureCode string }) {
	r.t.Helper()
	var got struct {
		ReplicationStatuses []struct{ Region, RegistryID, Status, FailureCode string }
	}
	status, answer := r.call("DescribeImageReplicationStatus", fmt.Sprintf(`{"repositoryName":%q,"imageId":{"imageTag":%q}}`, repo, tag))
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 {
		r.t.Fatalf("status: %d %s", status, answer)
	}
	return got.ReplicationStatuses
}

// complete says whether an image has come to its one destination.
func (r *replicating) complete(repo, tag string) bool {
	r.t.Helper()
	list := r.statusOf(repo, tag)
	return len(list) == 1 && list[0].Status == "COMPLETE" && list[0].Region == replicaRegion
}

// Images go to any registry of OCI's, and tags move there as they did here.
func TestReplicatesToAnotherRegistry(t *testing.T) {
	upstream := peertest.Distribution(t)
	r := newReplicating(t, upstream, `, repository-prefix: copies/, tags: ["v*"], backfill: true, deletes: true`)
	r.knows("nobody", "nothing")
	before := pushImage(t, r.client, "team/app", "v0", "before")
	r.rule()
	pushImage(t, r.client, "team/app", "other", "other")
	one := pushImage(t, r.client, "team/app", "v1", "one")
	await(t, "the images are not there", func() bool { return r.complete("team/app", "v1") && r.complete("team/app", "v0") })
	there, err := peer.New(peer.Options{URL: upstream, Client: plainClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got := at(t, there, "copies/team/app", "v1"); got != one.String() {
		t.Errorf("v1 there is %q, want %s", got, one)
	}
	if got := at(t, there, "copies/team/app", "v0"); got != before.String() {
		t.Errorf("v0, of before the rule, is %q there, want %s", got, before)
	}
	if got := at(t, there, "copies/team/app", "other"); got != "" {
		t.Errorf("a tag that is not to go is there: %s", got)
	}
	page, err := admin.ListReplication.Ask(t.Context(), r.Server, admin.ReplicationQuestion{What: "team/app"})
	if err != nil || len(page.Images) != 2 || len(page.Destinations) != 1 || page.Destinations[0].Waiting != 0 || !page.Destinations[0].Remote {
		t.Errorf("of the repository is said %+v (%v)", page, err)
	}
	started, err := admin.StartReplication.Ask(t.Context(), r.Server, admin.ReplicationStart{})
	if err != nil || started.Planned != 0 {
		t.Errorf("all has come, and %+v is begun (%v)", started, err)
	}
	if list := r.statusOf("team/app", "other"); len(list) != 0 {
		t.Errorf("of a tag that is not to go is said %+v", list)
	}
	if err := r.client.DeleteManifest(t.Context(), "team/app", one.String()); err != nil {
		t.Fatal(err)
	}
	await(t, "what was deleted is still there", func() bool { return at(t, there, "copies/team/app", "v1") == "" })
}

// A server that takes connections and never answers holds up no other one.
func TestDeadDestinationHoldsUpNoOther(t *testing.T) {
	over := make(chan struct{})
	asked := make(chan struct{}, 100)
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	t.Cleanup(dead.Close)
	const deadRegion = "ap-south-1"
	r := newReplicating(t, peertest.Distribution(t), fmt.Sprintf("}\n  - {account: %q, region: %s, url: %q", replicaAccount, deadRegion, dead.URL))
	t.Cleanup(func() { close(over) })
	r.knows("nobody", "nothing")
	rule := fmt.Sprintf(`{"replicationConfiguration":{"rules":[{"destinations":[{"region":%q,"registryId":%q},{"region":%q,"registryId":%q}]}]}}`,
		deadRegion, replicaAccount, replicaRegion, replicaAccount)
	if status, answer := r.call("PutReplicationConfiguration", rule); status != 200 {
		t.Fatalf("a rule: %d %s", status, answer)
	}
	pushImage(t, r.client, "team/app", "v1", "one")
	<-asked
	pushImage(t, r.client, "team/app", "v2", "two")
	of := func(region string) (state string) {
		for _, s := range r.statusOf("team/app", "v2") {
			if s.Region == region {
				state = s.Status
			}
		}
		return state
	}
	await(t, "the live destination has not got the image", func() bool { return of(replicaRegion) == "COMPLETE" })
	if got := of(deadRegion); got != "IN_PROGRESS" {
		t.Errorf("at the dead destination the image is %s", got)
	}
}

func plainClient(t testing.TB) *http.Client {
	t.Helper()
	c, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bothWays are two servers that send each other what is pushed to them, and what is
// deleted. What they send comes through gates, which are shut yet.
func bothWays(t testing.TB) (a, b *replicating, toA, toB *gate) {
	t.Helper()
	toA, toB = newGate(t), newGate(t)
	a, b = newReplicating(t, toB.url, ", deletes: true"), newReplicating(t, toA.url, ", deletes: true")
	a.knows("AWS", b.password())
	b.knows("AWS", a.password())
	a.rule()
	b.rule()
	return a, b, toA, toB
}

// Row 96 of the list of attacks: a loop between two servers ends by the origin that
// images carry.
func TestReplicationLoopIsDetectedByOriginMarker(t *testing.T) {
	a, b, toA, toB := bothWays(t)
	toA.open(t, a.url)
	toB.open(t, b.url)
	want := pushImage(t, a.client, "team/app", "v1", "one")
	await(t, "the image did not come", func() bool { return a.complete("team/app", "v1") })
	if got := at(t, b.client, "team/app", "v1"); got != want.String() {
		t.Errorf("the image there is %q, want %s", got, want)
	}
	if list := b.statusOf("team/app", "v1"); len(list) != 0 {
		t.Errorf("what came by replication goes on to %+v", list)
	}
	pushImage(t, b.client, "team/other", "v1", "two") // behind whatever would come back
	await(t, "the other image did not come", func() bool { return b.complete("team/other", "v1") })
	if n := toA.count("PUT/manifests/"); n != 1 {
		t.Errorf("%d manifests were sent back to where they came from", n-1)
	}
	if n := toB.count("PUT/manifests/"); n != 1 {
		t.Errorf("an image was sent %d times", n)
	}
}

// A tag that two servers moved at once ends up with the later image on both, whichever
// word comes first.
func TestTagsThatMoveOnBothSides(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		t.Run(first, func(t *testing.T) {
			a, b, toA, toB := bothWays(t)
			pushImage(t, a.client, "team/app", "v1", "older")
			late := pushImage(t, b.client, "team/app", "v1", "newer")
			gone := pushImage(t, a.client, "team/app", "gone", "gone")
			if err := a.client.DeleteManifest(t.Context(), "team/app", "gone"); err != nil {
				t.Fatal(err)
			}
			back := pushImage(t, b.client, "team/app", "gone", "back")
			if first == "a" {
				toA.open(t, a.url)
				await(t, "b's images did not come", func() bool { return b.complete("team/app", "v1") && b.complete("team/app", "gone") })
				toB.open(t, b.url)
			} else {
				toB.open(t, b.url)
				await(t, "a's images did not come", func() bool { return a.complete("team/app", "v1") })
				toA.open(t, a.url)
			}
			for _, s := range []*replicating{a, b} {
				await(t, "the servers differ", func() bool {
					return at(t, s.client, "team/app", "v1") == late.String() && at(t, s.client, "team/app", "gone") == back.String()
				})
			}
			await(t, "the image that lost its tag is not on both", func() bool { return at(t, b.client, "team/app", gone.String()) != "" })
			if err := b.client.DeleteManifest(t.Context(), "team/app", "v1"); err != nil {
				t.Fatal(err)
			}
			await(t, "a tag that was deleted stays", func() bool { return at(t, a.client, "team/app", "v1") == "" })
		})
	}
}

// A registry with ECR's API gets its repositories made, and what is deleted deleted, by
// that API.
func TestReplicatesToECR(t *testing.T) {
	there := dev(t, "create-on-push", "never")
	r := newReplicating(t, there.url, fmt.Sprintf(`, deletes: true, ecr: {region: us-east-1, endpoint: %q}`, there.url))
	r.knows("test", "test")
	r.rule()
	one := pushImage(t, r.client, "team/app", "v1", "one")
	two := pushImage(t, r.client, "team/app", "v2", "two")
	await(t, "the images are not there", func() bool { return r.complete("team/app", "v1") && r.complete("team/app", "v2") })
	described := func() string {
		_, answer := there.call("DescribeImages", `{"repositoryName":"team/app"}`)
		return answer
	}
	if got := described(); !strings.Contains(got, one.String()) || !strings.Contains(got, two.String()) {
		t.Errorf("there is %s", got)
	}
	if err := r.client.DeleteManifest(t.Context(), "team/app", one.String()); err != nil {
		t.Fatal(err)
	}
	await(t, "what was deleted is still there", func() bool { got := described(); return !strings.Contains(got, one.String()) })
	if got := described(); !strings.Contains(got, two.String()) {
		t.Errorf("what was not deleted has gone: %s", got)
	}
}
