package ociapi

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/storage"
)

// events are what requests are called in the audit trail: the operation of ECR's
// API that they mean, as CloudTrail shows requests to ECR's endpoint (user guide,
// "Logging Amazon ECR actions"). Those without one in the API have names of our
// own.
var events = map[kind]map[string]string{
	root:      {http.MethodGet: "GetAuthorizationCheck", http.MethodHead: "GetAuthorizationCheck"},
	catalog:   {http.MethodGet: "DescribeRepositories", http.MethodHead: "DescribeRepositories"},
	tags:      {http.MethodGet: "ListImages", http.MethodHead: "ListImages"},
	manifests: {http.MethodGet: "BatchGetImage", http.MethodHead: "BatchGetImage", http.MethodPut: putImageEvent, http.MethodDelete: "BatchDeleteImage"},
	blobs:     {http.MethodGet: getLayerEvent, http.MethodHead: "BatchCheckLayerAvailability", http.MethodDelete: "DeleteLayer"},
	uploads:   {http.MethodPost: startEvent},
	upload: {
		http.MethodGet: "GetLayerUpload", http.MethodHead: "GetLayerUpload", http.MethodPatch: "UploadLayerPart",
		http.MethodPut: completeEvent, http.MethodDelete: "CancelLayerUpload",
	},
	referrers: {http.MethodGet: "ListImageReferrers", http.MethodHead: "ListImageReferrers"},
}

const (
	putImageEvent = "PutImage"
	getLayerEvent = "GetDownloadUrlForLayer"
	startEvent    = "InitiateLayerUpload"
	completeEvent = "CompleteLayerUpload"
	mountEvent    = "MountLayer" // CloudTrail's name of a mount (ECR reference, registry-http.md, "Mount")
)

// describe notes in a call what its request says by itself, before anything of it
// is believed.
func (s *Server) describe(c *audit.Call, r *http.Request, at route, unrouted error) {
	c.ClaimBasic(r)
	if s.bearer && r.URL.EscapedPath() == tokenPath {
		c.Event = tokenEvent
		return
	}
	c.Event = events[at.kind][r.Method]
	if unrouted != nil || c.Event == "" {
		c.Event, c.Reference = audit.Unknown, r.Method+" "+r.URL.EscapedPath()
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if describeRead(c, r, at) {
			return
		}
	}
	query, _ := queryOf(r) // of what cannot be read, what can be
	request := make(audit.Fields, 0, 6)
	if at.kind != root && at.kind != catalog {
		request = append(request, audit.Field{Name: "registryId"}, audit.Field{Name: "repositoryName", Value: at.path}) // see aim
	}
	if at.kind != root { // which has none
		c.Parameters = append(request, parametersOf(at, query, r)...)
	}
	if !audit.ReadOnly(c.Event) {
		c.Answering = func(status int, h http.Header) { tellAnswer(c, at, query, status, h) }
	}
}

// describeRead describes a pull, if a request is one.
func describeRead(c *audit.Call, r *http.Request, at route) bool {
	switch {
	case at.kind == manifests:
		tag, digest := imageNamed(at.ref)
		c.Pull = audit.Pull{RepositoryName: at.path, ImageTag: tag, ImageDigest: digest}
	case at.kind == blobs && r.Method == http.MethodGet:
		c.Pull = audit.Pull{RepositoryName: at.path, LayerDigest: at.ref}
	case at.kind == blobs:
		c.Pull = audit.Pull{RepositoryName: at.path, SoughtLayer: at.ref}
	default:
		return false
	}
	return true
}

// aim notes what the request turned out to be about.
func aim(c *audit.Call, to target) {
	c.Principal, c.Account, c.Region = to.by, to.id.Account, to.id.Region
	if to.name.IsZero() {
		return
	}
	c.On(to.name.ARN(), to.id.Account, audit.RepositoryType)
	if c.Pull != (audit.Pull{}) {
		c.Pull.RegistryID, c.Pull.RepositoryName = to.id.Account, to.name.String()
		return
	}
	if f, ok := c.Parameters.(audit.Fields); ok && len(f) > 1 {
		f[0].Value, f[1].Value = to.id.Account, to.name.String()
	}
}

