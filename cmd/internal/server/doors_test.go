package server_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/registry/digest"
)

// TestDoors plays each scenario through the OCI door, through the ECR door,
// and through both in turn. Each time both doors must show the same state, and
// it must be the same however it came about.
func TestDoors(t *testing.T) {
	players := map[string]func(*doorway) door{
		"oci":     func(d *doorway) door { return ociDoor{d} },
		"ecr":     func(d *doorway) door { return ecrDoor{d} },
		"oci ecr": func(d *doorway) door { return &alternating{doors: []door{ociDoor{d}, ecrDoor{d}}} },
		"ecr oci": func(d *doorway) door { return &alternating{doors: []door{ecrDoor{d}, ociDoor{d}}} },
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			ends := map[string]repositoryState{}
			for by, open := range players {
				t.Run(by, func(t *testing.T) {
					d := openDoorway(t, nil)
					p := &player{doorway: d, door: open(d), repo: "team/app"}
					d.createRepository(p.repo)
					s.play(p)
					ends[by] = p.read()
				})
			}
			for by, end := range ends {
				if diff := cmp.Diff(ends["oci"], end); diff != "" {
					t.Errorf("the end by %q is not that by oci (-oci +%s):\n%s", by, by, diff)
				}
			}
			s.checkEnd(t, ends["oci"])
		})
	}
}

// outcome is what comes of a step, in no protocol's words.
type outcome int

const (
	accepted outcome = iota
	sameAgain
	layerThere
	repositoryMissing
	imageMissing
	uploadMissing
	layersMissing
	childrenMissing
	manifestWrong
	imageDigestWrong
	layerDigestWrong
	offsetWrong
	tagImmutable
	imageInIndex
	layerInImage
)

// words are how the doors tell an outcome. Where one has "" the doors differ
// by design: to push again what is there is a success at the OCI door and an
// exception at the ECR door, from which its clients learn the same.
var words = map[outcome]struct{ oci, ecr string }{
	accepted:          {"", ""},
	sameAgain:         {"", "400 ImageAlreadyExistsException"},
	layerThere:        {"", "400 LayerAlreadyExistsException"},
	repositoryMissing: {"404 NAME_UNKNOWN", "400 RepositoryNotFoundException"},
	imageMissing:      {"404 MANIFEST_UNKNOWN", "failure ImageNotFound"},
	uploadMissing:     {"404 BLOB_UPLOAD_UNKNOWN", "400 UploadNotFoundException"},
	layersMissing:     {"400 MANIFEST_BLOB_UNKNOWN", "400 LayersNotFoundException"},
	childrenMissing:   {"400 MANIFEST_BLOB_UNKNOWN", "400 ReferencedImagesNotFoundException"},
	manifestWrong:     {"400 MANIFEST_INVALID", "400 InvalidParameterException"},
	imageDigestWrong:  {"400 DIGEST_INVALID", "400 ImageDigestDoesNotMatchException"},
	layerDigestWrong:  {"400 DIGEST_INVALID", "400 InvalidLayerException"},
	offsetWrong:       {"416 BLOB_UPLOAD_INVALID", "400 InvalidLayerPartException"},
	tagImmutable:      {"409 TAG_INVALID", "400 ImageTagAlreadyExistsException"},
	imageInIndex:      {"405 UNSUPPORTED", "failure ImageReferencedByManifestList"},
	layerInImage:      {"405 UNSUPPORTED", "not asked at this door"},
}

// player plays a scenario at a door, and notes what it tells of.
type player struct {
	*doorway
	door  door
	repo  string
	known known
}

// known are the digests that a repository may have come to know. At the OCI
// door what has no tag cannot be listed.
type known struct{ manifests, layers []string }

// note adds what is not on a list yet.
func note(list []string, digest string) []string {
	if slices.Contains(list, digest) {
		return list
	}
	return append(list, digest)
}

// expect holds a reply against an outcome, and returns the door that replied.
func (p *player) expect(what string, r reply, want outcome) (at string) {
	p.Helper()
	text := words[want].oci
	if r.at == atECR {
		text = words[want].ecr
	}
	if r.text != text {
		p.Errorf("%s at %s: %q, want %q", what, r.at, r.text, text)
	}
	return r.at
}

