package transfer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

// api is ECR's: it answers operations with what a test says, by the operation or by
// that and its input, and notes what else it was told.
type api struct {
	answers map[string]string // an exception begins with "!"
	mu      sync.Mutex
	told    []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	in, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	answer, ok := a.answers[op+" "+string(in)]
	if !ok {
		answer, ok = a.answers[op]
	}
	if !ok {
		answer = "!AccessDeniedException"
	}
	for _, verb := range []string{"Create", "Put", "Set", "Tag", "Update", "Register"} {
		if strings.HasPrefix(op, verb) {
			a.told = append(a.told, op+" "+string(in))
		}
	}
	if code, refused := strings.CutPrefix(answer, "!"); refused {
		w.WriteHeader(http.StatusBadRequest)
		answer = fmt.Sprintf(`{"__type":%q,"message":"no"}`, code)
	}
	_, _ = io.WriteString(w, answer)
}

// account is one with that API.
func account(t testing.TB, a *api) transfer.Account {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	calls, err := peer.NewECRAPI(peer.ECR{Client: client(t), Region: "us-east-1", Endpoint: s.URL, Key: peer.Static("id", accounts.NewSecret("secret"))})
	must(t, err)
	return transfer.Account{API: calls, ID: "123456789012"}
}

// Lists go over pages, in the order of the pushes.
func TestECRLists(t *testing.T) {
	d := func(n int) string { return "sha256:" + strings.Repeat(fmt.Sprint(n), 64) }
	a := account(t, &api{answers: map[string]string{
		`DescribeRepositories {"maxResults":1000,"registryId":"123456789012"}`:                                                               `{"repositories":[{"repositoryName":"a"}],"nextToken":"1"}`,
		`DescribeRepositories {"maxResults":1000,"nextToken":"1","registryId":"123456789012"}`:                                               `{"repositories":[{"repositoryName":"b"}]}`,
		`DescribeImages {"filter":{"imageStatus":"ANY"},"maxResults":1000,"registryId":"123456789012","repositoryName":"a"}`:                 `{"imageDetails":[{"imageDigest":"` + d(1) + `","imagePushedAt":3e9},{"imageDigest":"` + d(2) + `","imageTags":["late","later"],"imagePushedAt":2.5e9}],"nextToken":"x"}`,
		`DescribeImages {"filter":{"imageStatus":"ANY"},"maxResults":1000,"nextToken":"x","registryId":"123456789012","repositoryName":"a"}`: `{"imageDetails":[{"imageDigest":"` + d(3) + `","imageTags":["early"],"imagePushedAt":1e9},{"imageDigest":"` + d(4) + `","imagePushedAt":1e9,"imageStatus":"ACTIVE"},{"imageDigest":"` + d(7) + `","imageTags":["cold"],"imageStatus":"ARCHIVED"}]}`,
		`ListImages {"maxResults":1000,"registryId":"123456789012","repositoryName":"b"}`:                                                    `{"imageIds":[{"imageDigest":"` + d(5) + `","imageTag":"v1"},{"imageDigest":"` + d(6) + `"}]}`,
	}})
	list := transfer.FromECR(a)
	var names []string
	for name, err := range list.Repositories(t.Context()) {
		must(t, err)
		names = append(names, name)
	}
	got := fmt.Sprint(names)
	for _, repo := range []string{"a", "b"} { // those of the second may only be listed
		refs, err := list.References(t.Context(), repo)
		must(t, err)
		got += fmt.Sprintln("", refs.Tags, refs.Untagged, refs.Whole, len(refs.Notes))
	}
	want := "[a b]" + fmt.Sprintln("", "[early late later] ["+d(4)+" "+d(1)+"] true 1") + fmt.Sprintln("", "[v1] ["+d(6)+"] true 0")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := list.References(t.Context(), "c"); err == nil {
		t.Error("what may not be listed is")
	}
}

