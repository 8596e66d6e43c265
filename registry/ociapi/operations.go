package ociapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// operation is what a method does to a kind of path.
type operation struct {
	// actions are the IAM actions that the caller must be allowed (ECR
	// reference, registry-http.md, "Action needed per request").
	actions func(*http.Request, url.Values) []string
	serve   func(*Server, http.ResponseWriter, *http.Request, target) error
	// asks is how the actions are asked for.
	asks asking
}

// asking is how an operation asks whether it may be done.
type asking int

// The ways.
const (
	outright  asking = iota // before it is begun
	bySight                 // for each repository that it would show
	whenMoved               // for each tag that it moves too, as target.may
)

// The IAM actions of this door.
const (
	describeRepositories = "ecr:DescribeRepositories"
	createRepository     = "ecr:CreateRepository"
	listImages           = "ecr:ListImages"
	batchGetImage        = "ecr:BatchGetImage"
	putImage             = "ecr:PutImage"
	batchDeleteImage     = "ecr:BatchDeleteImage"
	checkLayer           = "ecr:BatchCheckLayerAvailability"
	getLayer             = "ecr:GetDownloadUrlForLayer"
	initiateUpload       = "ecr:InitiateLayerUpload"
	uploadPart           = "ecr:UploadLayerPart"
	completeUpload       = "ecr:CompleteLayerUpload"
	replicateImage       = "ecr:ReplicateImage" // what comes with an origin: see target.origin
)

// operations are all that the door does.
var operations = map[kind]map[string]operation{
	root: {
		http.MethodGet:  {needs(), (*Server).ping, outright},
		http.MethodHead: {needs(), (*Server).ping, outright},
	},
	catalog: {
		http.MethodGet:  {needs(describeRepositories), (*Server).listRepositories, bySight},
		http.MethodHead: {needs(describeRepositories), (*Server).listRepositories, bySight},
	},
	tags: {
		http.MethodGet:  {needs(listImages), (*Server).listTags, outright},
		http.MethodHead: {needs(listImages), (*Server).listTags, outright},
	},
	manifests: {
		http.MethodGet:    {needs(batchGetImage), (*Server).getManifest, outright},
		http.MethodHead:   {needs(batchGetImage), (*Server).headManifest, outright},
		http.MethodPut:    {needs(putImage), (*Server).putManifest, whenMoved},
		http.MethodDelete: {needs(batchDeleteImage), (*Server).deleteManifest, whenMoved},
	},
	blobs: {
		http.MethodGet:    {needs(getLayer), (*Server).getBlob, outright},
		http.MethodHead:   {needs(checkLayer), (*Server).headBlob, outright},
		http.MethodDelete: {needs(batchDeleteImage), (*Server).deleteBlob, outright},
	},
	uploads: {
		http.MethodPost: {forStart, (*Server).startUpload, outright},
	},
	upload: {
		http.MethodGet:    {needs(uploadPart), (*Server).uploadStatus, outright},
		http.MethodHead:   {needs(uploadPart), (*Server).uploadStatus, outright},
		http.MethodPatch:  {needs(uploadPart), (*Server).patchUpload, outright},
		http.MethodPut:    {forFinish, (*Server).finishUpload, outright},
		http.MethodDelete: {needs(uploadPart), (*Server).cancelUpload, outright},
	},
	referrers: {
		// The ECR model authorises ListImageReferrers as this action.
		http.MethodGet:  {needs(batchGetImage), (*Server).listReferrers, outright},
		http.MethodHead: {needs(batchGetImage), (*Server).listReferrers, outright},
	},
}

func needs(actions ...string) func(*http.Request, url.Values) []string {
	return func(*http.Request, url.Values) []string { return actions }
}

// forStart: a POST with a digest is a whole upload.
func forStart(_ *http.Request, q url.Values) []string {
	if q.Has("digest") {
		return []string{initiateUpload, uploadPart, completeUpload}
	}
	return []string{initiateUpload}
}

// forFinish: a PUT with a body brings a part.
func forFinish(r *http.Request, _ url.Values) []string {
	if r.ContentLength != 0 {
		return []string{completeUpload, uploadPart}
	}
	return []string{completeUpload}
}

// operationFor finds what a method does to a kind of path, or says in the
// Allow header what could be done.
func operationFor(w http.ResponseWriter, k kind, method string) (operation, error) {
	op, ok := operations[k][method]
	if ok {
		return op, nil
	}
	allow := slices.Sorted(maps.Keys(operations[k]))
	w.Header().Set("Allow", strings.Join(allow, ", "))
	e := refuse(http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported, "this resource has no such method")
	e.noResource = true
	return operation{}, e
}

// checkEncoding refuses bodies that would have to be unpacked: their digest is
// that of the bytes as they come.
func checkEncoding(r *http.Request) error {
	for _, e := range r.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(e, "identity") {
			return refuse(http.StatusUnsupportedMediaType, errcode.ErrorCodeUnsupported,
				"bodies are taken as they are: send no Content-Encoding")
		}
	}
	return nil
}

// Route is a method of a kind of path, with the IAM actions that it may need.
type Route struct {
	// Kind is what the path leads to, such as "manifests".
	Kind, Method string
	// Actions are all of them; a request that brings no bytes needs fewer. There are
	// none for what is open to whoever has logged in.
	Actions []string
}

// Routes are all that the door answers, in order of kind and method.
func Routes() (list []Route) {
	whole := &http.Request{ContentLength: 1}
	for _, k := range slices.Sorted(maps.Keys(operations)) {
		for _, method := range slices.Sorted(maps.Keys(operations[k])) {
			op := operations[k][method]
			list = append(list, Route{string(k), method, op.actions(whole, url.Values{"digest": {""}})})
		}
	}
	return list
}
