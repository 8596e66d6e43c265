package ociapi_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// prepared is a door with an image, an index of it, and an upload of some bytes.
type prepared struct {
	*door
	names *strings.Replacer // what stands for digests and ids in a request
}

func prepare(t testing.TB, change func(*setup)) prepared {
	t.Helper()
	d := build(t, change)
	d.create("app", "from")
	config, layer := "{}", "layer"
	d.putBlob("app", config)
	d.putBlob("app", layer)
	d.putBlob("from", "elsewhere")
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, imageType,
		marshal(t, descriptor("application/vnd.oci.image.config.v1+json", config, sha256Of)), marshal(t, descriptor("a/b", layer, sha256Of)))
	d.store("app", "1", m)
	d.store("app", "all", indexOf(t, m))
	u, err := d.service.StartUpload(d.ctx(), name(t, "app"), registry.NewUpload{})
	must(t, err)
	_, err = d.service.AppendUpload(d.ctx(), name(t, "app"), u.ID, registry.Part{Length: 5, Body: strings.NewReader("01234")})
	must(t, err)
	return prepared{d, strings.NewReplacer(
		"{upload}", u.ID, "{image}", sha256Of(m).String(), "{layer}", sha256Of(layer).String(), "{config}", sha256Of(config).String(),
		"{elsewhere}", sha256Of("elsewhere").String(), "{uploaded}", sha256Of("01234").String(), "{manifest}", m,
		"{sha512}", sha512Of(m).String(), "{empty}", sha256Of("").String(),
	)}
}

// store pushes a manifest past the door.
func (d *door) store(repo, tag, content string) {
	d.t.Helper()
	parsed, err := registry.ParseTag(tag)
	must(d.t, err)
	_, err = d.service.PutImage(d.ctx(), name(d.t, repo), registry.Push{Tags: []registry.Tag{parsed}, Body: []byte(content)})
	must(d.t, err)
}

// play sends a request as its text is, if it is one at all.
func (p prepared) play(method, target, headers, content string) (a answer, ok bool) {
	content = p.names.Replace(content)
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost:5000\r\n%sContent-Length: %d\r\n", method, p.names.Replace(target), p.basic(), len(content))
	for line := range strings.Lines(p.names.Replace(headers)) {
		head += strings.TrimRight(line, "\r\n") + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n" + content)))
	if err != nil || !strings.HasPrefix(r.URL.EscapedPath(), "/v2") {
		return answer{}, false // which the server's own parts answer
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return answer{request: method + " " + target, status: w.Code, header: w.Header(), body: w.Body.String()}, true
}

// holds plays a request and checks the answer and what is stored after it.
func (p prepared) holds(method, target, headers, content string) (ok bool) {
	p.t.Helper()
	a, ok := p.play(method, target, headers, content)
	if !ok {
		return false
	}
	if a.status < 200 || a.status >= 500 || p.log.String() != "" {
		p.t.Errorf("%s: status %d, %s; log %s", a.request, a.status, a.body, p.log)
	}
	checkLines(p.t, a)
	checkForm(p.t, a, method, "/v2/")
	p.whole()
	return true
}

// limited keeps a fuzzed door from growing.
func limited(ecr bool) func(*setup) {
	return func(o *setup) {
		o.registry.Limits = registry.Limits{Manifest: 1 << 16, Layer: 1 << 20}
		if ecr {
			likeECR(o)
		}
	}
}

// FuzzSession: requests one after the other, drawn by a seed, whatever they
// leave to those after them. A list of them would be a better choice, but for
// the fuzzer, which spends its time on making lists shorter.
func FuzzSession(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, ecr bool) {
		p := prepare(t, limited(ecr))
		draw := rand.New(rand.NewPCG(seed, 0))
		for range 12 {
			s := requestSeeds[draw.IntN(len(requestSeeds))]
			p.holds(s.method, s.target, s.headers, s.body)
		}
	})
}