// begin begins an upload that must begin.
func (p *player) begin() (id string) {
	p.Helper()
	id, r := p.door.begin(p.repo)
	p.expect("begin an upload", r, accepted)
	return id
}

func (p *player) send(id string, off int, part []byte, want outcome) {
	p.Helper()
	p.expect("send a part", p.door.send(p.repo, id, int64(off), part), want)
}

func (p *player) finish(id, digest string, want outcome) {
	p.Helper()
	p.known.layers = note(p.known.layers, digest)
	p.expect("finish an upload", p.door.finish(p.repo, id, digest), want)
}

// layer uploads content whole and describes it.
func (p *player) layer(mediaType, content string, want outcome) v1.Descriptor {
	p.Helper()
	id := p.begin()
	p.send(id, 0, []byte(content), accepted)
	p.finish(id, sha256Of([]byte(content)), want)
	return describe(mediaType, []byte(content))
}

// put pushes a manifest under tag, or under none, and returns its digest.
func (p *player) put(tag, mediaType string, body []byte, want outcome) (digest string) {
	p.Helper()
	digest = sha256Of(body)
	p.known.manifests = note(p.known.manifests, digest)
	p.expect("push "+tag, p.door.put(p.repo, manifestPush{tag: tag, mediaType: mediaType, body: body}), want)
	return digest
}

// putAs pushes a manifest that shall have a digest.
func (p *player) putAs(digest, mediaType string, body []byte, want outcome) {
	p.Helper()
	p.known.manifests = note(p.known.manifests, digest)
	p.expect("push as "+digest, p.door.put(p.repo, manifestPush{want: digest, mediaType: mediaType, body: body}), want)
}

func (p *player) untag(tag string, want outcome) (at string) {
	p.Helper()
	return p.expect("untag "+tag, p.door.untag(p.repo, tag), want)
}

func (p *player) remove(digest string, want outcome) {
	p.Helper()
	p.expect("remove "+digest, p.door.remove(p.repo, digest), want)
}

// setTagRule has one door alone.
func (p *player) setTagRule(mutability string, exclusions ...string) {
	p.Helper()
	in := members{"repositoryName": p.repo, "imageTagMutability": mutability}
	var filters []members
	for _, pattern := range exclusions {
		filters = append(filters, members{"filterType": "WILDCARD", "filter": pattern})
	}
	if filters != nil {
		in["imageTagMutabilityExclusionFilters"] = filters
	}
	p.mustCall("PutImageTagMutability", in, nil)
}

func describe(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(digest.SHA256, content).OCI(), Size: int64(len(content))}
}

func (d *doorway) encode(v any) []byte {
	d.Helper()
	b, err := json.Marshal(v)
	d.must(err)
	return b
}

// image uploads what an image of one layer needs, and returns its manifest.
func (p *player) image(content string) []byte {
	p.Helper()
	return p.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: p.config(v1.MediaTypeImageConfig), Layers: []v1.Descriptor{p.blob(v1.MediaTypeImageLayer, content)},
	})
}

// config is one that all images share. It is not that of referrers: of a layer
// that has several media types the ECR door shows one.
func (p *player) config(mediaType string) v1.Descriptor {
	p.Helper()
	return p.blob(mediaType, `{"os":"linux"}`)
}

// blob is a layer that is uploaded unless it has been.
func (p *player) blob(mediaType, content string) v1.Descriptor {
	p.Helper()
	if slices.Contains(p.known.layers, sha256Of([]byte(content))) {
		return describe(mediaType, []byte(content))
	}
	return p.layer(mediaType, content, accepted)
}

// index is an index of images that are stored.
func (p *player) index(images ...string) []byte {
	p.Helper()
	x := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, img := range images {
		x.Manifests = append(x.Manifests, p.stored(img))
	}
	return p.encode(x)
}

// stored describes an image that is there.
func (p *player) stored(image string) v1.Descriptor {
	p.Helper()
	img, ok := p.readManifest(p.repo, image, image)
	if !ok {
		p.Errorf("image %s is not there", image)
	}
	return describe(img.MediaType, []byte(img.Manifest))
}

