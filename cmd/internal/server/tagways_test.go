package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tagWays plays the ways in which a tag can move or go at the doors of one server:
// at /v2/ as the specification says, at /v2/ as Amazon does, and by the API.
type tagWays struct {
	*house
	password string
	urls     map[string]string // of the doors at /v2/
	n        int
}

const (
	plainV2  = "/v2/, compat oci"
	amazonV2 = "/v2/, compat ecr"
	jsonAPI  = "API"
)

func openTagWays(t *testing.T) *tagWays {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "berth.yml")
	text := "lifecycle-interval: 1s\nrestore-time: 0s\nlisteners: [{listen: '127.0.0.1:0', compat: ecr}]\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &tagWays{house: dev(t, "config", conf), urls: map[string]string{}}
	w.password = w.house.password()
	st, err := w.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.urls[plainV2], w.urls[amazonV2] = "http://"+st.Listeners[0].Address, "http://"+st.Listeners[1].Address
	return w
}

// manifests of two images that need nothing else.
func tagManifest(which string) string {
	return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"image":"` + which + `"}}`
}

func indexDigest(manifest string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest)))
}

var imageA, imageB = tagManifest("A"), tagManifest("B")

// api calls an operation that is to succeed or is expected to be refused.
func (w *tagWays) api(op string, in map[string]any) (answer string, ok bool) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	status, answer := w.call(op, string(body))
	return answer, status == http.StatusOK
}

func (w *tagWays) must(op string, in map[string]any) string {
	w.t.Helper()
	answer, ok := w.api(op, in)
	if !ok {
		w.t.Fatalf("%s %v: %s", op, in, answer)
	}
	return answer
}

// v2 asks a door at /v2/.
func (w *tagWays) v2(door, method, path, body string) (answer string, ok bool) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.urls[door]+"/v2/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", w.password)
	if body != "" {
		req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	got := w.do(req)
	return fmt.Sprint(got.status, " ", got.body), got.status/100 == 2
}

// repository makes one with image A under the tag v1, and returns its name.
func (w *tagWays) repository(rule map[string]any) string {
	w.t.Helper()
	w.n++
	name := fmt.Sprintf("ways/r%d", w.n)
	in := map[string]any{"repositoryName": name}
	for k, v := range rule {
		in[k] = v
	}
	w.must("CreateRepository", in)
	w.must("PutImage", map[string]any{"repositoryName": name, "imageTag": "v1", "imageManifest": imageA})
	return name
}

// state says what v1 names, and whether image A is there.
func (w *tagWays) state(repo string) string {
	w.t.Helper()
	answer, ok := w.api("ListImages", map[string]any{"repositoryName": repo, "filter": map[string]any{"imageStatus": "ANY"}})
	if !ok {
		return "no repository"
	}
	var list struct {
		ImageIds []struct{ ImageDigest, ImageTag string }
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		w.t.Fatal(err)
	}
	names, there := "nothing", "gone"
	for _, id := range list.ImageIds {
		if id.ImageTag == "v1" {
			names = map[string]string{indexDigest(imageA): "A", indexDigest(imageB): "B"}[id.ImageDigest]
		}
		if id.ImageDigest == indexDigest(imageA) {
			there = "there"
		}
	}
	return "v1 names " + names + ", A is " + there
}

// push pushes an image under the tag, by the tag or by its digest.
func (w *tagWays) push(door, repo, manifest string, byDigest bool) (string, bool) {
	switch {
	case door == jsonAPI && byDigest:
		return w.api("PutImage", map[string]any{"repositoryName": repo, "imageTag": "v1", "imageDigest": indexDigest(manifest), "imageManifest": manifest})
	case door == jsonAPI:
		return w.api("PutImage", map[string]any{"repositoryName": repo, "imageTag": "v1", "imageManifest": manifest})
	case byDigest:
		return w.v2(door, http.MethodPut, repo+"/manifests/"+indexDigest(manifest)+"?tag=v1", manifest)
	}
	return w.v2(door, http.MethodPut, repo+"/manifests/v1", manifest)
}

// remove deletes by a tag, by image A's digest, or by both.
func (w *tagWays) remove(door, repo string, tag, digest bool) (string, bool) {
	id, ref := map[string]any{}, []string{}
	if tag {
		id["imageTag"], ref = "v1", append(ref, "v1")
	}
	if digest {
		id["imageDigest"], ref = indexDigest(imageA), append(ref, indexDigest(imageA))
	}
	if door != jsonAPI {
		return w.v2(door, http.MethodDelete, repo+"/manifests/"+strings.Join(ref, "@"), "")
	}
	answer, ok := w.api("BatchDeleteImage", map[string]any{"repositoryName": repo, "imageIds": []any{id}})
	return answer, ok && strings.Contains(answer, `"failures":[]`)
}

func (w *tagWays) archive(repo, class string) {
	w.t.Helper()
	w.must("UpdateImageStorageClass", map[string]any{"repositoryName": repo, "imageId": map[string]any{"imageDigest": indexDigest(imageA)}, "targetStorageClass": class})
}

const expireAll = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["other-*"],"countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}},` +
	`{"rulePriority":2,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`

