package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote/remotetest"
)

// fileOf is a file of one's own with some text.
func fileOf(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the ARN of a secret stands for may be in a file, in either form, in the
// environment or with a helper of docker's.
func TestUpstreamCredentials(t *testing.T) {
	up := newUpstreamOf(t)
	up.script(asking(nil))
	bin := t.TempDir()
	script := "#!/bin/sh\nread url\n[ \"$url\" = \"" + up.url + "\" ] && echo '{\"Username\":\"robot\",\"Secret\":\"hush-hush\"}'\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-berthtest"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("BERTH_TEST_GOOD", "robot:hush-hush")
	t.Setenv("BERTH_TEST_WRONG", "robot:another-one")
	from := []struct {
		name, is string
		taken    bool
	}{
		{"file", "file: " + fileOf(t, "robot:hush-hush\n"), true},
		{"json", "file: " + fileOf(t, `{"username":"robot","accessToken":"hush-hush"}`), true},
		{"env", "env: BERTH_TEST_GOOD", true},
		{"helper", "helper: berthtest", true},
		{"wrong", "env: BERTH_TEST_WRONG", false},
		{"nofile", "file: " + filepath.Join(bin, "none"), false},
		{"noenv", "env: BERTH_TEST_NONE", false},
		{"nohelper", "helper: berthnone", false},
	}
	text := fmt.Sprintf("mirror:\n  upstreams: [{host: up.example, url: %q}]\n  credentials:\n", up.url)
	for _, f := range from {
		text += fmt.Sprintf("    - {arn: %s-%s, %s}\n", secretARN, f.name, f.is)
	}
	h := dev(t, "config", settingsIn(t, text+"egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}\n"))
	password := h.password()
	from = append(from, struct {
		name, is string
		taken    bool
	}{"unknown", "", false})
	for _, f := range from {
		h.rule(f.name, "up.example", fmt.Sprintf(`,"credentialArn":"%s-%s"`, secretARN, f.name))
		want := http.StatusForbidden
		if f.taken {
			want = http.StatusOK
		}
		if got := h.read(http.MethodGet, "/v2/"+f.name+"/team/app/manifests/v1", password); got.status != want {
			t.Errorf("%s: %d %s", f.name, got.status, got.body)
		} else if strings.Contains(got.body+h.log.String(), "hush-hush") || strings.Contains(got.body+h.log.String(), "another-one") {
			t.Errorf("%s: the secret is told", f.name)
		}
		if _, answer := h.call("ValidatePullThroughCacheRule", fmt.Sprintf(`{"ecrRepositoryPrefix":%q}`, f.name)); strings.Contains(answer, `"isValid":true`) != f.taken {
			t.Errorf("%s: %s", f.name, answer)
		}
	}
	h.rule("bare", "up.example", "")
	if got := h.read(http.MethodGet, "/v2/bare/team/app/manifests/v1", password); got.status != http.StatusForbidden {
		t.Errorf("without credentials: %d %s", got.status, got.body)
	}
}

// Another Berth is an upstream, both by its registry password and, as one of ECR's, by an
// access key.
func TestBerthIsAnUpstream(t *testing.T) {
	up := dev(t)
	client := loopback(t)
	layer := strings.Repeat("bytes of a layer ", 1000)
	key := peer.Static("test", accounts.NewSecret("test"))
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		as, err := peer.NewECR(peer.ECR{Client: client, Region: region, Endpoint: up.url, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		pushTo(t, peer.Options{URL: up.url, Client: client, Credentials: as}, layer+region)
	}
	const role = "arn:aws:iam::000000000000:role/pull"
	const ecr = "000000000000.dkr.ecr.eu-west-1.amazonaws.com"
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(`mirror:
  upstreams: [{host: up.example, url: %q}, {host: %s, url: %q}]
  credentials:
    - {arn: %s, file: %q}
    - {arn: %s, file: %q}
    - {arn: %s-wrong, file: %q}
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
`, up.url, ecr, up.url, secretARN, fileOf(t, "AWS:"+up.password()), role, fileOf(t, "test:test"), role, fileOf(t, "test:wrong"))))
	h.rule("plain", "up.example", `,"credentialArn":"`+secretARN+`"`)
	h.rule("ecr", ecr, `,"customRoleArn":"`+role+`"`)
	h.rule("wrong", ecr, `,"customRoleArn":"`+role+`-wrong"`)
	password := h.password()
	for prefix, content := range map[string]string{"plain": layer + "us-east-1", "ecr": layer + "eu-west-1"} {
		if _, answer := h.call("ValidatePullThroughCacheRule", fmt.Sprintf(`{"ecrRepositoryPrefix":%q}`, prefix)); !strings.Contains(answer, `"isValid":true`) {
			t.Errorf("%s: %s", prefix, answer)
		}
		if got := h.read(http.MethodHead, "/v2/"+prefix+"/team/app/manifests/v1", password); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", prefix, got.status, got.body)
		}
		d := digest.FromBytes(digest.SHA256, []byte(content)).String()
		if got := h.read(http.MethodGet, "/v2/"+prefix+"/team/app/blobs/"+d, password); got.status != http.StatusOK || got.body != content {
			t.Errorf("%s: the layer is %d, %d bytes", prefix, got.status, len(got.body))
		}
		await(t, "the image is not there", func() bool {
			_, answer := h.call("DescribeImages", fmt.Sprintf(`{"repositoryName":"%s/team/app"}`, prefix))
			return strings.Contains(answer, `"v1"`)
		})
	}
	if got := h.read(http.MethodGet, "/v2/wrong/team/app/manifests/v1", password); got.status != http.StatusForbidden {
		t.Errorf("with a wrong key: %d %s", got.status, got.body)
	}
	if _, answer := h.call("ValidatePullThroughCacheRule", `{"ecrRepositoryPrefix":"wrong"}`); !strings.Contains(answer, `"isValid":false`) {
		t.Errorf("with a wrong key: %s", answer)
	}
}