// referrer is a manifest that says something of another, which is there.
func (p *player) referrer(subject, artifactType string, annotations map[string]string) []byte {
	p.Helper()
	to := p.stored(subject)
	return p.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: p.blob(v1.MediaTypeEmptyJSON, "{}"), Layers: []v1.Descriptor{}, Subject: &to, Annotations: annotations,
	})
}

// read reads the state at both doors, which must agree.
func (p *player) read() repositoryState {
	p.Helper()
	oci, ecr := p.readOCI(p.repo, p.known), p.readECR(p.repo, p.known)
	if diff := cmp.Diff(oci, ecr); diff != "" {
		p.Errorf("the doors show different states (-oci +ecr):\n%s", diff)
	}
	return oci
}

func sha256Of(b []byte) string { return digest.FromBytes(digest.SHA256, b).String() }

// vault is a server in a folder, and the secrets that it was shown or gave.
type vault struct {
	*doorway
	session sigv4test.Key
	link    string
	secrets []string
}

// TestSecretsStaySecret: of what opens a door nothing is in the log or in an
// error, at no door and for no way to fail.
func TestSecretsStaySecret(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			v := &vault{doorway: openDoorway(t, map[string]string{"data": dir, "log-format": format, "log-level": "debug", "login.keys": "false"})}
			v.fill()
			for name, request := range failures {
				v.fail(name, request(v), 400)
			}
			for _, r := range v.loseLayers(filepath.Join(dir, "blobs")) {
				v.fail("a layer is lost", r, http.StatusInternalServerError)
			}
			v.checkLog(len(failures))
		})
	}
}

// fill makes an image and all kinds of secrets.
func (v *vault) fill() {
	v.Helper()
	v.createRepository("team/app")
	p := &player{doorway: v.doorway, door: ociDoor{v.doorway}, repo: "team/app"}
	p.put("1", v1.MediaTypeImageManifest, p.image("layer"), accepted)
	var link struct{ DownloadURL string }
	v.mustCall("GetDownloadUrlForLayer", members{"repositoryName": "team/app", "layerDigest": sha256Of([]byte("layer"))}, &link)
	v.link = link.DownloadURL
	a := v.do(v.sts(v.key, "Action=GetSessionToken&Version=2011-06-15"))
	var out struct {
		Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string } `xml:"GetSessionTokenResult>Credentials"`
	}
	v.must(xml.Unmarshal([]byte(strings.ReplaceAll(a.body, "AccessKeyId", "AccessKeyID")), &out))
	c := out.Credentials
	v.session = sigv4test.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken, Region: v.key.Region, Service: "ecr"}
	v.secrets = []string{v.key.Secret, v.password, c.SecretAccessKey, c.SessionToken}
	if slices.Contains(v.secrets, "") {
		v.Fatal("a secret is empty")
	}
}

func (v *vault) sts(key sigv4test.Key, form string) *http.Request {
	v.Helper()
	r := v.request(http.MethodPost, "/", []byte(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	key.Service = "sts"
	key.Sign(r, form, time.Now())
	return r
}

// fail sends what must fail, and looks for secrets in the answer.
func (v *vault) fail(name string, r *http.Request, least int) {
	v.Helper()
	v.secrets = append(v.secrets, secretsOf(r)...)
	a := v.do(r)
	if a.status < least {
		v.Errorf("%s: %d, want %d or more", name, a.status, least)
	}
	v.checkText("the answer to "+name, fmt.Sprint(a.header, a.body))
}

// secretsOf are those that a request shows.
func secretsOf(r *http.Request) (list []string) {
	shown := slices.Concat(r.Header["X-Amz-Security-Token"], r.Header["Cookie"])
	for _, value := range r.Header["Authorization"] {
		_, rest, _ := strings.Cut(value, " ")
		if _, signature, signed := strings.Cut(value, "Signature="); signed {
			rest = signature
		}
		plain, _ := base64.StdEncoding.DecodeString(rest)
		_, password, _ := strings.Cut(string(plain), ":")
		shown = append(shown, rest, password)
	}
	for _, member := range []string{"X-Amz-Signature", "X-Amz-Security-Token", "signature", "password"} {
		shown = append(shown, r.URL.Query()[member]...)
	}
	return slices.DeleteFunc(shown, func(s string) bool { return len(s) < 8 }) // "AWS" is none
}

// checkText looks for all secrets, in each form in which they travel.
func (v *vault) checkText(what, text string) {
	v.Helper()
	for _, s := range v.secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte("AWS:" + s))} {
			if strings.Contains(text, form) {
				v.Errorf("%s shows the secret %q:\n%.2000s", what, form, text)
			}
		}
	}
}

