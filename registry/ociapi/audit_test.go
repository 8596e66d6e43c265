package ociapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// trail is where a test's door records, and reads what it recorded.
type trail struct {
	t    testing.TB
	file string
	*audit.Trail
}

func newTrail(t testing.TB) *trail {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	kept, err := audit.Open(audit.Options{File: file, Account: "000000000000", Region: region})
	must(t, err)
	return &trail{t, file, kept}
}

func (tr *trail) into(o *setup) { o.audit = tr.Trail }

// record is of the audit trail, as far as tests look at it.
type record struct {
	EventName, ErrorCode, ErrorMessage, RecipientAccountID, AWSRegion string
	UserIdentity                                                      map[string]any
	RequestParameters, ResponseElements                               map[string]any
	Resources                                                         []map[string]string
	ReadOnly                                                          bool
	AdditionalEventData                                               struct {
		Door       string
		HTTPStatus int
		BytesSent  int
		Reference  string
	}
}

// end closes the trail and returns all of its calls.
func (tr *trail) end() (all []record, text string) {
	tr.t.Helper()
	must(tr.t, tr.Close())
	content, err := os.ReadFile(tr.file)
	must(tr.t, err)
	lines := slices.Collect(strings.Lines(string(content)))
	for _, line := range lines[1 : len(lines)-1] { // but for those of the trail itself
		var r record
		must(tr.t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	return all, string(content)
}

func TestEachRequestIsRecorded(t *testing.T) {
	tr := newTrail(t)
	d := open(t, tr.into)
	d.create("app", "from")
	image := sha256Of(d.tag("app", "1", "layer")).String()
	blob := sha256Of("layer").String()
	other := d.push("from", "other").Digest.String()
	before := len(tr.lines())
	steps := []struct {
		method, path string
		options      []option
		want         string
		parameters   string
		response     string
	}{
		{"GET", "/v2/", nil, "GetAuthorizationCheck 200", `null`, `null`},
		{"GET", "/v2/_catalog?n=5", nil, "DescribeRepositories 200", `{"maxResults":"5"}`, `null`},
		{"GET", "/v2/app/tags/list", nil, "ListImages 200", `{"registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"GET", "/v2/app/manifests/1", nil, "BatchGetImage 200",
			`{"imageIds":[{"imageTag":"1"}],"registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"HEAD", "/v2/app/manifests/" + image, nil, "BatchGetImage 200",
			`{"imageIds":[{"imageDigest":"` + image + `"}],"registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"GET", "/v2/app/manifests/none", nil, "BatchGetImage 404 MANIFEST_UNKNOWN",
			`{"imageIds":[{"imageTag":"none"}],"registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"GET", "/v2/app/blobs/" + blob, nil, "GetDownloadUrlForLayer 200",
			`{"layerDigest":"` + blob + `","registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"HEAD", "/v2/app/blobs/" + blob, nil, "BatchCheckLayerAvailability 200",
			`{"layerDigests":["` + blob + `"],"registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"GET", "/v2/app/referrers/" + image, nil, "ListImageReferrers 200",
			`{"registryId":"123456789012","repositoryName":"app","subjectId":{"imageDigest":"` + image + `"}}`, `null`},
		{"POST", "/v2/app/blobs/uploads/?mount=" + other + "&from=from", nil, "MountLayer 201",
			`{"layerDigest":"` + other + `","registryId":"123456789012","repositoryName":"app","sourceRepositoryName":"from"}`,
			`{"layerDigest":"` + other + `"}`},
		{"POST", "/v2/app/blobs/uploads/?digest=" + blob, []option{body("layer")}, "CompleteLayerUpload 201",
			`{"layerDigest":"` + blob + `","registryId":"123456789012","repositoryName":"app"}`, `{"layerDigest":"` + blob + `"}`},
		{"DELETE", "/v2/app/manifests/1", nil, "BatchDeleteImage 202",
			`{"imageIds":[{"imageTag":"1"}],"registryId":"123456789012","repositoryName":"app"}`, `{}`},
		{"PUT", "/v2/app/manifests/2", []option{body("{"), with("Content-Type", "application/vnd.oci.image.manifest.v1+json")}, "PutImage 400 MANIFEST_INVALID",
			`{"imageManifestMediaType":"application/vnd.oci.image.manifest.v1+json","imageTag":"2","registryId":"123456789012","repositoryName":"app"}`, `null`},
		{"DELETE", "/v2/app/blobs/" + sha256Of("none").String(), nil, "DeleteLayer 404 BLOB_UNKNOWN",
			`{"layerDigest":"` + sha256Of("none").String() + `","registryId":"123456789012","repositoryName":"app"}`, `null`},
	}
	for _, s := range steps {
		d.do(s.method, s.path, s.options...)
	}
	all, _ := tr.end()
	all = all[before-1:]
	for i, s := range steps {
		got := fmt.Sprint(all[i].EventName, " ", all[i].AdditionalEventData.HTTPStatus, " ", all[i].ErrorCode)
		if strings.TrimSpace(got) != s.want {
			t.Errorf("%s %s: %s, want %s", s.method, s.path, got, s.want)
		}
		if got := marshal(t, all[i].RequestParameters); got != s.parameters {
			t.Errorf("%s %s: parameters %s, want %s", s.method, s.path, got, s.parameters)
		}
		if got := marshal(t, all[i].ResponseElements); got != s.response {
			t.Errorf("%s %s: response %s, want %s", s.method, s.path, got, s.response)
		}
	}
	pull := all[3]
	want := []map[string]string{{"ARN": "arn:aws:ecr:us-east-1:123456789012:repository/app", "accountId": account, "type": "AWS::ECR::Repository"}}
	if diff := cmp.Diff(want, pull.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if pull.UserIdentity["accessKeyId"] != d.key.ID || pull.UserIdentity["type"] != "Root" || pull.RecipientAccountID != account || !pull.ReadOnly ||
		pull.AdditionalEventData.Door != "oci" || pull.AdditionalEventData.BytesSent == 0 {
		t.Errorf("%+v", pull)
	}
}

// lines are those that are written by now, without the last ones perhaps.
func (tr *trail) lines() []string {
	tr.t.Helper()
	tr.must(tr.Sync())
	content, err := os.ReadFile(tr.file)
	tr.must(err)
	return slices.Collect(strings.Lines(string(content)))
}

func (tr *trail) must(err error) {
	tr.t.Helper()
	must(tr.t, err)
}

func TestUploadIsRecordedStepByStep(t *testing.T) {
	tr := newTrail(t)
	d := open(t, tr.into)
	d.create("app")
	id := d.start("app")
	layer := sha256Of("layer").String()
	d.do("PATCH", id, body("lay"))
	d.do("GET", id)
	d.do("PUT", id+"?digest="+layer, body("er"))
	id2 := d.start("app")
	d.do("DELETE", id2)
	manifest := d.image("app", nil, "layer")
	d.put("app", "1", "application/vnd.oci.image.manifest.v1+json", manifest)
	all, _ := tr.end()
	var got []string
	for _, r := range all {
		got = append(got, r.EventName)
	}
	if diff := cmp.Diff([]string{"InitiateLayerUpload", "UploadLayerPart", "GetLayerUpload", "CompleteLayerUpload", "InitiateLayerUpload", "CancelLayerUpload"}, got[:6]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	upload := all[1].RequestParameters["uploadId"]
	if upload == "" || all[0].ResponseElements["uploadId"] != upload || all[3].RequestParameters["uploadId"] != upload || all[3].ResponseElements["layerDigest"] != layer {
		t.Errorf("upload %v: %v", upload, all[:4])
	}
	pushed := all[len(all)-1]
	want := `{"image":{"imageId":{"imageDigest":"` + sha256Of(manifest).String() + `","imageTag":"1"},"registryId":"123456789012","repositoryName":"app"}}`
	if got := marshal(t, pushed.ResponseElements); got != want {
		t.Errorf("response of a push %s, want %s", got, want)
	}
}

func TestRefusedRequestsAreRecorded(t *testing.T) {
	tr := newTrail(t)
	var mode atomic.Value // what the authorizer does
	mode.Store("deny")
	d := open(t, tr.into, func(o *setup) {
		o.authorizer = auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error {
			switch mode.Load() {
			case "deny":
				return &auth.Denied{Check: c, Reason: "because", Code: "D-1"}
			case "panic":
				panic(http.ErrAbortHandler)
			}
			return errors.New("fault")
		})
	})
	d.create("app")
	d.do("PUT", "/v2/app/manifests/1", body("{}"))
	mode.Store("fault")
	d.do("GET", "/v2/app/manifests/1")
	mode.Store("panic")
	r, err := http.NewRequest("PUT", base, io.NopCloser(strings.NewReader("{}"))) // with a body that cannot be sent twice
	must(t, err)
	r.SetBasicAuth("AWS", d.password)
	r.URL.Host, r.URL.Opaque = strings.TrimPrefix(d.url, "http://"), "/v2/app/manifests/1"
	if _, err := client.Do(r); err == nil {
		t.Error("a request that broke off was answered")
	}
	mode.Store("fault")
	d.do("GET", "/v2/app/manifests/1", as(""))
	d.do("GET", "/v2/app/manifests/1", as("wrong"))
	d.do("GET", "/v2/app/manifests/1", as(""), func(r *http.Request) { r.SetBasicAuth("ann", "wrong") })
	d.do("GET", "/v2/app/nothing")
	d.do("PATCH", "/v2/app/manifests/1")
	d.do("GET", "/layers/000000000000/us-east-1/no/link?signature=planted")
	all, text := tr.end()
	want := []string{
		"PutImage 403 AccessDeniedException Root",
		"BatchGetImage 500 UNKNOWN Root",
		"PutImage 500 InternalFailure Root",
		"BatchGetImage 401 UNAUTHORIZED AWSAccount",
		"BatchGetImage 401 UNAUTHORIZED Unknown AWS",
		"BatchGetImage 401 UNAUTHORIZED Unknown ann",
		"UnknownOperation 404 UNSUPPORTED Root",
		"UnknownOperation 405 UNSUPPORTED Root",
		"GetDownloadUrlForLayer 403 DENIED AWSAccount",
	}
	var got []string
	for _, r := range all {
		name, _ := r.UserIdentity["userName"].(string)
		got = append(got, strings.TrimSpace(fmt.Sprint(r.EventName, " ", r.AdditionalEventData.HTTPStatus, " ", r.ErrorCode, " ", r.UserIdentity["type"], " ", name)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if all[6].AdditionalEventData.Reference != "GET /v2/app/nothing" || strings.Contains(text, "planted") {
		t.Errorf("%+v", all[6])
	}
}

func TestNoSecretIsRecorded(t *testing.T) {
	tr := newTrail(t)
	d := open(t, tr.into)
	d.create("app")
	d.tag("app", "1", "layer")
	const planted = "PLANTED-IN-A-HEADER"
	for _, h := range []string{
		"Cookie", "X-Amz-Security-Token", "X-Forwarded-For", "Content-Type", "Content-Range", "Accept", "Referer", "X-Amz-Date", "Range", "If-None-Match",
	} {
		for _, path := range []string{"/v2/app/manifests/1", "/v2/app/tags/list?password=" + planted + "&X-Amz-Signature=" + planted, "/v2/app/blobs/uploads/?token=" + planted} {
			for _, method := range []string{"GET", "PUT", "POST"} {
				d.do(method, path, with(h, planted), body(planted))
			}
		}
	}
	d.do("GET", "/v2/app/tags/list", as(planted))
	d.do("GET", "/v2/app/tags/list", as(""), with("Authorization", "Bearer "+planted))
	_, text := tr.end()
	for _, secret := range []string{planted, d.password, d.key.Secret.Reveal()} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the records", secret)
		}
	}
}

func TestCallThatCannotBeRecordedIsNotCarriedOut(t *testing.T) {
	tr := newTrail(t)
	must(t, tr.Close())
	required, err := audit.Open(audit.Options{File: tr.file, Required: true})
	must(t, err)
	d := open(t, func(o *setup) { o.audit = required })
	d.create("app")
	must(t, required.Close()) // a trail that is closed writes as little as one on a full disk
	d.unchanged(func() {
		want(t, d.do("POST", "/v2/app/blobs/uploads/"), http.StatusServiceUnavailable, "UNAVAILABLE")
		want(t, d.do("GET", "/v2/app/tags/list"), http.StatusServiceUnavailable, "UNAVAILABLE")
	})
}

func TestEachOperationHasAnEvent(t *testing.T) {
	for kind, methods := range ociapi.Operations() {
		for _, method := range methods {
			event := ociapi.EventOf(kind, method)
			if event == "" {
				t.Errorf("%s of %s has no event", method, kind)
			}
			if reads := method == http.MethodGet || method == http.MethodHead; audit.ReadOnly(event) != reads {
				t.Errorf("%s of %s is %s, which counts as a read: %v", method, kind, event, !reads)
			}
		}
	}
}
