package server_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/transfer"
)

// entered is a house as commands enter it: its registry, and its API with a key.
func entered(h *house, key, secret string) (*peer.Registry, transfer.Account) {
	h.t.Helper()
	client, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}, Redirects: remote.MostRedirects})
	noError(h.t, err)
	api, err := peer.NewECRAPI(peer.ECR{Client: client, Region: "us-east-1", Endpoint: h.url, Key: peer.Static(key, accounts.NewSecret(secret))})
	noError(h.t, err)
	r, err := peer.New(peer.Options{URL: h.url, Client: client, Credentials: api.Credentials()})
	noError(h.t, err)
	return r, transfer.Account{API: api}
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// calls calls operations of the API, each a line with its input.
func (h *house) calls(lines ...string) {
	h.t.Helper()
	for _, line := range lines {
		op, in, _ := strings.Cut(line, " ")
		if status, answer := h.call(op, in); status != 200 {
			h.t.Fatalf("%s: %d %s", line, status, answer)
		}
	}
}

// said is what an operation answers, without what is each server's own.
func (h *house) said(line string) any {
	h.t.Helper()
	op, in, _ := strings.Cut(line, " ")
	_, answer := h.call(op, in)
	answer = strings.ReplaceAll(answer, strings.TrimPrefix(h.url, "http://"), "HOST")
	var v any
	noError(h.t, json.Unmarshal([]byte(answer), &v))
	strip(v)
	return v
}

func strip(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"createdAt", "updatedAt", "imagePushedAt", "lastRecordedPullTime", "lastEvaluatedAt", "message"} {
			delete(v, name)
		}
		for _, one := range v {
			strip(one)
		}
	case []any:
		for _, one := range v {
			strip(one)
		}
	}
}

const (
	letPull    = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},\"Action\":\"ecr:BatchGetImage\"}]}`
	letAll     = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},\"Action\":\"ecr:ReplicateImage\",\"Resource\":\"arn:aws:ecr:us-east-1:000000000000:repository/*\"}]}`
	keepNone   = `{\"rules\":[{\"rulePriority\":1,\"selection\":{\"tagStatus\":\"untagged\",\"countType\":\"imageCountMoreThan\",\"countNumber\":1},\"action\":{\"type\":\"expire\"}}]}`
	exclusions = `"imageTagMutability":"IMMUTABLE_WITH_EXCLUSION","imageTagMutabilityExclusionFilters":[{"filterType":"WILDCARD","filter":"latest*"}]`
)

// asked are the answers that two registries give alike after an import.
var asked = []string{
	"DescribeRepositories {}",
	`ListTagsForResource {"resourceArn":"arn:aws:ecr:us-east-1:000000000000:repository/team/app"}`,
	`GetRepositoryPolicy {"repositoryName":"team/app"}`,
	`GetRepositoryPolicy {"repositoryName":"empty"}`,
	`GetLifecyclePolicy {"repositoryName":"team/app"}`,
	`DescribeImages {"repositoryName":"team/app"}`,
	"DescribeRepositoryCreationTemplates {}",
	"GetRegistryPolicy {}", "DescribeRegistry {}", "DescribePullThroughCacheRules {}", "GetRegistryScanningConfiguration {}",
	`GetAccountSetting {"name":"BLOB_MOUNTING"}`, "GetSigningConfiguration {}", "ListPullTimeUpdateExclusions {}",
}

// TestImportFromECR brings a registry with ECR's API whole, with all that it is set to.
func TestImportFromECR(t *testing.T) {
	from, to := dev(t), dev(t)
	from.calls(
		`CreateRepository {"repositoryName":"team/app","imageScanningConfiguration":{"scanOnPush":true},"tags":[{"Key":"owner","Value":"me"}],`+exclusions+`}`,
		`CreateRepository {"repositoryName":"empty","encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"arn:aws:kms:us-east-1:000000000000:key/a"}}`,
		`SetRepositoryPolicy {"repositoryName":"team/app","policyText":"`+letPull+`"}`,
		`PutLifecyclePolicy {"repositoryName":"team/app","lifecyclePolicyText":"`+keepNone+`"}`,
		`CreateRepositoryCreationTemplate {"prefix":"ROOT","appliedFor":["CREATE_ON_PUSH"],"description":"all","resourceTags":[{"Key":"a","Value":"b"}],"repositoryPolicy":"`+letPull+`"}`,
		`PutRegistryPolicy {"policyText":"`+letAll+`"}`,
		`PutReplicationConfiguration {"replicationConfiguration":{"rules":[{"destinations":[{"region":"us-west-2","registryId":"000000000000"}]}]}}`,
		`CreatePullThroughCacheRule {"ecrRepositoryPrefix":"k8s","upstreamRegistryUrl":"registry.k8s.io"}`,
		`PutRegistryScanningConfiguration {"scanType":"BASIC","rules":[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"team*","filterType":"WILDCARD"}]}]}`,
		`PutAccountSetting {"name":"BLOB_MOUNTING","value":"ENABLED"}`,
		`RegisterPullTimeUpdateExclusion {"principalArn":"arn:aws:iam::000000000000:role/scanner"}`,
	)
	source, account := entered(from, "test", "test")
	config, layer := []byte("{}"), []byte("a layer")
	for tag, at := range map[string]string{"v1": "a", "latest": "b"} {
		image := pushedImage(t, source, "team/app", tag, config, append(layer, at...), "")
		pushedImage(t, source, "team/app", "", config, []byte("signs "+at), image)
	}
	target, own := entered(to, "test", "test")
	for i, copied := range []int{4, 0} {
		r, err := transfer.Run(t.Context(), transfer.Options{
			From: source, Listed: transfer.FromECR(account), To: target, Wanted: []transfer.Wanted{{Repository: "*"}},
			Settings: &transfer.Settings{From: &account, To: own, Templates: true, Registry: true},
		})
		noError(t, err)
		if len(r.Failed) > 0 || r.Images != 4 || r.Copied != copied {
			t.Errorf("run %d: %+v", i, r)
		}
		for _, line := range asked {
			if diff := cmp.Diff(from.said(line), to.said(line)); diff != "" {
				t.Errorf("run %d: %s (-source +target):\n%s", i, line, diff)
			}
		}
	}
}