func (v *vault) checkLog(requests int) {
	v.Helper()
	log := v.house.log.String()
	if n := strings.Count(log, "\n"); n < requests {
		v.Errorf("the log has %d lines, fewer than the %d requests", n, requests)
	}
	v.checkText("the log", log)
	v.checkText("what is said at the start", v.house.out.String())
}

// loseLayers deletes the bytes of all layers, and returns requests for one.
func (v *vault) loseLayers(blobs string) []*http.Request {
	v.Helper()
	v.must(filepath.WalkDir(blobs, func(at string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Remove(at)
	}))
	return []*http.Request{
		v.v2(http.MethodGet, "/v2/team/app/blobs/"+sha256Of([]byte("layer")), nil),
		v.request(http.MethodGet, v.link, nil),
	}
}

// badLink is the link with a piece of it replaced.
func (v *vault) badLink(method, old, new string) *http.Request {
	return v.request(method, strings.Replace(v.link, old, new, 1), nil)
}

// signed is a request to the ECR door by another key.
func (v *vault) signed(key sigv4test.Key, at time.Time) *http.Request {
	v.Helper()
	r := v.operation("DescribeRegistry", members{})
	key.Sign(r, "{}", at)
	return r
}

func (v *vault) authorized(values ...string) *http.Request {
	v.Helper()
	r := v.request(http.MethodGet, "/v2/team/app/tags/list", nil)
	r.Header["Authorization"] = values
	return r
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// presigned is a signed URL of the ECR door.
func (v *vault) presigned(key sigv4test.Key, at time.Time) *http.Request {
	v.Helper()
	r := v.request(http.MethodGet, "/?Action=DescribeRegistry", nil)
	key.Presign(r, at, time.Minute)
	return r
}

// with is a request with another header.
func with(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

var failures = map[string]func(*vault) *http.Request{
	"a password of nobody":         func(v *vault) *http.Request { return v.authorized(basic("AWS", "planted-password")) },
	"a password of somebody":       func(v *vault) *http.Request { return v.authorized(basic("somebody", v.password)) },
	"a password as the user":       func(v *vault) *http.Request { return v.authorized(basic(v.password, "AWS")) },
	"a password with more":         func(v *vault) *http.Request { return v.authorized(basic("AWS", v.password+"planted")) },
	"a secret key as the password": func(v *vault) *http.Request { return v.authorized(basic("AWS", v.key.Secret)) },
	"a key pair as the login":      func(v *vault) *http.Request { return v.authorized(basic(v.key.ID, v.key.Secret)) },
	"a password as the bearer":     func(v *vault) *http.Request { return v.authorized("Bearer " + v.password) },
	"a bare password":              func(v *vault) *http.Request { return v.authorized("Basic " + v.password) },
	"a password of no scheme":      func(v *vault) *http.Request { return v.authorized(v.password) },
	"two passwords": func(v *vault) *http.Request {
		return v.authorized(basic("AWS", v.password), basic("AWS", "planted-password"))
	},
	"a password in the query": func(v *vault) *http.Request {
		return v.request(http.MethodGet, "/v2/?password="+url.QueryEscape(v.password), nil)
	},
	"a cookie": func(v *vault) *http.Request {
		return with(v.request(http.MethodGet, "/v2/", nil), "Cookie", "planted=cookie")
	},
	"no repository": func(v *vault) *http.Request { return v.v2(http.MethodGet, "/v2/team/none/tags/list", nil) },
	"no name":       func(v *vault) *http.Request { return v.v2(http.MethodGet, "/v2/TEAM/tags/list", nil) },
	"no digest":     func(v *vault) *http.Request { return v.v2(http.MethodGet, "/v2/team/app/blobs/sha256:0", nil) },
	"no upload":     func(v *vault) *http.Request { return v.v2(http.MethodPatch, "/v2/team/app/blobs/uploads/0", nil) },
	"no manifest":   func(v *vault) *http.Request { return v.v2(http.MethodPut, "/v2/team/app/manifests/1", nil) },
	"no method":     func(v *vault) *http.Request { return v.v2("BREW", "/v2/team/app/manifests/1", nil) },
	"another region": func(v *vault) *http.Request {
		return v.v2(http.MethodGet, "/v2/000000000000/eu-west-1/team/app/tags/list", nil)
	},

	"a link to another layer":  func(v *vault) *http.Request { return v.badLink(http.MethodGet, "sha256:", "sha256:0") },
	"a link that lasts longer": func(v *vault) *http.Request { return v.badLink(http.MethodGet, "expires=", "expires=9") },
	"a link to write":          func(v *vault) *http.Request { return v.badLink(http.MethodPut, "", "") },
	"a link of no signature":   func(v *vault) *http.Request { return v.badLink(http.MethodGet, "signature=", "signature=planted") },
	"a link signed twice": func(v *vault) *http.Request {
		return v.badLink(http.MethodGet, "signature=", "signature=planted-signature&signature=")
	},

	"no signature": func(v *vault) *http.Request {
		return with(v.signed(v.key, time.Now()), "Authorization", "AWS4-HMAC-SHA256 Signature=planted-signature")
	},
	"a password for a signature": func(v *vault) *http.Request {
		return with(v.signed(v.key, time.Now()), "Authorization", basic("AWS", v.password))
	},
	"another secret": func(v *vault) *http.Request {
		return v.signed(sigv4test.Key{ID: v.key.ID, Secret: v.password, Region: v.key.Region, Service: "ecr"}, time.Now())
	},
	"a secret for an id": func(v *vault) *http.Request {
		return v.signed(sigv4test.Key{ID: v.key.Secret, Secret: v.key.ID, Region: v.key.Region, Service: "ecr"}, time.Now())
	},
	"a region that is none": func(v *vault) *http.Request {
		return v.signed(sigv4test.Key{ID: v.key.ID, Secret: v.key.Secret, Region: "nowhere", Service: "ecr"}, time.Now())
	},
	"an old signature":   func(v *vault) *http.Request { return v.signed(v.key, time.Now().Add(-time.Hour)) },
	"an early signature": func(v *vault) *http.Request { return v.signed(v.key, time.Now().Add(time.Hour)) },
	"an old URL":         func(v *vault) *http.Request { return v.presigned(v.key, time.Now().Add(-time.Hour)) },
	"a URL of a session": func(v *vault) *http.Request { return v.presigned(v.session, time.Now().Add(-time.Hour)) },
	"a URL and a header": func(v *vault) *http.Request {
		return with(v.presigned(v.key, time.Now()), "Authorization", basic("AWS", v.password))
	},
	"a session's other": func(v *vault) *http.Request {
		return with(v.signed(v.session, time.Now()), "X-Amz-Security-Token", "planted-token")
	},
	"an operation of none": func(v *vault) *http.Request {
		return v.operation("Open", members{"secret": v.key.Secret})
	},
	"a session of another key": func(v *vault) *http.Request {
		key := v.key
		key.Token = v.session.Token
		return v.signed(key, time.Now())
	},
	"an operation that fails": func(v *vault) *http.Request {
		return v.operation("ListImages", members{"repositoryName": "team/none", "nextToken": v.password})
	},
	"a page of another list": func(v *vault) *http.Request {
		return v.operation("ListImages", members{"repositoryName": "team/app", "nextToken": v.session.Token})
	},

	"another secret for STS": func(v *vault) *http.Request {
		return v.sts(sigv4test.Key{ID: v.key.ID, Secret: v.password, Region: v.key.Region}, "Action=GetCallerIdentity&Version=2011-06-15")
	},
	"a session of a session": func(v *vault) *http.Request { return v.sts(v.session, "Action=GetSessionToken&Version=2011-06-15") },
	"no time for STS": func(v *vault) *http.Request {
		return v.sts(v.key, "Action=GetSessionToken&Version=2011-06-15&DurationSeconds="+url.QueryEscape(v.key.Secret))
	},
	"a code for STS": func(v *vault) *http.Request {
		return v.sts(v.key, "Action=GetSessionToken&Version=2011-06-15&SerialNumber=1&TokenCode=planted-code")
	},
}