// ecrsUpstreams are the hosts that ECR has upstreams at, with what a rule for each needs.
var ecrsUpstreams = map[string]string{
	"public.ecr.aws":       "",
	"quay.io":              "",
	"registry.k8s.io":      "",
	"registry-1.docker.io": `,"credentialArn":"` + secretARN + `"`,
	"ghcr.io":              `,"credentialArn":"` + secretARN + `"`,
	"registry.gitlab.com":  `,"credentialArn":"` + secretARN + `"`,
	"berth.azurecr.io":     `,"credentialArn":"` + secretARN + `"`,
	"cgr.dev":              `,"credentialArn":"` + secretARN + `"`,
	"111111111111.dkr.ecr.eu-west-1.amazonaws.com": `,"customRoleArn":"arn:aws:iam::000000000000:role/pull"`,
}

// The host that a rule names is the one that is asked, by HTTPS at its usual port; here
// all their names lead to an address that nobody may ask.
func TestUpstreamHostsAreAsked(t *testing.T) {
	addresses := map[string][]string{"api.ecr.eu-west-1.amazonaws.com": {"10.0.0.1"}}
	for host := range ecrsUpstreams {
		addresses[host] = []string{"10.0.0.1"}
	}
	t.Setenv("BERTH_TEST_UPSTREAM", "robot:hush-hush")
	text := fmt.Sprintf("mirror: {credentials: [{arn: %s, env: BERTH_TEST_UPSTREAM}, {arn: arn:aws:iam::000000000000:role/pull, env: BERTH_TEST_UPSTREAM}]}\n", secretARN)
	h := watchedHouse(t, map[string]string{"dev": "true", "data": config.Memory, "config": settingsIn(t, text)}, server.Watch{Names: remotetest.Resolver(t, addresses).Client})
	password := h.password()
	i := 0
	for host, more := range ecrsUpstreams {
		prefix := fmt.Sprintf("up%d", i)
		i++
		h.rule(prefix, host, more)
		got := h.read(http.MethodGet, "/v2/"+prefix+"/team/app/manifests/v1", password)
		if got.status != http.StatusBadGateway || !strings.Contains(got.body, host) || !strings.Contains(got.body, "10.0.0.1 is not public") {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
	}
}

// A repository's name at its upstream is what is left of it behind the rule's prefix,
// behind the one that upstream has; what containerd asks of a mirror by the upstream's own
// names is found at those.
func TestUpstreamNames(t *testing.T) {
	up := newUpstreamOf(t)
	t.Setenv("BERTH_TEST_UPSTREAM", "robot:hush-hush")
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(`mirror:
  upstreams: [{host: registry-1.docker.io, url: %q}, {host: quay.io, url: %[1]q}, {host: "up.example:5000", url: %[1]q}, {host: registry.k8s.io, url: %[1]q}]
  credentials: [{arn: %s, env: BERTH_TEST_UPSTREAM}]
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
`, up.url, secretARN)))
	h.rule("docker-hub", "registry-1.docker.io", `,"credentialArn":"`+secretARN+`"`)
	h.rule("quay/cache", "quay.io", `,"upstreamRepositoryPrefix":"team"`)
	h.rule("own/", "up.example:5000", `,"upstreamRepositoryPrefix":"own/"`)
	h.rule("ROOT", "registry.k8s.io", "")
	password := h.password()
	for path, at := range map[string]string{
		"docker-hub/library/alpine":     "library/alpine",
		"docker-hub/team/app":           "team/app",
		"quay/cache/app":                "team/app",
		"quay/cache/a/b/c":              "team/a/b/c",
		"quay/other":                    "quay/other", // of ROOT's
		"own/app":                       "own/app",
		"coredns/coredns":               "coredns/coredns",
		"library/busybox?ns=docker.io":  "library/busybox",
		"team/two?ns=quay.io":           "team/two",
		"own/two?ns=up.example:5000":    "own/two",
		"pause?ns=registry.k8s.io":      "pause",
		"x/y?ns=registry-1.docker.io":   "x/y",
		"docker-hub/docker-hub/library": "docker-hub/library",
	} {
		path, ns, _ := strings.Cut(path, "?")
		asked := "GET /v2/" + at + "/manifests/v9"
		before := up.count(asked)
		got := h.read(http.MethodGet, "/v2/"+path+"/manifests/v9?"+ns, password)
		if got.status != http.StatusNotFound || up.count(asked) != before+1 {
			t.Errorf("%s?%s: %d %s, upstream was not asked for %s", path, ns, got.status, got.body, at)
		}
	}
}

