package life

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// client is one of those who call a world at the same time.
type client struct {
	*world
	*ledger
	u      *universe
	random *rand.Rand
	number int
	gone   func() bool    // whether the power has gone
	fault  func(f string) // takes what must not be
	// failing says that syncs are made to fail, so that the server may.
	failing bool
}

// run makes steps until the power goes.
func (c *client) run(steps int) {
	for n := 0; n < steps && !c.gone(); n++ {
		c.step()
	}
}

func (c *client) step() {
	repo := repositories[c.random.IntN(2)]
	in := call{key: repo, tag: int8(c.random.IntN(tagCount)), doc: int8(c.random.IntN(len(c.u.documents))), text: int8(c.random.IntN(len(c.u.policies)))}
	switch n := c.random.IntN(100); {
	case n < 38:
		c.push(repo, in)
	case n < 46:
		c.ask(in, readTag)
	case n < 50:
		c.ask(in, readImage)
	case n < 56:
		c.ask(in, untag)
	case n < 59:
		c.ask(in, untagKeep)
	case n < 65:
		c.ask(in, remove)
	case n < 71:
		c.ask(in, setPolicy)
	case n < 73:
		c.ask(in, dropPolicy)
	case n < 75:
		c.ask(in, readPolicy)
	case n < 77 && repo == repositories[0]:
		defer c.beginDrop(repo)()
		c.ask(in, drop)
	case n < 81:
		c.ask(in, create)
	case n < 84:
		c.sweep()
	case n < 86:
		c.compact()
	default:
		c.goOn()
	}
}

// sweep has the server clean up, as it does by itself from time to time. What it lets
// go of nobody asks for.
func (c *client) sweep() {
	if c.clean != nil {
		c.clean()
		return
	}
	_, err := c.service.CollectNow(context.Background(), 0)
	err = errors.Join(err, c.service.SweepTrash(context.Background()))
	if err != nil && !c.failing && !c.gone() {
		c.fault(fmt.Sprintf("a collection failed: %v", err))
	}
}

// compact has the index compacted beside the other clients, as it is done when much of
// it is free.
func (c *client) compact() {
	if c.file == nil {
		return
	}
	_, err := c.file.Compact(context.Background())
	if err != nil && !c.failing && !c.gone() {
		c.fault(fmt.Sprintf("a compaction failed: %v", err))
	}
}

// ask makes a call and notes how it ends.
func (c *client) ask(in call, do verb) result {
	in.do = do
	return c.note(c.number, in, c.gone, func() result {
		r := c.tell(in)
		c.expect(in, r)
		return r
	})
}

// expect says that a call failed though nothing was wrong.
func (c *client) expect(in call, r result) {
	if r.outcome == unknown && !c.failing && !c.gone() {
		c.fault(fmt.Sprintf("%s of %s failed while the power was there", in.do, in.key))
	}
}

func (c *client) tell(in call) result {
	doc := c.u.documents[in.doc]
	repository := members{"repositoryName": in.key}
	switch in.do {
	case create:
		return exception(c.call("CreateRepository", repository, nil))
	case drop:
		repository["force"] = true
		return exception(c.call("DeleteRepository", repository, nil))
	case untag:
		return c.batchDelete(in.key, members{"imageTag": tagName(in.tag)})
	case untagKeep:
		return status(c.at(http.MethodDelete, manifestPath(in.key, tagName(in.tag)), "", nil))
	case remove:
		if c.random.IntN(2) == 0 {
			return status(c.at(http.MethodDelete, manifestPath(in.key, doc.digest), "", nil))
		}
		return c.batchDelete(in.key, members{"imageDigest": doc.digest})
	case readTag:
		return c.read(in.key, tagName(in.tag))
	case readImage:
		return c.read(in.key, doc.digest)
	case setPolicy:
		repository["policyText"] = c.u.policies[in.text]
		return exception(c.call("SetRepositoryPolicy", repository, nil))
	case dropPolicy:
		return exception(c.call("DeleteRepositoryPolicy", repository, nil))
	case readPolicy:
		return c.policy(repository)
	case push:
		return c.put(in)
	}
	panic("no such verb: " + string(in.do))
}