// FuzzRequest: whatever a client that is let in sends, it gets an answer of the
// door's forms, the server has no fault, and the store stays whole.
func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add(s.method, s.target, s.headers, s.body, false)
		f.Add(s.method, s.target, s.headers, s.body, true)
	}
	f.Fuzz(func(t *testing.T, method, target, headers, content string, ecr bool) {
		p := prepare(t, limited(ecr))
		if p.holds(method, target, headers, content) {
			p.holds(method, target, headers, content) // now something may be there, or be gone
		}
	})
}

// TestRequestSeeds: what stands for digests and ids is put in, so that requests
// made of these get somewhere.
func TestRequestSeeds(t *testing.T) {
	seen := map[int]bool{}
	for _, s := range requestSeeds {
		a, ok := prepare(t, modes["oci"]).play(s.method, s.target, s.headers, s.body)
		if !ok {
			t.Errorf("%s %s is no request", s.method, s.target)
		}
		seen[a.status] = true
	}
	for _, status := range []int{200, 201, 202, 204, 206, 304, 400, 404, 405, 415, 416} {
		if !seen[status] {
			t.Errorf("none is answered %d", status)
		}
	}
}

// whole checks that all that is listed can be read, is what its digest says,
// and has all that it refers to.
func (p prepared) whole() {
	p.t.Helper()
	repos, more, err := p.service.Repositories(p.ctx(), here, "", 100, registry.Sight{})
	must(p.t, err)
	if more {
		p.t.Error("a request made a hundred repositories")
	}
	for _, repo := range repos {
		images, next, err := p.service.Images(p.ctx(), repo.Name, registry.ImageFilter{Status: registry.AnyStatus}, "", 100)
		must(p.t, err)
		if next != "" {
			p.t.Error("a request made a hundred images")
		}
		tags := map[registry.Tag]digest.Digest{}
		for _, img := range images {
			p.wholeImage(repo.Name, img)
			for _, tag := range img.Tags {
				tags[tag] = img.Digest
			}
		}
		p.wholeTags(repo.Name, tags)
	}
}

// wholeTags: the tags that are listed are those that images have.
func (p prepared) wholeTags(repo registry.Name, tags map[registry.Tag]digest.Digest) {
	p.t.Helper()
	list, _, err := p.service.Tags(p.ctx(), repo, "", 1_000)
	must(p.t, err)
	if len(list) != len(tags) {
		p.t.Errorf("%s lists %d tags, its images have %d", repo, len(list), len(tags))
	}
	for _, tag := range list {
		img, err := p.service.Image(p.ctx(), repo, registry.Ref{Tag: tag})
		must(p.t, err)
		if img.Digest != tags[tag] {
			p.t.Errorf("tag %s of %s names %s, listed is %s", tag, repo, img.Digest, tags[tag])
		}
	}
}

