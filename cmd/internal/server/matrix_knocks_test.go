package server_test

import (
	"net/http"
	"net/url"
	"path"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// knock is a request that the matrix makes of everyone.
type knock struct {
	at      int // which door, as in identity.refused
	what    string
	actions []string // IAM actions that it needs, each of them
	on      scope
	there   string // its outcome where the repository is there
	missing string // and where it is not; "" means the same
	make    maker  // what it takes is made by who asks, where he may
	head    bool   // the answer has no body
}

// routeKnocks are those of the OCI door by kind of path and method: each route has one
// at least. The actions are those of the ECR reference, registry-http.md, "Action
// needed per request".
var routeKnocks = map[string][]knock{
	"root GET":  {{on: nobodys, there: "200", make: ociAt("", "")}},
	"root HEAD": {{on: nobodys, there: "200", make: ociAt("", "")}},

	"catalog GET":  {{on: list, actions: acts("DescribeRepositories"), there: "200", make: ociAt("_catalog", "")}},
	"catalog HEAD": {{on: list, actions: acts("DescribeRepositories"), there: "200", make: ociAt("_catalog", "")}},

	"tags GET":  {{actions: acts("ListImages"), there: "200", missing: noName, make: below("/tags/list", "")}},
	"tags HEAD": {{actions: acts("ListImages"), there: "200", missing: noName, make: below("/tags/list", "")}},

	"manifests GET": {
		{actions: acts("BatchGetImage"), there: "200", missing: noName, make: below("/manifests/1", "")},
		{what: " of none", actions: acts("BatchGetImage"), there: "404 MANIFEST_UNKNOWN", missing: noName, make: below("/manifests/none", "")},
	},
	"manifests HEAD":   {{actions: acts("BatchGetImage"), there: "200", missing: noName, make: below("/manifests/1", "")}},
	"manifests PUT":    {{actions: acts("PutImage"), there: "201", missing: noName, make: putManifest}},
	"manifests DELETE": {{actions: acts("BatchDeleteImage"), there: "202", missing: noName, make: below("/manifests/1", "")}},

	"blobs GET": {
		{actions: acts("GetDownloadUrlForLayer"), there: "200", missing: noName, make: below("/blobs/"+sha256Of([]byte(layerText)), "")},
		{what: " of none", actions: acts("GetDownloadUrlForLayer"), there: "404 BLOB_UNKNOWN", missing: noName, make: below("/blobs/"+sha256Of([]byte("none")), "")},
	},
	"blobs HEAD":   {{actions: acts("BatchCheckLayerAvailability"), there: "200", missing: noName, make: below("/blobs/"+sha256Of([]byte(layerText)), "")}},
	"blobs DELETE": {{actions: acts("BatchDeleteImage"), there: "202", missing: noName, make: below("/blobs/"+sha256Of([]byte(looseText)), "")}},

	"uploads POST": {
		{actions: acts("InitiateLayerUpload"), there: "202", missing: noName, make: below("/blobs/uploads/", "")},
		{what: " whole", actions: acts("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"), there: "201", missing: noName,
			make: below("/blobs/uploads/?digest="+sha256Of([]byte("whole")), "whole")},
		{what: " mount", actions: acts("InitiateLayerUpload"), there: "202", missing: noName,
			make: below("/blobs/uploads/?from="+missing+"&mount="+sha256Of([]byte("elsewhere")), "")},
	},

	"upload GET":   {{actions: acts("UploadLayerPart"), there: "204", missing: noName, make: ofUpload("", "")}},
	"upload HEAD":  {{actions: acts("UploadLayerPart"), there: "204", missing: noName, make: ofUpload("", "")}},
	"upload PATCH": {{actions: acts("UploadLayerPart"), there: "202", missing: noName, make: ofUpload("", " you")}},
	"upload PUT": {
		{actions: acts("CompleteLayerUpload"), there: "201", missing: noName, make: ofUpload("?digest="+sha256Of([]byte(begunText)), "")},
		{what: " with bytes", actions: acts("CompleteLayerUpload", "UploadLayerPart"), there: "201", missing: noName,
			make: ofUpload("?digest="+sha256Of([]byte(begunText+" you")), " you")},
	},
	"upload DELETE": {{actions: acts("UploadLayerPart"), there: "204", missing: noName, make: ofUpload("", "")}},

	"referrers GET":  {{actions: acts("BatchGetImage"), there: "200", missing: noName, make: below("/referrers/"+sha256Of(nil), "")}},
	"referrers HEAD": {{actions: acts("BatchGetImage"), there: "200", missing: noName, make: below("/referrers/"+sha256Of(nil), "")}},
}

const (
	noName = "404 NAME_UNKNOWN"
)

func acts(names ...string) (list []string) {
	for _, name := range names {
		list = append(list, "ecr:"+name)
	}
	return list
}

// maker makes the request of a knock; the method of the OCI door is that of the route.
type maker = func(w *world, by *identity, repo string) *http.Request

// ociAt is a path that has no repository in it.
func ociAt(path, body string) maker {
	return func(w *world, by *identity, _ string) *http.Request {
		if path == "" { // the root is of no registry
			return w.as(by, w.request(http.MethodGet, "/v2/", []byte(body)))
		}
		return w.oci(by, http.MethodGet, path, "", body)
	}
}

// below is a path below a repository.
func below(path, body string) maker {
	return func(w *world, by *identity, repo string) *http.Request {
		return w.oci(by, http.MethodGet, repo, path, body)
	}
}

func putManifest(w *world, by *identity, repo string) *http.Request {
	r := w.oci(by, http.MethodGet, repo, "/manifests/2", string(w.manifest))
	r.Header.Set("Content-Type", v1.MediaTypeImageManifest)
	return r
}

// ofUpload is a path below an upload: of who asks, where he may have one, else that
// of the root.
func ofUpload(query, body string) maker {
	return func(w *world, by *identity, repo string) *http.Request {
		return w.oci(by, http.MethodGet, repo, "/blobs/uploads/"+w.uploadFor(by, repo)+query, body)
	}
}

// uploadFor is an upload of who asks, which is begun for it, or one of the root's where
// he may begin none.
func (w *world) uploadFor(by *identity, repo string) string {
	begins := may(by, "ecr:InitiateLayerUpload", repository, repo) && may(by, "ecr:UploadLayerPart", repository, repo)
	if begins && by.refused[atV2] == "" && by.user != "" && repo != missing {
		w.began = w.begin(by, repo)
		return w.began
	}
	return w.upload
}

// stsKnocks are those of STS by action. Nobody but the root is given any of them by a
// policy.
var stsKnocks = map[string]knock{
	"GetCallerIdentity": {on: nobodys, there: "200", make: form("GetCallerIdentity", nil)},
	"GetSessionToken":   {on: lasting, there: "200", make: form("GetSessionToken", nil)},
	"AssumeRole":        {on: role, there: "200", make: form("AssumeRole", named)},
	"AssumeRoleWithWebIdentity": {on: unsigned, there: "400 InvalidIdentityToken", make: func(w *world, _ *identity, repo string) *http.Request {
		v := named(w, repo)
		v.Set("WebIdentityToken", "no.such.token")
		return form("AssumeRoleWithWebIdentity", func(*world, string) url.Values { return v })(w, &identity{}, repo)
	}},
	"GetAccessKeyInfo": {on: ownAccount, actions: []string{"sts:GetAccessKeyInfo"}, there: "200", make: form("GetAccessKeyInfo", func(w *world, _ string) url.Values {
		return url.Values{"AccessKeyId": {w.key.ID}}
	})},
}

// named are the parameters that name the role of a repository's name.
func named(_ *world, repo string) url.Values {
	return url.Values{"RoleArn": {"arn:aws:iam::" + home + ":role/" + path.Base(repo)}, "RoleSessionName": {"matrix"}}
}

func form(action string, more func(w *world, repo string) url.Values) maker {
	return func(w *world, by *identity, repo string) *http.Request {
		v := url.Values{}
		if more != nil {
			v = more(w, repo)
		}
		v.Set("Action", action)
		v.Set("Version", "2011-06-15")
		return w.sts(by, v.Encode())
	}
}