func manifestPath(repo, ref string) string { return "/v2/" + repo + "/manifests/" + ref }

// nothingThere are the exceptions that say that what a call is about is not there.
var nothingThere = []string{
	"RepositoryNotFoundException", "RepositoryPolicyNotFoundException", "ImageNotFoundException", "UploadNotFoundException",
}

// exception is how a call of the API ended.
func exception(text string) result {
	switch {
	case text == "":
		return result{outcome: done}
	case text[0] >= '4' && text[0] <= '9': // a status
		return result{}
	case text == "RepositoryAlreadyExistsException" || text == "ImageAlreadyExistsException":
		return result{outcome: present}
	case slices.Contains(nothingThere, text):
		return result{outcome: absent}
	}
	return result{outcome: refused}
}

// status is how a request at /v2/ ended.
func status(a answer) result {
	switch {
	case a.status < 300:
		return result{outcome: done}
	case a.status >= 500:
		return result{}
	case a.status == http.StatusNotFound && !strings.Contains(string(a.body), "BLOB_UNKNOWN"):
		return result{outcome: absent}
	}
	return result{outcome: refused}
}

func (c *client) batchDelete(repo string, id members) result {
	var out struct {
		Failures []struct{ FailureCode string }
	}
	r := exception(c.call("BatchDeleteImage", members{"repositoryName": repo, "imageIds": []members{id}}, &out))
	if r.outcome != done || len(out.Failures) == 0 {
		return r
	}
	switch out.Failures[0].FailureCode {
	case "ImageNotFound":
		return result{outcome: absent}
	case "ImageReferencedByManifestList":
		return result{outcome: needed}
	}
	return result{outcome: refused}
}

// read reads an image by either door. What is read must be what was pushed.
func (c *client) read(repo, ref string) result {
	var body []byte
	if c.random.IntN(3) > 0 {
		a := c.at(http.MethodGet, manifestPath(repo, ref), "", nil, "Accept", imageType+", "+indexType)
		if r := status(a); r.outcome != done {
			return seeNone(r)
		}
		body = a.body
	} else {
		id := members{"imageTag": ref}
		if strings.Contains(ref, ":") {
			id = members{"imageDigest": ref}
		}
		var out struct {
			Images []struct{ ImageManifest string }
		}
		r := exception(c.call("BatchGetImage", members{
			"repositoryName": repo, "imageIds": []members{id}, "acceptedMediaTypes": []string{imageType, indexType},
		}, &out))
		if r.outcome != done || len(out.Images) == 0 {
			return seeNone(r)
		}
		body = []byte(out.Images[0].ImageManifest)
	}
	doc, ok := c.u.byDigest[sum(body)]
	if !ok {
		c.fault(fmt.Sprintf("%s:%s has the bytes %q, which nobody pushed", repo, ref, body))
		doc = none
	}
	return result{outcome: done, seen: doc}
}

// seeNone is a read that saw nothing, unless it failed.
func seeNone(r result) result {
	if r.outcome == unknown {
		return r
	}
	return result{outcome: done, seen: none}
}

func (c *client) policy(repository members) result {
	var out struct{ PolicyText string }
	r := exception(c.call("GetRepositoryPolicy", repository, &out))
	if r.outcome != done {
		return seeNone(r)
	}
	for n, text := range c.u.policies {
		if sameJSON(text, out.PolicyText) {
			return result{outcome: done, seen: int8(n)}
		}
	}
	c.fault("a policy that nobody set: " + out.PolicyText)
	return result{}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return string(mustJSON(x)) == string(mustJSON(y))
}

// push pushes a document with all that it needs.
func (c *client) push(repo string, in call) {
	doc := c.u.documents[in.doc]
	known := true
	for _, b := range doc.blobs {
		if c.has(repo, sum(b)) && c.random.IntN(3) > 0 {
			continue // the registry has said that it is there
		}
		if known = c.pushBlob(repo, b) && known; c.gone() {
			return
		}
	}
	if c.random.IntN(6) == 0 {
		in.tag = none
	}
	since := c.since(repo)
	r := c.ask(in, push)
	if r.outcome == refused && known && doc.children == nil && since >= 0 && since == c.since(repo) && c.hasAll(repo, doc) && !c.gone() {
		c.fault(fmt.Sprintf("a push to %s was refused though all its layers had been acknowledged", repo))
	}
}