// parametersOf are those of the operation that a request means, under the names
// of ECR's API. Only members of the query that are named here come into a record.
func parametersOf(at route, query url.Values, r *http.Request) audit.Fields {
	switch at.kind {
	case manifests:
		if r.Method != http.MethodPut {
			return audit.Fields{{Name: "imageIds", Value: []audit.Fields{imageID(at.ref)}}}
		}
		return append(imageID(at.ref), audit.Field{Name: "imageManifestMediaType", Value: mediaTypeOf(r)}, audit.Field{Name: "imageTags", Value: query["tag"]})
	case blobs: // see describeRead
		return audit.Fields{{Name: "layerDigest", Value: at.ref}}
	case uploads:
		return audit.Fields{
			{Name: "layerDigest", Value: query.Get("mount") + query.Get("digest")}, {Name: "sourceRepositoryName", Value: query.Get("from")},
		}
	case upload:
		return audit.Fields{{Name: "uploadId", Value: at.ref}, {Name: "layerDigests", Value: query["digest"]}}
	case referrers:
		return audit.Fields{{Name: "subjectId", Value: audit.Fields{{Name: "imageDigest", Value: at.ref}}}, {Name: "artifactTypes", Value: query["artifactType"]}}
	case tags, catalog:
		return audit.Fields{{Name: "maxResults", Value: query.Get("n")}, {Name: "nextToken", Value: query.Get("last")}}
	}
	return nil
}

// imageID names an image by its tag, its digest or both.
func imageID(ref string) audit.Fields {
	tag, digest := imageNamed(ref)
	return audit.Fields{{Name: "imageTag", Value: tag}, {Name: "imageDigest", Value: digest}}
}

func imageNamed(ref string) (tag, digest string) {
	tag, digest, both := strings.Cut(ref, "@")
	if !both && strings.Contains(ref, ":") {
		return "", ref
	}
	return tag, digest
}

// mediaTypeOf is the type of a manifest that is pushed, "" for what can be none:
// of headers nothing comes into a record that is not what it should be.
func mediaTypeOf(r *http.Request) string {
	if t := r.Header.Get("Content-Type"); r.Method == http.MethodPut && strings.HasPrefix(t, "application/vnd.") {
		return t
	}
	return ""
}

// tellAnswer notes what a request that worked has brought. It is read from the
// answer's head, which tells it to the client.
func tellAnswer(c *audit.Call, at route, query url.Values, status int, h http.Header) {
	if status >= http.StatusBadRequest {
		return
	}
	digest := h.Get("Docker-Content-Digest")
	switch c.Event {
	case putImageEvent:
		id := audit.Fields{imageID(at.ref)[0], {Name: "imageDigest", Value: digest}}
		registryAndName := c.Parameters.(audit.Fields)[:2:2] // see aim
		c.Response = audit.Fields{{Name: "image", Value: append(registryAndName, audit.Field{Name: "imageId", Value: id})}}
		return
	case startEvent:
		c.Event = started(query, status)
	}
	c.Response = audit.Fields{{Name: "layerDigest", Value: digest}, {Name: "uploadId", Value: uploadOf(c.Event, at, h)}}
}

// started is what the start of an upload turned out to be: a mount, a whole
// layer, or a start.
func started(query url.Values, status int) string {
	switch {
	case status != http.StatusCreated:
		return startEvent
	case query.Has("digest") && !query.Has("mount"):
		return completeEvent
	}
	return mountEvent
}

// uploadOf is the id of the upload that an answer is about, "" for none.
func uploadOf(event string, at route, h http.Header) string {
	switch {
	case at.kind == upload:
		return at.ref
	case event == startEvent:
		return path.Base(h.Get("Location"))
	}
	return ""
}

// noteFailure tells a call of the error that answers it. What policies deny has
// the same code at every door.
func noteFailure(c *audit.Call, body errcode.Errors, err error) {
	code, message := errcode.ErrorCodeUnknown, ""
	if len(body) > 0 {
		var told errcode.Error
		if errors.As(body[0], &told) {
			code, message = told.Code, told.Message
		}
	}
	name := code.Descriptor().Value
	var denied *auth.Denied
	if errors.As(err, &denied) {
		name = "AccessDeniedException"
	}
	c.Fail(name, message, err)
}

// unrecorded refuses a call that must be recorded and cannot be: a change as a
// full store is answered, a read as one to be tried again.
func unrecorded(r *http.Request, err error) error {
	if err == nil {
		return nil
	}
	status := http.StatusServiceUnavailable
	if errors.Is(err, storage.ErrFull) && r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusInsufficientStorage
	}
	return refuse(status, errcode.ErrorCodeUnavailable, "the server cannot record what it does, and does nothing until it can")
}