// What came from upstream is an image like any other: in a repository as its template
// says, told of, and replicated.
func TestMirroredImageIsLikeAny(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("quay", "quay.io", "")
	for op, body := range map[string]string{
		"CreateRepositoryCreationTemplate": `{"prefix":"quay","appliedFor":["PULL_THROUGH_CACHE"],"imageTagMutability":"IMMUTABLE","resourceTags":[{"Key":"from","Value":"quay"}],
			"lifecyclePolicy":"{\"rules\":[{\"rulePriority\":1,\"selection\":{\"tagStatus\":\"any\",\"countType\":\"imageCountMoreThan\",\"countNumber\":10},\"action\":{\"type\":\"expire\"}}]}"}`,
		"PutReplicationConfiguration": `{"replicationConfiguration":{"rules":[{"destinations":[{"region":"eu-west-1","registryId":"000000000000"}]}]}}`,
	} {
		if status, answer := h.call(op, body); status != http.StatusOK {
			t.Fatalf("%s: %d %s", op, status, answer)
		}
	}
	if got := h.read(http.MethodGet, "/v2/quay/team/app/manifests/v1", h.password()); got.status != http.StatusOK {
		t.Fatalf("the manifest: %d %s", got.status, got.body)
	}
	await(t, "the image is not there", func() bool {
		_, answer := h.call("DescribeImages", `{"repositoryName":"quay/team/app"}`)
		return strings.Contains(answer, `"v1"`)
	})
	if _, answer := h.call("DescribeRepositories", `{"repositoryNames":["quay/team/app"]}`); !strings.Contains(answer, `"imageTagMutability":"IMMUTABLE"`) {
		t.Errorf("the repository is %s", answer)
	}
	if _, answer := h.call("GetLifecyclePolicy", `{"repositoryName":"quay/team/app"}`); !strings.Contains(answer, "imageCountMoreThan") {
		t.Errorf("its lifecycle policy is %s", answer)
	}
	there, err := registry.ParseName(registry.ID{Account: "000000000000", Region: "eu-west-1"}, "quay/team/app")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it is not replicated", func() bool {
		list, _, err := h.Registry().Images(context.Background(), there, registry.ImageFilter{}, "", 10)
		return err == nil && len(list) == 1 && list[0].Digest.String() == up.digest
	})
	page, err := h.Registry().Events(context.Background(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	told := map[registry.EventKind]int{}
	for _, e := range page {
		if e.Repository.ID().Region == "us-east-1" {
			told[e.Kind]++
		}
	}
	for _, kind := range []registry.EventKind{registry.RepositoryCreated, registry.ImagePushed, registry.UpstreamAsked} {
		if told[kind] != 1 {
			t.Errorf("%d events of kind %s", told[kind], kind)
		}
	}
}

// A mirror of Docker's asks without credentials for images by their names at Docker Hub:
// with a rule for ROOT and reads without credentials it gives what is here and everyone may
// have. Nothing is brought for nobody, unless everyone may have it brought.
func TestMirrorWithoutCredentials(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "anonymous-pull", "true", "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("ROOT", "quay.io", "")
	const everyone = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"ecr:BatchGetImage\",\"ecr:GetDownloadUrlForLayer\"]}]}`
	if status, answer := h.call("CreateRepositoryCreationTemplate", `{"prefix":"ROOT","appliedFor":["PULL_THROUGH_CACHE"],"repositoryPolicy":"`+everyone+`"}`); status != http.StatusOK {
		t.Fatalf("a template: %d %s", status, answer)
	}
	const path = "/v2/team/app/manifests/v1"
	if got := h.get(path); got.status != http.StatusUnauthorized {
		t.Errorf("before anybody brought it: %d %s", got.status, got.body)
	}
	if n := up.count("GET " + path); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
	if got := h.read(http.MethodGet, path, h.password()); got.status != http.StatusOK {
		t.Fatalf("with credentials: %d %s", got.status, got.body)
	}
	for _, path := range []string{path, "/v2/team/app/blobs/" + up.layerDigest()} {
		if got := h.get(path); got.status != http.StatusOK {
			t.Errorf("%s without credentials: %d %s", path, got.status, got.body)
		}
	}
	before := up.digest
	up.layer = "other bytes"
	up.push(t)
	if got := h.get(path); got.header.Get("Docker-Content-Digest") != before || got.header.Get("Warning") != "" {
		t.Errorf("when the tag has moved: %d %v", got.status, got.header)
	}
	may := strings.Replace(everyone, `[\"ecr:BatchGetImage`, `[\"ecr:BatchImportUpstreamImage\",\"ecr:BatchGetImage`, 1)
	if status, answer := h.call("SetRepositoryPolicy", `{"repositoryName":"team/app","policyText":"`+may+`"}`); status != http.StatusOK {
		t.Fatalf("a policy: %d %s", status, answer)
	}
	if got := h.get(path); got.header.Get("Docker-Content-Digest") != up.digest {
		t.Errorf("where everyone may have images brought: %d %v", got.status, got.header)
	}
}