func (p prepared) wholeImage(repo registry.Name, img registry.Image) {
	p.t.Helper()
	got, body, err := p.service.Manifest(p.ctx(), repo, registry.Ref{Digest: img.Digest})
	must(p.t, err)
	m, err := manifest.Parse(got.MediaType, body)
	if err != nil || !img.Digest.Matches(body) || img.ManifestSize != int64(len(body)) {
		p.t.Errorf("image %s of %s is %q: %v", img.Digest, repo, body, err)
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, b := range blobs {
		p.wholeBlob(repo, b)
	}
	for _, child := range m.Manifests {
		if _, err := p.service.Image(p.ctx(), repo, registry.Ref{Digest: child.Digest}); err != nil && !child.Optional {
			p.t.Errorf("index %s of %s: %v", img.Digest, repo, err)
		}
	}
}

func (p prepared) wholeBlob(repo registry.Name, b manifest.Descriptor) {
	p.t.Helper()
	l, r, err := p.service.OpenLayer(p.ctx(), repo, b.Digest)
	if err != nil {
		if !b.Foreign && !b.Optional {
			p.t.Errorf("layer %s of %s: %v", b.Digest, repo, err)
		}
		return
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil || !b.Digest.Matches(content) || l.Size != int64(len(content)) {
		p.t.Errorf("layer %s of %s is %.100q: %v", b.Digest, repo, content, err)
	}
}

// requestSeeds are requests that do something, for others to be made of.
var requestSeeds = []struct{ method, target, headers, body string }{
	{"GET", "/v2/", "", ""},
	{"GET", "/v2/_catalog?n=1&last=app", "", ""},
	{"GET", "/v2/app/tags/list?n=1", "Accept: */*\n", ""},
	{"HEAD", "/v2/app/tags/list?n=1&last=AWE", "", ""},
	{"GET", "/v2/app/tags/list?n=1&ns=docker.io", "", ""},
	{"GET", "/v2/" + account + "/" + region + "/app/manifests/1", "", ""},
	{"GET", "/v2/app/manifests/1", "Accept: " + imageType + "\nIf-None-Match: \"{image}\"\n", ""},
	{"HEAD", "/v2/app/manifests/1@{image}", "If-Match: W/\"a\", *\n", ""},
	{"GET", "/v2/app/manifests/{image}", "Range: bytes=1-5\nIf-Range: \"{image}\"\n", ""},
	{"PUT", "/v2/app/manifests/2", "Content-Type: " + imageType + "\n", "{manifest}"},
	{"PUT", "/v2/app/manifests/{sha512}?tag=a&tag=b", "Content-Type: " + imageType + "\n", "{manifest}"},
	{"PUT", "/v2/app/manifests/new", "Content-Type: application/vnd.example+json\n", `{"layers":[{"mediaType":"a/b","digest":"{layer}","size":5}]}`},
	{"PUT", "/v2/app/manifests/new", "", `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{"mediaType":"a/b","digest":"{image}","size":1,"data":"YQ=="}]}`},
	{"PUT", "/v2/app/manifests/new", "Content-Type: " + indexType + "\n", `{"schemaVersion":2,"manifests":[],"subject":{"mediaType":"a/b","digest":"{image}","size":5}}`},
	{"PUT", "/v2/app/manifests/new", "Content-Encoding: gzip\n", "{manifest}"},
	{"DELETE", "/v2/app/manifests/1", "", ""},
	{"DELETE", "/v2/app/manifests/all", "", ""},
	{"DELETE", "/v2/app/manifests/{image}", "", ""},
	{"GET", "/v2/app/blobs/{layer}", "Range: bytes=-2\n", ""},
	{"HEAD", "/v2/app/blobs/sha256%3Aaaaa", "", ""},
	{"DELETE", "/v2/app/blobs/{layer}", "", ""},
	{"POST", "/v2/app/blobs/uploads/", "", ""},
	{"POST", "/v2/app/blobs/uploads/?digest={empty}", "", ""},
	{"POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512", "", ""},
	{"POST", "/v2/app/blobs/uploads/?mount={elsewhere}&from=from", "", ""},
	{"POST", "/v2/app/blobs/uploads/?mount={elsewhere}", "Origin: x\n", ""},
	{"GET", "/v2/app/blobs/uploads/{upload}", "", ""},
	{"PATCH", "/v2/app/blobs/uploads/{upload}", "Content-Range: 5-9\n", "56789"},
	{"PATCH", "/v2/app/blobs/uploads/{upload}", "Content-Range: 7-11\n", "78901"},
	{"PUT", "/v2/app/blobs/uploads/{upload}?digest={uploaded}", "", ""},
	{"PUT", "/v2/app/blobs/uploads/{upload}?digest={uploaded}", "Content-Range: 5-5\n", "5"},
	{"DELETE", "/v2/app/blobs/uploads/{upload}", "", ""},
	{"GET", "/v2/app/referrers/{image}?artifactType=a%2Fb&last=x", "", ""},
	{"PATCH", "/v2/app/tags/list", "", ""},
	{"GET", "/v2/app/../from/tags/list", "X-Forwarded-Host: evil\nX-Forwarded-Proto: https\n", ""},
	{"GET", "/v2/app/nothing?%zz", "", ""},
}