// What comes of a way.
type wayEnd struct {
	ok    bool
	state string
}

// wayOfTag is one way; moves says whether the tag rule lets v1 move.
type wayOfTag struct {
	name  string
	doors []string
	does  func(w *tagWays, door, repo string) (answer string, ok bool)
	want  func(door string, moves bool) wayEnd
}

var all, apiAlone = []string{plainV2, amazonV2, jsonAPI}, []string{jsonAPI}

func always(ok bool, state string) func(string, bool) wayEnd {
	return func(string, bool) wayEnd { return wayEnd{ok, state} }
}

// ifItMoves: the tag goes to B where it may, and stays where it may not.
func ifItMoves(_ string, moves bool) wayEnd {
	if moves {
		return wayEnd{true, "v1 names B, A is there"}
	}
	return wayEnd{false, "v1 names A, A is there"}
}

const untouched, taken = "v1 names A, A is there", "v1 names nothing, A is gone"

var waysOfTags = []wayOfTag{
	{"push another image to the tag", all, func(w *tagWays, door, repo string) (string, bool) { return w.push(door, repo, imageB, false) }, ifItMoves},
	{"push another image by its digest, with the tag", all, func(w *tagWays, door, repo string) (string, bool) { return w.push(door, repo, imageB, true) }, ifItMoves},
	{"push the same image to the tag", all, func(w *tagWays, door, repo string) (string, bool) { return w.push(door, repo, imageA, false) },
		func(door string, _ bool) wayEnd { return wayEnd{door != jsonAPI, untouched} }}, // the API says that it exists already
	{"delete the tag", all, func(w *tagWays, door, repo string) (string, bool) { return w.remove(door, repo, true, false) },
		func(door string, _ bool) wayEnd {
			if door == plainV2 {
				return wayEnd{true, "v1 names nothing, A is there"}
			}
			return wayEnd{true, taken}
		}},
	{"delete the image by its digest", all, func(w *tagWays, door, repo string) (string, bool) { return w.remove(door, repo, false, true) }, always(true, taken)},
	{"delete the image by tag and digest", all, func(w *tagWays, door, repo string) (string, bool) { return w.remove(door, repo, true, true) }, always(true, taken)},
	{"delete the image and push another to the tag", all, func(w *tagWays, door, repo string) (string, bool) {
		if answer, ok := w.remove(door, repo, false, true); !ok {
			return answer, false
		}
		return w.push(door, repo, imageB, false)
	}, always(true, "v1 names B, A is gone")},
	{"push another image to the tag of an archived one", all, func(w *tagWays, door, repo string) (string, bool) {
		w.archive(repo, "ARCHIVE")
		return w.push(door, repo, imageB, false)
	}, ifItMoves},
	{"archive the image and bring it back", apiAlone, func(w *tagWays, _, repo string) (string, bool) {
		w.archive(repo, "ARCHIVE")
		w.archive(repo, "STANDARD")
		return w.v2(plainV2, http.MethodHead, repo+"/manifests/v1", "")
	}, always(true, untouched)},
	{"expire the image by a lifecycle policy", apiAlone, func(w *tagWays, _, repo string) (string, bool) {
		w.must("PutImage", map[string]any{"repositoryName": repo, "imageTag": "young", "imageManifest": imageB})
		w.must("PutLifecyclePolicy", map[string]any{"repositoryName": repo, "lifecyclePolicyText": expireAll})
		for end := time.Now().Add(patient); w.state(repo) != taken && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
		}
		return "", true
	}, always(true, taken)},
	{"delete the repository", apiAlone, func(w *tagWays, _, repo string) (string, bool) {
		return w.api("DeleteRepository", map[string]any{"repositoryName": repo})
	}, always(false, untouched)},
	{"delete the repository by force", apiAlone, func(w *tagWays, _, repo string) (string, bool) {
		return w.api("DeleteRepository", map[string]any{"repositoryName": repo, "force": true})
	}, always(true, "no repository")},
}

