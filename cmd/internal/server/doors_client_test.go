package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// The doors, as replies name them.
const (
	atOCI = "the OCI door"
	atECR = "the ECR door"
)

// reply is what a door said: "" if it did what it was asked, else the status
// and the code or exception.
type reply struct{ at, text string }

// manifestPush is a manifest to be stored under a tag, or else under its
// digest, or as the digest that want says.
type manifestPush struct {
	tag, want, mediaType string
	body                 []byte
}

// door is what clients do to a repository, in whichever protocol. Uploads go by
// an id that every door understands.
type door interface {
	begin(repo string) (id string, r reply)
	send(repo, id string, off int64, part []byte) reply
	finish(repo, id, digest string) reply
	put(repo string, p manifestPush) reply
	untag(repo, tag string) reply
	remove(repo, digest string) reply
}

// ociDoor speaks the distribution protocol.
type ociDoor struct{ *doorway }

// ask sends a request for a repository and expects a status.
func (o ociDoor) ask(r *http.Request, want int) (response, reply) {
	o.Helper()
	a := o.do(r)
	if a.status == want {
		return a, reply{atOCI, ""}
	}
	var failed struct{ Errors []struct{ Code string } }
	o.decode(a.body, &failed)
	if len(failed.Errors) == 0 {
		o.Fatalf("%s %s: %d without a code, want %d", r.Method, r.URL, a.status, want)
	}
	return a, reply{atOCI, fmt.Sprintf("%d %s", a.status, failed.Errors[0].Code)}
}

func (o ociDoor) begin(repo string) (string, reply) {
	a, r := o.ask(o.v2(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil), http.StatusAccepted)
	return path.Base(a.header.Get("Location")), r
}

func (o ociDoor) send(repo, id string, off int64, part []byte) reply {
	q := o.v2(http.MethodPatch, "/v2/"+repo+"/blobs/uploads/"+id, part)
	q.Header.Set("Content-Type", "application/octet-stream")
	q.Header.Set("Content-Range", fmt.Sprintf("%d-%d", off, off+int64(len(part))-1))
	_, r := o.ask(q, http.StatusAccepted)
	return r
}

func (o ociDoor) finish(repo, id, digest string) reply {
	q := o.v2(http.MethodPut, "/v2/"+repo+"/blobs/uploads/"+id+"?digest="+url.QueryEscape(digest), nil)
	_, r := o.ask(q, http.StatusCreated)
	return r
}

func (o ociDoor) put(repo string, p manifestPush) reply {
	ref := p.tag
	switch {
	case p.want != "":
		ref = p.want
	case ref == "":
		ref = sha256Of(p.body)
	}
	q := o.v2(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, p.body)
	q.Header.Set("Content-Type", p.mediaType)
	_, r := o.ask(q, http.StatusCreated)
	return r
}

func (o ociDoor) untag(repo, tag string) reply { return o.remove(repo, tag) }

func (o ociDoor) remove(repo, ref string) reply {
	_, r := o.ask(o.v2(http.MethodDelete, "/v2/"+repo+"/manifests/"+ref, nil), http.StatusAccepted)
	return r
}

// removeLayer has no like at the ECR door.
func (o ociDoor) removeLayer(repo, digest string) reply {
	_, r := o.ask(o.v2(http.MethodDelete, "/v2/"+repo+"/blobs/"+digest, nil), http.StatusAccepted)
	return r
}

// ecrDoor speaks the JSON API.
type ecrDoor struct{ *doorway }

func (e ecrDoor) begin(repo string) (string, reply) {
	var out struct{ UploadID string }
	text := e.call("InitiateLayerUpload", members{"repositoryName": repo}, &out)
	return out.UploadID, reply{atECR, text}
}

func (e ecrDoor) send(repo, id string, off int64, part []byte) reply {
	return reply{atECR, e.call("UploadLayerPart", members{
		"repositoryName": repo, "uploadId": id,
		"partFirstByte": off, "partLastByte": off + int64(len(part)) - 1,
		"layerPartBlob": base64.StdEncoding.EncodeToString(part),
	}, nil)}
}