func (c *client) hasAll(repo string, doc document) bool {
	for _, b := range doc.blobs {
		if !c.has(repo, sum(b)) {
			return false
		}
	}
	return true
}

func (c *client) put(in call) result {
	doc := c.u.documents[in.doc]
	if c.random.IntN(2) == 0 {
		ref := doc.digest
		if in.tag != none {
			ref = tagName(in.tag)
		}
		return status(c.at(http.MethodPut, manifestPath(in.key, ref), doc.mediaType, doc.body))
	}
	image := members{"repositoryName": in.key, "imageManifest": string(doc.body), "imageManifestMediaType": doc.mediaType}
	if in.tag != none {
		image["imageTag"] = tagName(in.tag)
	}
	return exception(c.call("PutImage", image, nil))
}

// pushBlob sends a layer, at once or in parts, and says whether it was acknowledged.
func (c *client) pushBlob(repo string, blob []byte) bool {
	since := c.since(repo)
	r := c.sendBlob(repo, blob)
	if c.gone() {
		return false
	}
	c.expect(call{do: "push of a layer", key: repo}, r)
	if r.outcome == done {
		c.keep(repo, sum(blob), since)
	}
	return r.outcome == done
}

func (c *client) sendBlob(repo string, blob []byte) result {
	if c.random.IntN(2) == 0 {
		return status(c.at(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+sum(blob), "application/octet-stream", blob))
	}
	id, r := c.beginAt(repo, true)
	if r.outcome != done {
		return r
	}
	half := len(blob) / 2
	for _, part := range [][2]int{{0, half}, {half, len(blob)}} {
		if r := c.sendPart(repo, id, true, int64(part[0]), blob[part[0]:part[1]]); r.outcome != done {
			return r
		}
	}
	return c.finishAt(repo, id, true, sum(blob))
}

// beginAt begins an upload by the API or at /v2/.
func (c *client) beginAt(repo string, api bool) (id string, r result) {
	if api {
		var out struct{ UploadID string }
		r = exception(c.call("InitiateLayerUpload", members{"repositoryName": repo}, &out))
		return out.UploadID, r
	}
	a := c.at(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", "", nil)
	return path.Base(a.header.Get("Location")), status(a)
}

func (c *client) sendPart(repo, id string, api bool, at int64, part []byte) result {
	if api {
		var out struct{ LastByteReceived int64 }
		r := exception(c.call("UploadLayerPart", members{
			"repositoryName": repo, "uploadId": id, "partFirstByte": at, "partLastByte": at + int64(len(part)) - 1,
			"layerPartBlob": base64.StdEncoding.EncodeToString(part),
		}, &out))
		r.at = out.LastByteReceived + 1
		return r
	}
	span := fmt.Sprintf("%d-%d", at, at+int64(len(part))-1)
	a := c.at(http.MethodPatch, uploadPath(repo, id), "application/octet-stream", part, "Content-Range", span)
	return standing(a)
}

func uploadPath(repo, id string) string { return "/v2/" + repo + "/blobs/uploads/" + id }

// standing is how a request at an upload ended, with where that stands.
func standing(a answer) result {
	r := status(a)
	_, last, ok := strings.Cut(a.header.Get("Range"), "-")
	if n, err := strconv.ParseInt(last, 10, 64); ok && err == nil && n > 0 {
		r.at = n + 1
	}
	return r
}

func (c *client) finishAt(repo, id string, api bool, digest string) result {
	if api {
		return exception(c.call("CompleteLayerUpload", members{"repositoryName": repo, "uploadId": id, "layerDigests": []string{digest}}, nil))
	}
	return status(c.at(http.MethodPut, uploadPath(repo, id)+"?digest="+digest, "", nil))
}