// TestWaysOfTags holds all ways to move or drop a tag against each other, in each
// setting of a repository.
func TestWaysOfTags(t *testing.T) {
	w := openTagWays(t)
	filters := func(filter string) []any { return []any{map[string]any{"filterType": "WILDCARD", "filter": filter}} }
	for _, tt := range []struct {
		rule  map[string]any
		moves bool
	}{
		{map[string]any{}, true},
		{map[string]any{"imageTagMutability": "MUTABLE"}, true},
		{map[string]any{"imageTagMutability": "IMMUTABLE"}, false},
		{map[string]any{"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters("v*")}, false},
		{map[string]any{"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters("V*")}, true},
		{map[string]any{"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters("*1")}, true},
		{map[string]any{"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters("v1*0")}, false},
	} {
		for _, way := range waysOfTags {
			for _, door := range way.doors {
				repo := w.repository(tt.rule)
				answer, ok := way.does(w, door, repo)
				got, want := wayEnd{ok, w.state(repo)}, way.want(door, tt.moves)
				if got != want {
					t.Errorf("%v, %s, %s: %+v, want %+v; answered %s", tt.rule, way.name, door, got, want, answer)
				}
			}
		}
	}
}

// A replica does not take a tag that may not move.
func TestReplicasAndTags(t *testing.T) {
	w := openTagWays(t)
	for setting, want := range map[string]string{"MUTABLE": "v1 names B", "IMMUTABLE": "v1 names A"} {
		name := "replica/" + strings.ToLower(setting)
		in := func(op, body string) {
			w.t.Helper()
			if status, answer := w.callIn("eu-west-1", op, body); status != http.StatusOK {
				t.Fatalf("%s: %s", op, answer)
			}
		}
		in("CreateRepository", fmt.Sprintf(`{"repositoryName":%q,"imageTagMutability":%q}`, name, setting))
		in("PutImage", fmt.Sprintf(`{"repositoryName":%q,"imageTag":"v1","imageManifest":%q}`, name, imageA))
		w.must("PutReplicationConfiguration", map[string]any{"replicationConfiguration": map[string]any{"rules": []any{
			map[string]any{"destinations": []any{map[string]any{"region": "eu-west-1", "registryId": "000000000000"}}}}}})
		w.must("CreateRepository", map[string]any{"repositoryName": name})
		w.must("PutImage", map[string]any{"repositoryName": name, "imageTag": "v1", "imageManifest": imageB})
		id := map[string]any{"repositoryName": name, "imageId": map[string]any{"imageTag": "v1"}}
		for end := time.Now().Add(patient); !strings.Contains(w.must("DescribeImageReplicationStatus", id), "COMPLETE"); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the image is not replicated: %s", w.must("DescribeImageReplicationStatus", id))
			}
		}
		_, there := w.callIn("eu-west-1", "ListImages", fmt.Sprintf(`{"repositoryName":%q}`, name))
		got := "v1 names A"
		if strings.Contains(there, fmt.Sprintf(`{"imageDigest":%q,"imageTag":"v1"}`, indexDigest(imageB))) {
			got = "v1 names B"
		}
		if got != want || !strings.Contains(there, indexDigest(imageB)) {
			t.Errorf("%s: %s in %s, want %s and both images", setting, got, there, want)
		}
	}
}
