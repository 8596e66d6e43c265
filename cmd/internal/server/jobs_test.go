package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A server runs lifecycle policies and previews by itself.
func TestLifecyclePoliciesRun(t *testing.T) {
	h := dev(t, "lifecycle-interval", "1s")
	h.call("CreateRepository", `{"repositoryName":"app"}`)
	for _, n := range []string{"1", "2", "3"} {
		manifest := `{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[],\"annotations\":{\"n\":\"` + n + `\"}}`
		if status, answer := h.call("PutImage", `{"repositoryName":"app","imageTag":"v`+n+`","imageManifest":"`+manifest+`"}`); status != http.StatusOK {
			t.Fatal(answer)
		}
	}
	policy := `{\"rules\":[{\"rulePriority\":1,\"selection\":{\"tagStatus\":\"any\",\"countType\":\"imageCountMoreThan\",\"countNumber\":1},\"action\":{\"type\":\"expire\"}}]}`
	await := func(what string, seen func() bool) {
		t.Helper()
		for end := time.Now().Add(patient); !seen(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	if status, answer := h.call("StartLifecyclePolicyPreview", `{"repositoryName":"app","lifecyclePolicyText":"`+policy+`"}`); status != http.StatusOK {
		t.Fatal(answer)
	}
	await("the preview is not made", func() bool {
		_, answer := h.call("GetLifecyclePolicyPreview", `{"repositoryName":"app"}`)
		return strings.Contains(answer, `"expiringImageTotalCount":2`)
	})
	if status, answer := h.call("PutLifecyclePolicy", `{"repositoryName":"app","lifecyclePolicyText":"`+policy+`"}`); status != http.StatusOK {
		t.Fatal(answer)
	}
	await("the policy does not run", func() bool {
		_, answer := h.call("ListImages", `{"repositoryName":"app"}`)
		return strings.Count(answer, "imageDigest") == 1 && strings.Contains(answer, "v3")
	})
	st, err := h.Status(t.Context())
	if err != nil || !st.Ready || len(st.Jobs) < 4 {
		t.Fatalf("status %+v, %v; want four jobs at least", st, err)
	}
	for _, j := range st.Jobs {
		if j.Error != "" || j.Started.IsZero() {
			t.Errorf("job %+v", j)
		}
	}
}
