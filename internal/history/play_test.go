package history

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// player makes the calls of a history.
type player struct {
	*world
	slots map[int]string // ids of uploads
	sent  map[string]int // bytes by id
	lists map[int]*listing
}

// never is the id of an upload that there never was.
const never = "00000000-0000-0000-0000-000000000000"

func (p *player) slot(s step) string {
	if id, ok := p.slots[s.Slot]; ok {
		return id
	}
	return never
}

// play makes the call of a step and returns what the door said: "" or what else
// the outcome is in its words.
func (p *player) play(s step) string {
	switch s.Do {
	case restart:
		return p.restart()
	case expire:
		return p.expire()
	case create, drop, mutability, mounting, setPolicy, dropPolicy, setLifecycle, dropLifecycle, store, batch:
		return p.control(s)
	case layer:
		return p.layer(s)
	case begin:
		return p.begin(s)
	case send:
		return p.send(s)
	case finish:
		return p.finish(s)
	case cancel:
		return p.at(http.MethodDelete, p.path(s, "/blobs/uploads/"+p.slot(s)), "", "").refusal(http.StatusNoContent)
	case mount:
		return p.mount(s)
	case dropLayer:
		return p.at(http.MethodDelete, p.path(s, "/blobs/"+sum(blobs[s.Blob])), "", "").refusal(http.StatusAccepted)
	case push:
		return p.push(s)
	case untag, remove:
		return p.remove(s)
	case pull, look:
		return p.pull(s)
	}
	return p.list(s)
}

func (p *player) path(s step, rest string) string { return "/v2/" + s.Repo + rest }

func (p *player) restart() string {
	if err := p.close(); err != nil {
		return err.Error()
	}
	if err := p.start(); err != nil {
		return err.Error()
	}
	return ""
}

func (p *player) expire() string {
	if err := p.service.RunLifecycle(context.Background()); err != nil {
		return err.Error()
	}
	return ""
}

// tagRule adds the members of a tag rule.
func (s step) tagRule(in members) members {
	in["imageTagMutability"] = s.Rule
	if strings.HasSuffix(s.Rule, "EXCLUSION") {
		var filters []members
		for _, e := range exclusions {
			filters = append(filters, members{"filterType": "WILDCARD", "filter": e})
		}
		in["imageTagMutabilityExclusionFilters"] = filters
	}
	return in
}

const policyText = `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`

