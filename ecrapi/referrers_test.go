package ecrapi_test

import (
	"strings"
	"testing"
)

// TestReferrersOfOlderClients: an index under a tag made of the subject's
// digest is read as the subject's referrers.
func TestReferrersOfOlderClients(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "1")
	sbom := b.manifest("{}", "layer", obj{"artifactType": "text/sbom", "annotations": obj{"by": "me"}})
	signature := b.manifest("{}", "layer", obj{"artifactType": "text/signature", "subject": descriptor(ociManifest, m)})
	b.push("app", sbom)
	b.push("app", signature)
	b.push("app", b.index(m, sbom, signature), strings.Replace(sum(m), ":", "-", 1))
	list := func(types ...any) arr {
		t.Helper()
		in := obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum(m)}}
		if types != nil {
			in["filter"] = obj{"artifactTypes": arr(types)}
		}
		return b.call("ListImageReferrers", in)["referrers"].(arr)
	}
	b.same("by the tag", list("text/sbom"), arr{obj{
		"digest": sum(sbom), "mediaType": ociManifest, "artifactType": "text/sbom", "size": len(sbom),
		"annotations": obj{"by": "me"}, "artifactStatus": "ACTIVE",
	}})
	if n := len(list("text/signature")); n != 1 {
		t.Errorf("by both ways: %d referrers, want 1", n)
	}
	if n := len(list()); n != 2 {
		t.Errorf("%d referrers, want 2", n)
	}
}
