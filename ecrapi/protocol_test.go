package ecrapi_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestAnswersHaveTheFormOfTheProtocol(t *testing.T) {
	b := open(t)
	w := b.send(request{target: targetPrefix + "DescribeRegistry"})
	if got, want := w.Body.String(), `{"registryId":"000000000000","replicationConfiguration":{"rules":[]}}`; got != want {
		t.Errorf("body %s, want %s", got, want)
	}
	if got := w.Header().Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("Content-Type %q", got)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	if got := w.Header().Get("x-amzn-RequestId"); !uuid.MatchString(got) {
		t.Errorf("x-amzn-RequestId %q is no UUID", got)
	}
	again := b.send(request{target: targetPrefix + "DescribeRegistry"})
	if again.Header().Get("x-amzn-RequestId") == w.Header().Get("x-amzn-RequestId") {
		t.Error("two requests have one id")
	}
}

func TestAnswersCarryTheDate(t *testing.T) {
	b := open(t)
	s := httptest.NewServer(b.api)
	defer s.Close()
	resp, err := http.Post(s.URL, "application/x-amz-json-1.1", strings.NewReader("{}"))
	b.must(err)
	defer resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || time.Since(date) > time.Minute {
		t.Errorf("Date %q: %v", resp.Header.Get("Date"), err)
	}
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unsigned request: %s", resp.Status)
	}
}

// TestRequestsThatAreTaken sends DescribeRegistry in the forms that clients use.
func TestRequestsThatAreTaken(t *testing.T) {
	b := open(t)
	tests := []struct {
		name string
		request
	}{
		{"1.0", request{contentType: "application/x-amz-json-1.0"}},
		{"JSON", request{contentType: "application/json"}},
		{"JSON with a charset", request{contentType: "application/json; charset=utf-8"}},
		{"no Content-Type", request{contentType: "none"}},
		{"query", request{url: "/?Action=PutImage&x=1"}},
		{"empty body", request{}},
		{"white space", request{body: " \r\n"}},
		{"object", request{body: "{}"}},
		{"unknown members", request{body: `{"unknown":{"a":[1,{"b":null}]},"registryId":7}`}},
	}
	for _, tt := range tests {
		tt.target = targetPrefix + "DescribeRegistry"
		if w := b.send(tt.request); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
}

// TestRequestsThatAreRefused tries what is wrong before any operation looks at
// it.
func TestRequestsThatAreRefused(t *testing.T) {
	b := open(t)
	const op = targetPrefix + "DescribeRepositories"
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	tests := []struct {
		name string
		request
		status int
		as     string
	}{
		{"unsigned", request{target: op, unsigned: true}, 400, "MissingAuthenticationTokenException"},
		{"unsigned and unknown", request{target: "no", unsigned: true}, 400, "MissingAuthenticationTokenException"},
		{"unknown key", request{target: op, key: "AKIANOBODY"}, 400, "UnrecognizedClientException"},
		{"wrong secret", request{target: op, secret: "guess"}, 400, "InvalidSignatureException"},
		{"wrong region", request{target: op, region: "mars-1"}, 400, "InvalidSignatureException"},
		{"wrong host region", request{target: op, host: "123456789012.dkr.ecr.mars-1.amazonaws.com"}, 400, "InvalidSignatureException"},
		{"no target", request{target: "none"}, 404, "UnknownOperationException"},
		{"unknown operation", request{target: targetPrefix + "Describe"}, 404, "UnknownOperationException"},
		{"other case", request{target: targetPrefix + "describeRepositories"}, 404, "UnknownOperationException"},
		{"wrong prefix", request{target: "AmazonEC2ContainerRegistry.DescribeRepositories"}, 404, "UnknownOperationException"},
		{"no prefix", request{target: "DescribeRepositories"}, 404, "UnknownOperationException"},
		{"only prefix", request{target: targetPrefix}, 404, "UnknownOperationException"},
		{"target of 1 MB", request{target: targetPrefix + strings.Repeat("x", 1<<20)}, 404, "UnknownOperationException"},
		{"GET", request{method: "GET", target: op}, 404, "UnknownOperationException"},
		{"PUT", request{method: "PUT", target: op, body: "{}"}, 404, "UnknownOperationException"},
		{"form", request{target: op, contentType: "application/x-www-form-urlencoded"}, 400, "SerializationException"},
		{"text", request{target: op, contentType: "text/plain", body: "{}"}, 400, "SerializationException"},
		{"list", request{target: op, body: `[]`}, 400, "SerializationException"},
		{"null", request{target: op, body: `null`}, 400, "SerializationException"},
		{"string", request{target: op, body: `"{}"`}, 400, "SerializationException"},
		{"cut off", request{target: op, body: `{"maxResults":1`}, 400, "SerializationException"},
		{"two objects", request{target: op, body: `{}{}`}, 400, "SerializationException"},
		{"byte order mark", request{target: op, body: "\ufeff{}"}, 400, "SerializationException"},
		{"not UTF-8", request{target: op, body: "{\"nextToken\":\"\xff\"}"}, 400, "SerializationException"},
		{"half a character", request{target: op, body: `{"nextToken":"\ud800"}`}, 400, "SerializationException"},
		{"halves the wrong way round", request{target: op, body: `{"nextToken":"\udc00\ud800"}`}, 400, "SerializationException"},
		{"number for string", request{target: op, body: `{"registryId":123456789012}`}, 400, "SerializationException"},
		{"string for number", request{target: op, body: `{"maxResults":"10"}`}, 400, "SerializationException"},
		{"fraction", request{target: op, body: `{"maxResults":1.5}`}, 400, "SerializationException"},
		{"huge number", request{target: op, body: `{"maxResults":1e400}`}, 400, "SerializationException"},
		{"string for list", request{target: op, body: `{"repositoryNames":"app"}`}, 400, "SerializationException"},
		{"list of objects for strings", request{target: op, body: `{"repositoryNames":[{}]}`}, 400, "SerializationException"},
		{"deep", request{target: op, body: deep}, 400, "SerializationException"},
		{"deep inside", request{target: op, body: `{"x":` + deep + `}`}, 400, "SerializationException"},
		{"10 MB", request{target: op, body: `{"nextToken":"` + strings.Repeat("x", 10<<20) + `"}`}, 413, "RequestEntityTooLarge"},
	}
	for _, tt := range tests {
		w := b.send(tt.request)
		out := b.decode(w.Body.Bytes())
		if w.Code != tt.status || out["__type"] != tt.as || out["message"] == "" {
			t.Errorf("%s: %d %s, want %d %s", tt.name, w.Code, w.Body, tt.status, tt.as)
		}
		if w.Header().Get("Content-Type") != "application/x-amz-json-1.1" || w.Header().Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: headers %v", tt.name, w.Header())
		}
	}
	if b.log.Len() > 0 {
		t.Errorf("what clients do wrong is in the log: %s", b.log)
	}
}

