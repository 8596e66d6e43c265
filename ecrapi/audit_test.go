package ecrapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/ecrapi"
)

// trail is where a test's API records, and reads what it recorded.
type trail struct {
	*bench
	*audit.Trail
	file string
}

// recorded opens an API that records.
func recorded(t *testing.T, change ...func(*setup)) *trail {
	t.Helper()
	tr := &trail{file: filepath.Join(t.TempDir(), "audit.jsonl")}
	var err error
	tr.Trail, err = audit.Open(audit.Options{File: tr.file, Account: account, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	tr.bench = open(t, append(change, func(s *setup) { s.api.Audit = tr.Trail })...)
	return tr
}

// end closes the trail and returns all of its calls.
func (tr *trail) end() (all []obj, text string) {
	tr.Helper()
	tr.must(tr.Close())
	content, err := os.ReadFile(tr.file)
	tr.must(err)
	lines := slices.Collect(strings.Lines(string(content)))
	for _, line := range lines[1 : len(lines)-1] { // but for those of the trail itself
		all = append(all, tr.decode([]byte(line)))
	}
	return all, string(content)
}

func TestPushIsRecordedAsCloudTrailShowsIt(t *testing.T) {
	tr := recorded(t)
	tr.repository("app")
	manifest := tr.image("app", "layer", "1")
	all, _ := tr.end()
	byName := map[any]obj{}
	for _, r := range all {
		byName[r["eventName"]] = r
	}
	if got := byName["CreateRepository"]["responseElements"].(obj)["repository"].(obj)["repositoryName"]; got != "app" {
		t.Errorf("response of CreateRepository: %v", got)
	}
	part := byName["UploadLayerPart"]["requestParameters"].(obj)
	if _, there := part["layerPartBlob"]; there || part["partLastByte"] == nil || part["uploadId"] == nil {
		t.Errorf("parameters of UploadLayerPart: %v", part)
	}
	digested := obj{"digest": sum(manifest), "size": float64(len(manifest))}
	put := byName["PutImage"]
	if diff := cmp.Diff(obj{"repositoryName": "app", "imageTag": "1", "imageManifest": digested}, put["requestParameters"].(obj)); diff != "" {
		t.Errorf("parameters of PutImage (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(digested, put["responseElements"].(obj)["image"].(obj)["imageManifest"]); diff != "" {
		t.Errorf("response of PutImage (-want +got):\n%s", diff)
	}
	want := arr{obj{"ARN": "arn:aws:ecr:us-east-1:" + account + ":repository/app", "accountId": account, "type": "AWS::ECR::Repository"}}
	if diff := cmp.Diff(want, put["resources"]); diff != "" {
		t.Errorf("resources of PutImage (-want +got):\n%s", diff)
	}
	if id := put["userIdentity"].(obj); id["type"] != "Root" || id["accessKeyId"] != "AKIAHERE" {
		t.Errorf("identity: %v", id)
	}
	if put["readOnly"] != false || put["recipientAccountId"] != account || put["awsRegion"] != region {
		t.Errorf("%v", put)
	}
}

func TestRefusedCallsAreRecorded(t *testing.T) {
	mode := ""
	tr := recorded(t, func(s *setup) {
		s.api.Authorizer = auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error {
			switch mode {
			case "deny":
				return &auth.Denied{Check: c, Reason: "because", Code: "D-1"}
			case "fault":
				return errors.New("fault")
			case "break":
				panic(http.ErrAbortHandler)
			}
			return nil
		})
	})
	describe := request{target: targetPrefix + "DescribeImages", body: `{"repositoryName":"app"}`}
	tr.send(describe)
	for _, mode = range []string{"deny", "fault"} {
		tr.send(describe)
	}
	mode = "break"
	func() {
		defer func() { _ = recover() }()
		tr.send(describe)
	}()
	mode = ""
	tr.send(request{target: targetPrefix + "DescribeImages", unsigned: true})
	tr.send(request{target: targetPrefix + "DescribeImages", secret: "wrong"})
	tr.send(request{target: targetPrefix + "DescribeImages", key: "AKIANOBODY"})
	tr.send(request{target: targetPrefix + "NoSuchThing"})
	tr.send(request{target: targetPrefix + "DescribeImages", body: "{"})
	tr.send(request{target: targetPrefix + "DescribeImages", body: `{"repositoryName":"NO"}`})
	tr.send(request{method: "GET", target: targetPrefix + "DescribeImages"})
	all, _ := tr.end()
	var got []string
	for _, r := range all {
		id := r["userIdentity"].(obj)
		key, _ := id["accessKeyId"].(string)
		got = append(got, strings.TrimSpace(fmt.Sprint(r["eventName"], " ", r["additionalEventData"].(obj)["httpStatus"], " ", r["errorCode"], " ", id["type"], " ", key)))
	}
	want := []string{
		"DescribeImages 400 RepositoryNotFoundException Root AKIAHERE",
		"DescribeImages 400 AccessDeniedException Root AKIAHERE",
		"DescribeImages 500 ServerException Root AKIAHERE",
		"DescribeImages 500 InternalFailure Root AKIAHERE",
		"DescribeImages 400 MissingAuthenticationTokenException AWSAccount",
		"DescribeImages 400 InvalidSignatureException Unknown AKIAHERE",
		"DescribeImages 400 UnrecognizedClientException Unknown AKIANOBODY",
		"UnknownOperation 404 UnknownOperationException Root AKIAHERE",
		"DescribeImages 400 SerializationException Root AKIAHERE",
		"DescribeImages 400 InvalidParameterException Root AKIAHERE",
		"DescribeImages 404 UnknownOperationException Root AKIAHERE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := all[1]["additionalEventData"].(obj)["denialCode"]; got != "D-1" {
		t.Errorf("code of the denial: %v", got)
	}
	if got := all[9]["requestParameters"].(obj)["repositoryName"]; got != "NO" {
		t.Errorf("parameters of a request that breaks a constraint: %v", got)
	}
}

// TestNoSecretIsRecorded calls all operations with secrets in members that are no
// members of theirs, in headers and in the query, and those that hand secrets out.
func TestNoSecretIsRecorded(t *testing.T) {
	const planted = "PLANTED"
	tr := recorded(t)
	tr.repository("app")
	tr.image("app", "layer", "1")
	blob := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(planted), 10))
	for _, op := range ecrapi.Operations() {
		in := tr.encode(obj{
			"repositoryName": "app", "resourceArn": "arn:aws:ecr:us-east-1:" + account + ":repository/app", "layerPartBlob": blob,
			"password": planted, "secretAccessKey": planted, "sessionToken": planted, "authorizationToken": planted, "credentials": obj{"secret": planted},
			"imageManifest": `{"annotations":{"token":"` + planted + `"}}`,
		})
		q := request{target: targetPrefix + op.Name, body: in, url: "/?token=" + planted}
		r := q.make(t.Context())
		for _, h := range []string{"X-Amz-Security-Token", "Cookie", "X-Forwarded-For", "Referer", "Accept"} {
			r.Header.Set(h, planted) // not all of them are signed
		}
		tr.api.ServeHTTP(httptest.NewRecorder(), r)
		tr.send(q)
	}
	tr.send(request{target: targetPrefix + planted})
	token := tr.call("GetAuthorizationToken", obj{})["authorizationData"].(arr)[0].(obj)["authorizationToken"].(string)
	url := tr.call("GetDownloadUrlForLayer", obj{"repositoryName": "app", "layerDigest": sum("layer")})["downloadUrl"].(string)
	_, text := tr.end()
	secret, err := base64.StdEncoding.DecodeString(token)
	tr.must(err)
	_, signature, _ := strings.Cut(url, "signature=")
	for _, s := range []string{planted, blob[:20], token, strings.TrimPrefix(string(secret), "AWS:"), signature, "secret-of-here"} {
		if s == "" || strings.Contains(text, s) {
			t.Errorf("%q is in the records", s)
		}
	}
	if lines := strings.Count(text, "\n"); lines < 2*len(ecrapi.Operations()) {
		t.Errorf("%d records", lines)
	}
}

func TestCallThatCannotBeRecordedIsNotCarriedOut(t *testing.T) {
	tr := recorded(t)
	tr.must(tr.Close())
	required, err := audit.Open(audit.Options{File: tr.file, Required: true})
	tr.must(err)
	b := open(t, func(s *setup) { s.api.Audit = required })
	b.must(required.Close()) // a trail that is closed writes as little as one on a full disk
	for _, op := range []string{"CreateRepository", "DescribeRepositories"} {
		w := b.send(request{target: targetPrefix + op, body: `{"repositoryName":"app"}`})
		var out obj
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusInternalServerError || out["__type"] != "ServerException" {
			t.Errorf("%s: %d %s", op, w.Code, w.Body)
		}
	}
	if n, err := b.registry.LastEvent(t.Context()); n != 0 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}