func (e ecrDoor) finish(repo, id, digest string) reply {
	return reply{atECR, e.call("CompleteLayerUpload", members{
		"repositoryName": repo, "uploadId": id, "layerDigests": []string{digest},
	}, nil)}
}

func (e ecrDoor) put(repo string, p manifestPush) reply {
	in := members{"repositoryName": repo, "imageManifest": string(p.body), "imageManifestMediaType": p.mediaType}
	if p.tag != "" {
		in["imageTag"] = p.tag
	}
	if p.want != "" {
		in["imageDigest"] = p.want
	}
	return reply{atECR, e.call("PutImage", in, nil)}
}

func (e ecrDoor) untag(repo, tag string) reply {
	return e.batchDelete(repo, members{"imageTag": tag})
}

func (e ecrDoor) remove(repo, digest string) reply {
	return e.batchDelete(repo, members{"imageDigest": digest})
}

func (e ecrDoor) batchDelete(repo string, id members) reply {
	var out struct {
		ImageIDs []members
		Failures []struct{ FailureCode string }
	}
	text := e.call("BatchDeleteImage", members{"repositoryName": repo, "imageIds": []members{id}}, &out)
	switch {
	case text != "":
	case len(out.Failures) == 1 && len(out.ImageIDs) == 0:
		text = "failure " + out.Failures[0].FailureCode
	case len(out.Failures) != 0 || len(out.ImageIDs) == 0:
		e.Errorf("BatchDeleteImage of one image: %d went and %d failed", len(out.ImageIDs), len(out.Failures))
	}
	return reply{atECR, text}
}

// alternating takes a door for each step, one after the other.
type alternating struct {
	doors []door
	steps int
}

func (a *alternating) next() door {
	a.steps++
	return a.doors[(a.steps-1)%len(a.doors)]
}

func (a *alternating) begin(repo string) (string, reply) { return a.next().begin(repo) }

func (a *alternating) send(repo, id string, off int64, part []byte) reply {
	return a.next().send(repo, id, off, part)
}

func (a *alternating) finish(repo, id, digest string) reply { return a.next().finish(repo, id, digest) }

func (a *alternating) put(repo string, p manifestPush) reply { return a.next().put(repo, p) }

func (a *alternating) untag(repo, tag string) reply { return a.next().untag(repo, tag) }

func (a *alternating) remove(repo, digest string) reply { return a.next().remove(repo, digest) }

// repositoryState is all that clients can see of a repository, times aside.
type repositoryState struct {
	Tags      map[string]string          // digest by tag
	Images    map[string]imageState      // by digest
	Layers    map[string]int64           // size by digest of what the repository holds
	Contents  map[string]contentState    // of the layers that an image uses
	Referrers map[string][]referrerState // by subject
}

type imageState struct {
	MediaType, Manifest string
	Tags                []string
	Size                int64  // of config and layers; of an index, of the largest child
	Subject, Config     string // digest and media type, "" if there is none
}

type contentState struct{ MediaType, SHA256 string }

type referrerState struct {
	Digest, MediaType, ArtifactType string
	Size                            int64
	Annotations                     map[string]string
}

func newState() repositoryState {
	return repositoryState{
		Tags: map[string]string{}, Images: map[string]imageState{}, Layers: map[string]int64{},
		Contents: map[string]contentState{}, Referrers: map[string][]referrerState{},
	}
}

// either reads a manifest of any kind.
type either struct {
	ArtifactType string
	Config       *v1.Descriptor
	Layers       []v1.Descriptor
	Manifests    []v1.Descriptor
	Subject      *v1.Descriptor
	Annotations  map[string]string
}

func (d *doorway) parse(body string) (m either) {
	d.Helper()
	d.decode(body, &m)
	return m
}

// blobs are config and layers.
func (m either) blobs() []v1.Descriptor {
	if m.Config == nil {
		return m.Layers
	}
	return append([]v1.Descriptor{*m.Config}, m.Layers...)
}

// derive adds to images, whose manifests and tags are there, what can be said
// of them from these alone.
func (d *doorway) derive(s repositoryState) {
	d.Helper()
	for digest, img := range s.Images {
		m := d.parse(img.Manifest)
		img.Size = d.sizeOf(s, digest)
		if m.Config != nil {
			img.Config = m.Config.MediaType
		}
		if m.Subject != nil {
			img.Subject = m.Subject.Digest.String()
		}
		slices.Sort(img.Tags)
		s.Images[digest] = img
	}
}