func TestMembersAreReadExactly(t *testing.T) {
	b := open(t)
	// Names are told by case, and null is as good as absent.
	b.invalid("CreateRepository", `{"RepositoryName":"app"}`, "repositoryName", "must not be null")
	b.invalid("CreateRepository", `{"repositoryName":null}`, "repositoryName", "must not be null")
	b.call("CreateRepository", `{"repositoryName":"app","registryId":null,"tags":null,"imageScanningConfiguration":null,"encryptionConfiguration":null}`)
	b.call("DescribeRepositories", `{"repositoryName":"no","repositoryName":7,"maxResults":null}`)
	// Of several members with one name the last one counts.
	b.call("DescribeRepositories", `{"repositoryNames":["no"],"repositoryNames":["app"]}`)
	b.call("TagResource", `{"resourceArn":"arn:aws:ecr:us-east-1:000000000000:repository/app","tags":[{"Key":"\ud83d\ude00","Value":"\\ud800"}]}`)
	b.same("tags", b.call("ListTagsForResource", obj{"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app"}),
		obj{"tags": arr{obj{"Key": "😀", "Value": `\ud800`}}})
	b.invalid("DescribeRepositories", `{"repositoryNames":["app",null]}`, "repositoryNames.2.member", "Member must not be null")
}

func TestMisdirectedRequests(t *testing.T) {
	b := open(t, func(s *setup) { s.names.Strict = true })
	w := b.send(request{target: targetPrefix + "DescribeRegistry", host: "evil.example"})
	if out := b.decode(w.Body.Bytes()); w.Code != http.StatusMisdirectedRequest || out["__type"] != "MisdirectedRequest" {
		t.Errorf("%d %s, want 421", w.Code, w.Body)
	}
}

// TestRegionOfARequest tries from where the region of a registry is taken.
func TestRegionOfARequest(t *testing.T) {
	b := open(t)
	tests := []struct{ host, scope, want string }{
		{"localhost:5000", "us-east-1", "us-east-1"},
		{"localhost:5000", "eu-west-1", "eu-west-1"},
		{"api.ecr.eu-west-1.localhost:5000", "us-east-1", "eu-west-1"},
		{"ecr.eu-west-1.amazonaws.com", "eu-west-1", "eu-west-1"},
		{"api.ecr.amazonaws.com", "eu-west-1", "eu-west-1"},
		// The account of a registry's name matters to pushes and pulls alone.
		{"111111111111.dkr.ecr.eu-west-1.amazonaws.com", "us-east-1", "eu-west-1"},
	}
	for i, tt := range tests {
		name := "app" + string(rune('a'+i))
		w := b.send(request{target: targetPrefix + "CreateRepository", host: tt.host, region: tt.scope, body: `{"repositoryName":"` + name + `"}`})
		want := "arn:aws:ecr:" + tt.want + ":000000000000:repository/" + name
		if got := b.decode(w.Body.Bytes()); w.Code != 200 || got["repository"].(obj)["repositoryArn"] != want {
			t.Errorf("%s, signed for %s: %d %s, want %s", tt.host, tt.scope, w.Code, w.Body, want)
		}
	}
}

func TestRepositoryURIFollowsTheSetting(t *testing.T) {
	b := open(t, func(s *setup) { s.names.Style = endpoint.StylePath })
	got := b.call("CreateRepository", obj{"repositoryName": "team/app"})["repository"].(obj)["repositoryUri"]
	if want := "localhost:5000/000000000000/us-east-1/team/app"; got != want {
		t.Errorf("repositoryUri %v, want %s", got, want)
	}
}
