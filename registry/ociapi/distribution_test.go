package ociapi_test

import (
	"strings"
	"testing"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/registry/ociapi"
)

// named, tagged and digested are references as distribution has them.
type named string

func (n named) String() string { return string(n) }
func (n named) Name() string   { return string(n) }

type tagged struct{ named }

func (tagged) Tag() string { return "1.4" }

type digested struct{ named }

func (digested) Digest() digest.Digest { return someDigest }

// TestPathsOfDistribution: every path that distribution's URL builder makes is
// understood.
func TestPathsOfDistribution(t *testing.T) {
	builder, err := v2.NewURLBuilderFromString(base, false)
	must(t, err)
	for _, repo := range []string{"team/app", "a/tags", "x/blobs/uploads/y", "manifests/manifests"} {
		for _, tt := range []struct {
			build           func() (string, error)
			kind, repo, ref string
		}{
			{builder.BuildBaseURL, "root", "", ""},
			{func() (string, error) { return builder.BuildCatalogURL() }, "catalog", "_catalog", ""},
			{func() (string, error) { return builder.BuildTagsURL(named(repo)) }, "tags", repo, ""},
			{func() (string, error) { return builder.BuildManifestURL(tagged{named(repo)}) }, "manifests", repo, "1.4"},
			{func() (string, error) { return builder.BuildManifestURL(digested{named(repo)}) }, "manifests", repo, someDigest},
			{func() (string, error) { return builder.BuildBlobURL(digested{named(repo)}) }, "blobs", repo, someDigest},
			{func() (string, error) { return builder.BuildBlobUploadURL(named(repo)) }, "uploads", repo, ""},
			{func() (string, error) { return builder.BuildBlobUploadChunkURL(named(repo), "1-2") }, "upload", repo, "1-2"},
		} {
			u, err := tt.build()
			must(t, err)
			kind, got, ref, ok := ociapi.ParseRoute(strings.TrimPrefix(u, base))
			if !ok || kind != tt.kind || got != tt.repo || ref != tt.ref {
				t.Errorf("%s is %q, %q, %q, %v", u, kind, got, ref, ok)
			}
		}
	}
}