func (d *doorway) sizeOf(s repositoryState, digest string) (size int64) {
	m := d.parse(s.Images[digest].Manifest)
	for _, b := range m.blobs() {
		size += b.Size
	}
	var largest int64
	for _, c := range m.Manifests {
		largest = max(largest, d.sizeOf(s, c.Digest.String()))
	}
	return size + largest
}

// readOCI reads a repository's state at the OCI door.
func (d *doorway) readOCI(repo string, k known) repositoryState {
	d.Helper()
	s := newState()
	for _, digest := range k.manifests {
		if img, ok := d.readManifest(repo, digest, digest); ok {
			s.Images[digest] = img
		}
	}
	for _, tag := range d.listTags(repo) {
		s.Tags[tag] = d.readTag(repo, tag, s)
	}
	d.derive(s)
	for _, digest := range k.layers {
		d.readBlob(repo, digest, s)
	}
	d.deriveContents(s)
	for _, digest := range k.manifests {
		if list := d.readReferrers(repo, digest); len(list) > 0 {
			s.Referrers[digest] = list
		}
	}
	return s
}

// readManifest reads a manifest by tag or digest; ok is false if there is none.
func (d *doorway) readManifest(repo, ref, digest string) (img imageState, ok bool) {
	d.Helper()
	to := "/v2/" + repo + "/manifests/" + ref
	a, head := d.do(d.v2(http.MethodGet, to, nil)), d.do(d.v2(http.MethodHead, to, nil))
	if a.status != head.status {
		d.Errorf("GET of %s is answered with %d, HEAD with %d", ref, a.status, head.status)
	}
	if a.status == http.StatusNotFound {
		return img, false
	}
	for _, h := range []string{"Docker-Content-Digest", "Content-Type", "Content-Length", "Etag"} {
		if a.header.Get(h) != head.header.Get(h) {
			d.Errorf("%s of %s: GET says %s %q, HEAD %q", to, ref, h, a.header.Get(h), head.header.Get(h))
		}
	}
	if got := a.header.Get("Docker-Content-Digest"); a.status != http.StatusOK || got != digest {
		d.Errorf("manifest %s: %d with digest %s, want %s", ref, a.status, got, digest)
	}
	return imageState{MediaType: a.header.Get("Content-Type"), Manifest: a.body}, true
}

// readTag adds a tag to the image that it names, and returns the digest.
func (d *doorway) readTag(repo, tag string, s repositoryState) (digest string) {
	d.Helper()
	digest = d.do(d.v2(http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil)).header.Get("Docker-Content-Digest")
	byTag, ok := d.readManifest(repo, tag, digest)
	img, there := s.Images[digest]
	if !ok || !there || byTag.MediaType != img.MediaType || byTag.Manifest != img.Manifest {
		d.Errorf("tag %s names %s, which is another image by its digest", tag, digest)
	}
	img.Tags = append(img.Tags, tag)
	s.Images[digest] = img
	return digest
}

var nextPage = regexp.MustCompile(`^<(.*)>; rel="next"$`)

// listTags lists all tags, whole and by pages, which must agree.
func (d *doorway) listTags(repo string) []string {
	d.Helper()
	var whole struct{ Tags []string }
	d.decode(d.do(d.v2(http.MethodGet, "/v2/"+repo+"/tags/list", nil)).body, &whole)
	var paged []string
	for to := "/v2/" + repo + "/tags/list?n=2"; to != ""; {
		a := d.do(d.v2(http.MethodGet, to, nil))
		var page struct{ Tags []string }
		d.decode(a.body, &page)
		paged, to = append(paged, page.Tags...), ""
		if link := nextPage.FindStringSubmatch(a.header.Get("Link")); link != nil {
			to = link[1]
		}
	}
	if !slices.Equal(whole.Tags, paged) || !slices.IsSorted(paged) {
		d.Errorf("tags %q, by pages %q", whole.Tags, paged)
	}
	return paged
}