// What the source denies is noted and left out, what the target does not take is
// named; the images come all the same.
func TestSettingsDenied(t *testing.T) {
	from := &api{answers: map[string]string{
		"DescribeRepositories":                `{"repositories":[{"repositoryName":"a","repositoryArn":"arn","imageTagMutability":"IMMUTABLE","imageTagMutabilityExclusionFilters":[],"encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"theirs"}}]}`,
		"GetLifecyclePolicy":                  `{"lifecyclePolicyText":"{\"rules\":[]}"}`,
		"DescribeRepositoryCreationTemplates": `{"repositoryCreationTemplates":[{"prefix":"ROOT","appliedFor":["REPLICATION"],"resourceTags":[],"createdAt":1}]}`,
		"GetRegistryPolicy":                   `!RegistryPolicyNotFoundException`,
		"DescribePullThroughCacheRules":       `{"pullThroughCacheRules":[{"ecrRepositoryPrefix":"x","upstreamRegistryUrl":"y","registryId":"1","createdAt":1}]}`,
	}}
	to := &api{answers: map[string]string{
		`CreateRepository {"encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"theirs"},"imageTagMutability":"IMMUTABLE","registryId":"123456789012","repositoryName":"old/a"}`: "!KmsException",
		"CreateRepository": "{}", "PutLifecyclePolicy": "!InvalidParameterException", "CreateRepositoryCreationTemplate": "!TemplateAlreadyExistsException",
		"UpdateRepositoryCreationTemplate": "{}", "CreatePullThroughCacheRule": "!PullThroughCacheRuleAlreadyExistsException",
	}}
	source, target := at(t, peertest.Distribution(t)), at(t, peertest.Distribution(t))
	m := image(nil, "layer")
	put(t, source, "a", "v1", m)
	prefixed := func(name string) string { return "old/" + name }
	theirs := account(t, from)
	r := run(t, transfer.Options{
		From: source, Listed: transfer.FromRegistry(source), To: target, Rename: prefixed,
		Settings: &transfer.Settings{From: &theirs, To: account(t, to), Templates: true, Registry: true, Rename: prefixed},
	})
	has(t, "the target", target, placed{"old/a", "v1", m})
	if len(r.Failed) != 1 || !strings.Contains(r.Failed[0].Error, "its lifecycle policy") {
		t.Errorf("failed: %+v", r.Failed)
	}
	for _, part := range []string{"a: its tags may not be read", "a: its policy may not be read", "does not take its encryption", "the replication configuration may not be read", "the signing configuration"} {
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, part) }) {
			t.Errorf("no note of %q in %q", part, r.Notes)
		}
	}
	slices.Sort(to.told)
	want := []string{
		`CreatePullThroughCacheRule {"ecrRepositoryPrefix":"x","upstreamRegistryUrl":"y"}`,
		`CreateRepository {"encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"theirs"},"imageTagMutability":"IMMUTABLE","registryId":"123456789012","repositoryName":"old/a"}`,
		`CreateRepository {"imageTagMutability":"IMMUTABLE","registryId":"123456789012","repositoryName":"old/a"}`,
		`CreateRepositoryCreationTemplate {"appliedFor":["REPLICATION"],"prefix":"old/ROOT"}`,
		`PutLifecyclePolicy {"lifecyclePolicyText":"{\"rules\":[]}","registryId":"123456789012","repositoryName":"old/a"}`,
		`UpdateRepositoryCreationTemplate {"appliedFor":["REPLICATION"],"prefix":"old/ROOT"}`,
	}
	if diff := cmp.Diff(want, to.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(from.told) > 0 {
		t.Errorf("the source was told %q", from.told)
	}
}

// Tags of AWS's own services stay behind: nobody may give them.
func TestTagsOfServices(t *testing.T) {
	to := &api{answers: map[string]string{"CreateRepository": "!RepositoryAlreadyExistsException", "DescribeRepositories": `{"repositories":[{"repositoryArn":"new"}]}`, "TagResource": "{}"}}
	theirs := account(t, &api{answers: map[string]string{
		"DescribeRepositories": `{"repositories":[{"repositoryName":"a","repositoryArn":"old"}]}`,
		"ListTagsForResource":  `{"tags":[{"Key":"aws:cloudformation:stack-name","Value":"x"},{"Key":"team","Value":"me"}]}`,
	}})
	source := at(t, peertest.Distribution(t))
	put(t, source, "a", "v1", image(nil, "layer"))
	good(t, run(t, transfer.Options{From: source, Listed: transfer.FromRegistry(source), To: intoFolder(t, "a"), Settings: &transfer.Settings{From: &theirs, To: account(t, to)}}))
	want := `TagResource {"resourceArn":"new","tags":[{"Key":"team","Value":"me"}]}`
	if !slices.Contains(to.told, want) {
		t.Errorf("told %q; want %q among it", to.told, want)
	}
}

// A run that looks changes nothing, settings neither.
func TestSettingsOfALook(t *testing.T) {
	to := &api{answers: map[string]string{}}
	source := at(t, peertest.Distribution(t))
	put(t, source, "a", "v1", image(nil, "layer"))
	theirs := account(t, &api{answers: map[string]string{"DescribeRepositories": `{"repositories":[{"repositoryName":"a"}]}`}})
	good(t, run(t, transfer.Options{
		From: source, Listed: transfer.FromRegistry(source), To: at(t, peertest.Distribution(t)), DryRun: true,
		Settings: &transfer.Settings{From: &theirs, To: account(t, to), Templates: true, Registry: true},
	}))
	if len(to.told) > 0 {
		t.Errorf("told %q", to.told)
	}
}