// pushedImage pushes an image of a config and a layer, which refers to a subject unless
// that is "", under a tag or, if that is "", its digest, which it returns with its size.
func pushedImage(t testing.TB, to *peer.Registry, repo, tag string, config, layer []byte, subject string) string {
	t.Helper()
	described := func(b []byte) string { return fmt.Sprintf(`"digest":%q,"size":%d`, sha256Of(b), len(b)) }
	for _, b := range [][]byte{config, layer} {
		d, err := digest.Parse(sha256Of(b))
		noError(t, err)
		noError(t, to.PushBlob(t.Context(), repo, d, int64(len(b)), func(from int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b[from:])), nil }))
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",%s}]`,
		mediaType, described(config), described(layer))
	if subject != "" {
		text += fmt.Sprintf(`,"subject":{"mediaType":%q,%s}`, mediaType, subject)
	}
	body := []byte(text + "}")
	if tag == "" {
		tag = sha256Of(body)
	}
	noError(t, to.PushManifest(t.Context(), repo, tag, mediaType, body))
	return described(body)
}

// TestMaliciousArchiveGivenToImport: archives whose paths lead out, whose digests lie
// and which claim 1 TB are refused; nothing is written outside the server's folder, and
// in it there is no image more. (Package transfer has the same, against other targets
// and in more forms: TestMaliciousArchive.)
func TestMaliciousArchiveGivenToImport(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir)
	to, own := entered(h, "test", "test")
	config, layer := []byte("{}"), []byte("a layer")
	image := pushedImage(t, to, "kept", "v1", config, layer, "")
	listed := h.said(`DescribeImages {"repositoryName":"kept"}`)
	_, hex, _ := strings.Cut(sha256Of(layer), ":")
	escape := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:../../../../etc/passwd","size":1}]}`, sha256Of(config))
	claim := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":1099511627776}]}`,
		sha256Of(config), sha256Of([]byte("another")))
	plain := strings.Replace(claim, "1099511627776", "7", 1)
	_, other, _ := strings.Cut(sha256Of([]byte("another")), ":")
	for name, path := range map[string]string{
		"a path that leads out":        archiveOf(t, dir, plain, "../../../escaped", "x", 1),
		"a digest that leads out":      archiveOf(t, dir, escape, "blobs/sha256/"+hex, "a layer", 7),
		"a layer that is another":      archiveOf(t, dir, plain, "blobs/sha256/"+other, "n0thing", 7),
		"an archive that claims 1 TB":  archiveOf(t, dir, plain, "blobs/sha256/"+other, "another", 1<<40),
		"a manifest that claims 1 TB":  archiveOf(t, dir, claim, "blobs/sha256/"+other, "another", 7),
		"a manifest whose layer lacks": archiveOf(t, dir, plain, "blobs/sha256/"+hex, "a layer", 7),
	} {
		in, err := transfer.OpenLayouts(path, "evil")
		if err != nil {
			continue // refused whole
		}
		r, err := transfer.Run(t.Context(), transfer.Options{
			From: in, Listed: in, To: to, Wanted: []transfer.Wanted{{Repository: "evil"}}, Settings: &transfer.Settings{To: own},
		})
		noError(t, errors.Join(err, in.Close()))
		if len(r.Failed) != 1 || r.Copied != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := to.Head(t.Context(), "evil", "v1"); !errors.Is(err, peer.ErrNotFound) {
			t.Errorf("%s: it is there: %v", name, err)
		}
	}
	if diff := cmp.Diff(listed, h.said(`DescribeImages {"repositoryName":"kept"}`)); diff != "" || image == "" {
		t.Errorf("what was there has changed (-before +after):\n%s", diff)
	}
	noError(t, filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(path, "escaped") {
			t.Errorf("written: %s", path)
		}
		return err
	}))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 { // the data folder, and that of the archives
		t.Errorf("beside the data folder: %v, %v", entries, err)
	}
}

// archiveOf is an archive of a layout with a manifest and a file, which is said to have
// so many bytes.
func archiveOf(t testing.TB, dir, manifest, name, content string, size int64) string {
	t.Helper()
	_, hex, _ := strings.Cut(sha256Of([]byte(manifest)), ":")
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, content string, size int64) {
		noError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, content)
		noError(t, err)
	}
	for name, content := range map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "blobs/sha256/" + hex: manifest,
		"blobs/sha256/" + strings.TrimPrefix(sha256Of([]byte("{}")), "sha256:"): "{}",
		"index.json": fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`,
			sha256Of([]byte(manifest)), len(manifest)),
	} {
		add(name, content, int64(len(content)))
	}
	add(name, content, size)
	_ = w.Close() // it may lack what was claimed
	folder := filepath.Join(dir, "archives")
	noError(t, os.MkdirAll(folder, 0o700))
	file, err := os.CreateTemp(folder, "*.tar")
	noError(t, err)
	_, err = file.Write(b.Bytes())
	noError(t, errors.Join(err, file.Close()))
	return file.Name()
}