func (d *doorway) readBlob(repo, digest string, s repositoryState) {
	d.Helper()
	to := "/v2/" + repo + "/blobs/" + digest
	a := d.do(d.v2(http.MethodGet, to, nil))
	if head := d.do(d.v2(http.MethodHead, to, nil)); head.status != a.status {
		d.Errorf("GET of layer %s is answered with %d, HEAD with %d", digest, a.status, head.status)
	}
	if a.status == http.StatusNotFound {
		return
	}
	sum := sha256Of([]byte(a.body))
	if a.status != http.StatusOK || strings.HasPrefix(digest, "sha256:") && sum != digest {
		d.Errorf("layer %s: %d with %d bytes of %s", digest, a.status, len(a.body), sum)
	}
	s.Layers[digest] = int64(len(a.body))
	s.Contents[digest] = contentState{SHA256: sum}
}

// deriveContents leaves those contents that a stored image uses, the only ones
// that the ECR door gives away.
func (d *doorway) deriveContents(s repositoryState) {
	d.Helper()
	used := map[string]string{}
	for _, img := range s.Images {
		for _, b := range d.parse(img.Manifest).blobs() {
			used[b.Digest.String()] = b.MediaType
		}
	}
	for digest, c := range s.Contents {
		if c.MediaType = used[digest]; c.MediaType == "" {
			delete(s.Contents, digest)
			continue
		}
		s.Contents[digest] = c
	}
}

func (d *doorway) readReferrers(repo, digest string) (list []referrerState) {
	d.Helper()
	a := d.do(d.v2(http.MethodGet, "/v2/"+repo+"/referrers/"+digest, nil))
	var index v1.Index
	d.decode(a.body, &index)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != v1.MediaTypeImageIndex {
		d.Errorf("referrers of %s: %d %s", digest, a.status, a.header.Get("Content-Type"))
	}
	for _, m := range index.Manifests {
		list = append(list, referrerState{m.Digest.String(), m.MediaType, m.ArtifactType, m.Size, m.Annotations})
	}
	return list
}

// imageID is an identifier of the JSON API.
type imageID struct {
	ImageDigest string `json:"imageDigest,omitzero"`
	ImageTag    string `json:"imageTag,omitzero"`
}

// readECR reads a repository's state at the ECR door.
func (d *doorway) readECR(repo string, k known) repositoryState {
	d.Helper()
	s := newState()
	d.listImages(repo, s)
	d.getImages(repo, s)
	d.describeImages(repo, s)
	for _, digest := range k.layers {
		d.checkLayer(repo, digest, s)
	}
	for _, digest := range k.manifests {
		d.listReferrers(repo, digest, s)
	}
	return s
}

// pages calls an operation until there is no next page; each is given every
// page.
func (d *doorway) pages(op string, in members, each func(body string)) {
	d.Helper()
	for {
		a := d.do(d.operation(op, in))
		if a.status != http.StatusOK {
			d.Fatalf("%s: %d %s", op, a.status, a.body)
		}
		each(a.body)
		var next struct{ NextToken string }
		if d.decode(a.body, &next); next.NextToken == "" {
			return
		}
		in["nextToken"] = next.NextToken
	}
}

func (d *doorway) listImages(repo string, s repositoryState) {
	d.Helper()
	d.pages("ListImages", members{"repositoryName": repo, "maxResults": 2}, func(body string) {
		var page struct{ ImageIDs []imageID }
		d.decode(body, &page)
		for _, id := range page.ImageIDs {
			img := s.Images[id.ImageDigest]
			if id.ImageTag != "" {
				img.Tags = append(img.Tags, id.ImageTag)
				s.Tags[id.ImageTag] = id.ImageDigest
			}
			s.Images[id.ImageDigest] = img
		}
	})
}