// lifecycle is the text of a policy that leaves some of the images.
func (s step) lifecycle() string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":%q,"countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`, s.Rule, s.Size)
}

// control plays what the API alone has.
func (p *player) control(s step) string {
	in := members{"repositoryName": s.Repo}
	switch s.Do {
	case create:
		return p.call("CreateRepository", s.tagRule(in), nil)
	case drop:
		in["force"] = s.Force
		return p.call("DeleteRepository", in, nil)
	case mutability:
		return p.call("PutImageTagMutability", s.tagRule(in), nil)
	case mounting:
		return p.call("PutAccountSetting", members{"name": "BLOB_MOUNTING", "value": s.Rule}, nil)
	case setPolicy:
		in["policyText"] = policyText
		return p.call("SetRepositoryPolicy", in, nil)
	case dropPolicy:
		return p.call("DeleteRepositoryPolicy", in, nil)
	case setLifecycle:
		in["lifecyclePolicyText"] = s.lifecycle()
		return p.call("PutLifecyclePolicy", in, nil)
	case dropLifecycle:
		return p.call("DeleteLifecyclePolicy", in, nil)
	case store:
		in["imageId"], in["targetStorageClass"] = members{"imageDigest": universe[s.Doc].digest}, s.Rule
		return p.call("UpdateImageStorageClass", in, nil)
	}
	return p.batch(s)
}

// layer uploads a blob, by one of the ways that each door has.
func (p *player) layer(s step) string {
	if s.Door == atOCI && !p.asECR() && s.Wait%2 == 0 {
		to := p.path(s, "/blobs/uploads/?digest="+url.QueryEscape(sum(blobs[s.Blob])))
		return p.at(http.MethodPost, to, "application/octet-stream", blobs[s.Blob]).refusal(http.StatusCreated)
	}
	before, had := p.slots[own]
	defer func() {
		if p.slots[own] = before; !had {
			delete(p.slots, own)
		}
	}()
	s.Slot = own
	for _, step := range []func(step) string{p.begin, p.send, p.finish} {
		if text := step(s); text != "" {
			return text
		}
	}
	return ""
}

// own is a slot that no step has.
const own = -1

func (p *player) begin(s step) string {
	if s.Door == atOCI {
		a := p.at(http.MethodPost, p.path(s, "/blobs/uploads/"), "", "")
		text := a.refusal(http.StatusAccepted)
		if text == "" {
			p.slots[s.Slot] = path.Base(a.header.Get("Location"))
		}
		return text
	}
	var out struct{ UploadID string }
	text := p.call("InitiateLayerUpload", members{"repositoryName": s.Repo}, &out)
	if text == "" {
		p.slots[s.Slot] = out.UploadID
	}
	return text
}

// send sends a blob behind what was sent before.
func (p *player) send(s step) string {
	content, from := blobs[s.Blob], p.sent[p.slot(s)]
	if s.Wrong {
		from += 7
	}
	var text string
	if s.Door == atOCI {
		r := p.request(http.MethodPatch, p.path(s, "/blobs/uploads/"+p.slot(s)), "application/octet-stream", content)
		r.Header.Set("Content-Range", fmt.Sprintf("%d-%d", from, from+len(content)-1))
		success := http.StatusAccepted
		if p.asECR() {
			success = http.StatusCreated
		}
		text = p.ask(r).refusal(success)
	} else {
		text = p.call("UploadLayerPart", members{
			"repositoryName": s.Repo, "uploadId": p.slot(s), "partFirstByte": from, "partLastByte": from + len(content) - 1,
			"layerPartBlob": base64.StdEncoding.EncodeToString([]byte(content)),
		}, nil)
	}
	if text == "" {
		p.sent[p.slot(s)] += len(content)
	}
	return text
}

func (p *player) finish(s step) string {
	d := sum(blobs[s.Blob])
	if s.Door == atOCI {
		to := p.path(s, "/blobs/uploads/"+p.slot(s)+"?digest="+url.QueryEscape(d))
		return p.at(http.MethodPut, to, "", "").refusal(http.StatusCreated)
	}
	return p.call("CompleteLayerUpload", members{"repositoryName": s.Repo, "uploadId": p.slot(s), "layerDigests": []string{d}}, nil)
}

// mount asks for a blob of another repository. An upload that begins instead is
// dropped.
func (p *player) mount(s step) string {
	q := url.Values{"mount": {sum(blobs[s.Blob])}}
	if s.From != "" {
		q.Set("from", s.From)
	}
	a := p.at(http.MethodPost, p.path(s, "/blobs/uploads/?"+q.Encode()), "", "")
	switch a.status {
	case http.StatusCreated:
		return "201"
	case http.StatusAccepted:
		to := p.path(s, "/blobs/uploads/"+path.Base(a.header.Get("Location")))
		if text := p.at(http.MethodDelete, to, "", "").refusal(http.StatusNoContent); text != "" {
			return "drop the upload: " + text
		}
		return "202"
	}
	return a.refusal(0)
}

func (p *player) push(s step) string {
	d := universe[s.Doc]
	want := d.digest
	if s.wrongDigest() {
		want = sum("something else")
	}
	if s.Door == atOCI {
		ref, q := want, url.Values{"tag": s.Tags}
		if !s.byDigest() {
			ref, q = s.Tags[0], nil
		}
		return p.at(http.MethodPut, p.path(s, "/manifests/"+ref+"?"+q.Encode()), d.mediaType, d.body).refusal(http.StatusCreated)
	}
	in := members{"repositoryName": s.Repo, "imageManifest": d.body, "imageManifestMediaType": d.mediaType}
	if len(s.Tags) > 0 {
		in["imageTag"] = s.Tags[0]
	}
	if s.Wrong || s.Wait%2 == 0 {
		in["imageDigest"] = want
	}
	return p.call("PutImage", in, nil)
}

// imageID names what a step names, by tag or by digest.
func (s step) imageID() members {
	if len(s.Tags) > 0 {
		return members{"imageTag": s.Tags[0]}
	}
	return members{"imageDigest": universe[s.Doc].digest}
}

func (s step) reference() string {
	if len(s.Tags) > 0 {
		return s.Tags[0]
	}
	return universe[s.Doc].digest
}

func (p *player) remove(s step) string {
	if s.Door == atOCI {
		return p.at(http.MethodDelete, p.path(s, "/manifests/"+s.reference()), "", "").refusal(http.StatusAccepted)
	}
	gone, failed, text := p.batchDelete(s.Repo, s.imageID())
	switch {
	case text != "":
		return text
	case len(failed) == 1 && len(gone) == 0:
		return "failure " + failed[0]
	case len(failed) > 0 || len(gone) == 0:
		return fmt.Sprintf("%v went and %v failed", gone, failed)
	}
	return ""
}

func (p *player) batch(s step) string {
	var ids []members
	for _, n := range s.identifiers() {
		id := members{}
		if n.tag != "" {
			id["imageTag"] = n.tag
		}
		if n.digest != "" {
			id["imageDigest"] = n.digest
		}
		ids = append(ids, id)
	}
	gone, failed, text := p.batchDelete(s.Repo, ids...)
	if text != "" {
		return text
	}
	return string(batchText(gone, failed))
}

func (p *player) batchDelete(repo string, ids ...members) (gone, failed []string, text string) {
	var out struct {
		ImageIDs []struct{ ImageDigest, ImageTag string }
		Failures []struct{ FailureCode string }
	}
	text = p.call("BatchDeleteImage", members{"repositoryName": repo, "imageIds": ids}, &out)
	for _, id := range out.ImageIDs {
		gone = append(gone, called(id.ImageDigest)+":"+id.ImageTag)
	}
	for _, f := range out.Failures {
		failed = append(failed, f.FailureCode)
	}
	return gone, failed, text
}

// pull reads an image, and holds what comes against its digest.
func (p *player) pull(s step) string {
	if s.Do == look {
		return p.at(http.MethodHead, p.path(s, "/manifests/"+s.reference()), "", "").refusal(http.StatusOK)
	}
	if s.Door == atOCI {
		a := p.at(http.MethodGet, p.path(s, "/manifests/"+s.reference()), "", "")
		if text := a.refusal(http.StatusOK); text != "" {
			return text
		}
		return isDocument(a.header.Get("Docker-Content-Digest"), a.header.Get("Content-Type"), a.body)
	}
	var out struct {
		Images []struct {
			ImageID                               struct{ ImageDigest string }
			ImageManifest, ImageManifestMediaType string
		}
		Failures []struct{ FailureCode string }
	}
	text := p.call("BatchGetImage", members{"repositoryName": s.Repo, "imageIds": []members{s.imageID()}}, &out)
	switch {
	case text != "":
		return text
	case len(out.Failures) == 1 && len(out.Images) == 0:
		return "failure " + out.Failures[0].FailureCode
	case len(out.Images) != 1:
		return fmt.Sprintf("%d images", len(out.Images))
	}
	return isDocument(out.Images[0].ImageID.ImageDigest, out.Images[0].ImageManifestMediaType, out.Images[0].ImageManifest)
}

// isDocument says what is wrong with a document that came, "" if it is of the
// universe to the byte.
func isDocument(digest, mediaType, body string) string {
	for _, d := range universe {
		if d.digest == digest && d.mediaType == mediaType && d.body == body {
			return ""
		}
	}
	return fmt.Sprintf("no such document: %s of type %s: %s", digest, mediaType, body)
}