// getImages reads the manifests of images by digest and by tag.
func (d *doorway) getImages(repo string, s repositoryState) {
	d.Helper()
	for digest, img := range s.Images {
		ids := []imageID{{ImageDigest: digest}}
		for _, tag := range img.Tags {
			ids = append(ids, imageID{ImageTag: tag})
		}
		var out struct {
			Images []struct {
				ImageID                               imageID
				ImageManifest, ImageManifestMediaType string
			}
			Failures []members
		}
		d.mustCall("BatchGetImage", members{"repositoryName": repo, "imageIds": ids}, &out)
		if len(out.Images) != len(ids) || len(out.Failures) > 0 {
			d.Errorf("BatchGetImage of %v gives %d images and failures %v", ids, len(out.Images), out.Failures)
		}
		for i, got := range out.Images {
			if i > 0 && (got.ImageManifest != img.Manifest || got.ImageID.ImageDigest != digest) {
				d.Errorf("BatchGetImage of %v gives %v, another image than by digest", ids[i], got.ImageID)
			}
			img.MediaType, img.Manifest = got.ImageManifestMediaType, got.ImageManifest
		}
		s.Images[digest] = img
	}
}

func (d *doorway) describeImages(repo string, s repositoryState) {
	d.Helper()
	described := map[string]bool{}
	d.pages("DescribeImages", members{"repositoryName": repo, "maxResults": 2}, func(body string) {
		var page struct {
			ImageDetails []struct {
				ImageDigest, ImageManifestMediaType, ArtifactMediaType, SubjectManifestDigest string
				ImageTags                                                                     []string
				ImageSizeInBytes                                                              int64
			}
		}
		d.decode(body, &page)
		for _, got := range page.ImageDetails {
			img := s.Images[got.ImageDigest]
			if !slices.Equal(got.ImageTags, img.Tags) || got.ImageManifestMediaType != img.MediaType {
				d.Errorf("%s is described as a %s with tags %q, and listed as a %s with tags %q",
					got.ImageDigest, got.ImageManifestMediaType, got.ImageTags, img.MediaType, img.Tags)
			}
			img.Size, img.Config, img.Subject = got.ImageSizeInBytes, got.ArtifactMediaType, got.SubjectManifestDigest
			s.Images[got.ImageDigest], described[got.ImageDigest] = img, true
		}
	})
	if len(described) != len(s.Images) {
		d.Errorf("%d images are described, %d listed", len(described), len(s.Images))
	}
}

// checkLayer asks for a layer and reads it by the link to it.
func (d *doorway) checkLayer(repo, digest string, s repositoryState) {
	d.Helper()
	var out struct {
		Layers []struct {
			LayerAvailability, MediaType string
			LayerSize                    int64
		}
	}
	d.mustCall("BatchCheckLayerAvailability", members{"repositoryName": repo, "layerDigests": []string{digest}}, &out)
	if len(out.Layers) != 1 {
		d.Errorf("availability of layer %s: %+v", digest, out)
		return
	}
	there := out.Layers[0].LayerAvailability == "AVAILABLE"
	if there {
		s.Layers[digest] = out.Layers[0].LayerSize
	}
	var link struct{ DownloadURL string }
	switch refused := d.call("GetDownloadUrlForLayer", members{"repositoryName": repo, "layerDigest": digest}, &link); {
	case refused == "" && there:
		s.Contents[digest] = contentState{out.Layers[0].MediaType, d.follow(link.DownloadURL)}
	case refused == "400 LayerInaccessibleException" && there: // no image uses it
	case refused == "400 LayersNotFoundException" && !there:
	default:
		d.Errorf("link to layer %s, which is %s: %q", digest, out.Layers[0].LayerAvailability, refused)
	}
}

// follow reads what a link leads to, without credentials, and returns its hash.
func (d *doorway) follow(link string) string {
	d.Helper()
	if u, err := url.Parse(link); err != nil || "http://"+u.Host != d.house.url {
		d.Fatalf("the link %q leads elsewhere than %s", link, d.house.url)
	}
	a := d.do(d.request(http.MethodGet, link, nil))
	if a.status != http.StatusOK {
		d.Errorf("the link to a layer: %d", a.status)
	}
	return sha256Of([]byte(a.body))
}

func (d *doorway) listReferrers(repo, digest string, s repositoryState) {
	d.Helper()
	in := members{"repositoryName": repo, "subjectId": members{"imageDigest": digest}, "maxResults": 2}
	d.pages("ListImageReferrers", in, func(body string) {
		var page struct{ Referrers []referrerState }
		d.decode(body, &page)
		if len(page.Referrers) > 0 {
			s.Referrers[digest] = append(s.Referrers[digest], page.Referrers...)
		}
	})
}
