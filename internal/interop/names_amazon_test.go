package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	credentialprovider "k8s.io/kubelet/pkg/apis/credentialprovider/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// askings are ways to ask where to log in, and what is to come back: Amazon's
// https name for each registry that is named, in the order that it is named in,
// and for whoever came by one of Amazon's names.
var askings = []struct {
	name   string
	region string
	url    string // "" for the one that the client takes by itself
	ids    []string
	want   []string
}{
	{"Amazon's name", harness.Region, "", nil, []string{"https://" + awsName}},
	{"another region", harness.OtherRegion, "", nil, []string{"https://" + harness.RegistryName(harness.Account, harness.OtherRegion)}},
	{"ids", harness.Region, "", []string{harness.OtherAccount, harness.Account}, []string{
		"https://" + harness.RegistryName(harness.OtherAccount, harness.Region), "https://" + awsName,
	}},
	{"ids at a plain address", harness.OtherRegion, "http://localhost:5000", []string{harness.Account, harness.OtherAccount}, []string{
		"https://" + harness.RegistryName(harness.Account, harness.OtherRegion),
		"https://" + harness.RegistryName(harness.OtherAccount, harness.OtherRegion),
	}},
	{"one id at a name of one's own", harness.Region, "https://" + harness.Example, []string{harness.Account}, []string{"https://" + awsName}},
	{"a plain address", harness.Region, "http://localhost:5000", nil, []string{"http://localhost:5000"}},
}

func TestNamesSDKEndpoints(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	for _, a := range askings {
		//lint:ignore SA1019 Amazon's own helpers still send them.
		ask := &ecr.GetAuthorizationTokenInput{RegistryIds: a.ids}
		out, err := s.ClientAt(t, key, a.region, a.url).GetAuthorizationToken(t.Context(), ask)
		if err != nil {
			t.Errorf("%s: %v", a.name, err)
			continue
		}
		var got []string
		for _, d := range out.AuthorizationData {
			got = append(got, aws.ToString(d.ProxyEndpoint))
		}
		if !slices.Equal(got, a.want) {
			t.Errorf("%s: proxyEndpoint %q, want %q", a.name, got, a.want)
		}
	}
}

func TestNamesAWSCLIEndpoints(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	for _, a := range askings {
		args := []string{"ecr", "get-authorization-token", "--region", a.region, "--query", "authorizationData[].proxyEndpoint", "--output", "text"}
		if a.url != "" {
			args = append(args, "--endpoint-url", a.url)
		}
		if a.ids != nil {
			args = append(append(args, "--registry-ids"), a.ids...)
		}
		if got := strings.Fields(sh.Run("aws", args...)); !slices.Equal(got, a.want) {
			t.Errorf("%s: proxyEndpoint %q, want %q", a.name, got, a.want)
		}
	}
	if got := sh.Run("aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"); got != "arn:aws:iam::000000000000:root" {
		t.Errorf("sts at Amazon's name: %s", got)
	}
}

// askByBoto3 prints the endpoints that each line of its input asks for.
const askByBoto3 = `
import boto3, json, sys
for a in json.load(sys.stdin):
    ecr = boto3.client("ecr", region_name=a["region"], endpoint_url=a["url"] or None)
    data = ecr.get_authorization_token(**({"registryIds": a["ids"]} if a["ids"] else {}))["authorizationData"]
    print(" ".join(d["proxyEndpoint"] for d in data))
`

func TestNamesBoto3Endpoints(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	var ask []map[string]any
	for _, a := range askings {
		ask = append(ask, map[string]any{"region": a.region, "url": a.url, "ids": a.ids})
	}
	said := lines(sh.RunInput(strings.NewReader(asJSON(t, ask)), "python3", "-c", askByBoto3))
	for i, a := range askings {
		if got := strings.Fields(said[i]); !slices.Equal(got, a.want) {
			t.Errorf("%s: proxyEndpoint %q, want %q", a.name, got, a.want)
		}
	}
}

// registryNames are Amazon's names of registries in all their forms.
var registryNames = []string{
	awsName,
	harness.RegistryName(harness.Account, harness.OtherRegion),
	harness.RegistryName(harness.OtherAccount, harness.Region),
	harness.Account + ".dkr.ecr-fips." + harness.Region + ".amazonaws.com",
	harness.Account + ".dkr-ecr." + harness.Region + ".on.aws",
}

// Amazon's credential helper asks for a registry by its id, and takes no
// endpoint that is not one of Amazon's names.
func TestNamesCredentialHelper(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	sh.Set("AWS_ECR_DISABLE_CACHE", "true") // or it would ask once for several
	for _, host := range registryNames {
		var got struct{ ServerURL, Username, Secret string }
		out := sh.RunInput(strings.NewReader(host), "docker-credential-ecr-login", "get")
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("docker-credential-ecr-login get: %v", err)
		}
		if got.Username != "AWS" || got.ServerURL != host {
			t.Errorf("docker-credential-ecr-login get: %s at %s, want AWS at %s", got.Username, got.ServerURL, host)
		}
		opens(t, s, host, got.Secret)
	}
	sh.Unset("AWS_ECR_DISABLE_CACHE") // it lists what it has kept
	sh.RunInput(strings.NewReader(awsName), "docker-credential-ecr-login", "get")
	var list map[string]string
	if err := json.Unmarshal([]byte(sh.Run("docker-credential-ecr-login", "list")), &list); err != nil {
		t.Fatal(err)
	}
	if got := list["https://"+awsName]; got != "AWS" {
		t.Errorf("docker-credential-ecr-login list: %v, want AWS for https://%s", list, awsName)
	}
}

// opens checks that a host lets a password in by TLS.
func opens(t *testing.T, s *harness.Server, host, password string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	resp, err := s.HTTPClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("%s with the password for it: %s", host, resp.Status)
	}
}

// Nobody logs in: docker asks the helper.
func TestNamesCredentialHelperDocker(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh := s.SecureShell(t, key)
	sh.UseDocker()
	useHelper(t, sh.Var("DOCKER_CONFIG")+"/config.json", "ecr-login")
	for i, region := range []string{harness.Region, harness.OtherRegion} {
		host := harness.RegistryName(harness.Account, region)
		s.TrustForDocker(t, host)
		createRepository(t, s.ClientAt(t, key, region, ""), "team/app")
		dockerThereAndBack(t, sh, host+"/team/app:1.0", uint64(150+i))
	}
}

func TestNamesCredentialHelperPodman(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh := s.SecureShell(t, key)
	useHelper(t, sh.Var("REGISTRY_AUTH_FILE"), "ecr-login")
	createRepository(t, s.ClientAt(t, key, harness.Region, ""), "team/app")
	ref := awsName + "/team/app:1.0"
	sh.RunInput(dockerImage(t, 152).Archive(t, ref), "podman", append(sh.PodmanFlags(), "load")...)
	sh.Podman("push", ref)
	sh.Podman("rmi", ref)
	sh.Podman("pull", ref)
}

func TestNamesCredentialHelperSkopeo(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh := s.SecureShell(t, key)
	useHelper(t, sh.Var("REGISTRY_AUTH_FILE"), "ecr-login")
	createRepository(t, s.ClientAt(t, key, harness.Region, ""), "team/app")
	image := ociImage(t, 153)
	index := harness.NewIndex(t, image)
	layout := harness.WriteLayout(t, harness.Named(t, "1.0", index), append(image.Whole(), index)...)
	sh.Run("skopeo", "--insecure-policy", "copy", "--all", "oci:"+layout+":1.0", "docker://"+awsName+"/team/app:1.0")
	if got := sh.Run("skopeo", "inspect", "--raw", "docker://"+awsName+"/team/app:1.0"); got != string(index) {
		t.Errorf("skopeo inspect --raw printed\n%s\nwant\n%s", got, index)
	}
}

// crane, and all that is made with go-containerregistry, asks the helper too;
// here for each form of Amazon's names, which all lead to the same registries.
func TestNamesCredentialHelperCrane(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	useHelper(t, filepath.Join(sh.Var("DOCKER_CONFIG"), "config.json"), "ecr-login")
	image := ociImage(t, 154)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	createRepository(t, s.ClientAt(t, s.CreateKey(t, harness.Account), harness.Region, ""), "team/app")
	for i, host := range registryNames {
		if !strings.HasPrefix(host, harness.Account) || !strings.Contains(host, harness.Region) {
			continue // another registry
		}
		tag := fmt.Sprint("by-form-", i)
		sh.Run("crane", "push", layout, host+"/team/app:"+tag)
		if got := sh.Run("crane", "digest", awsName+"/team/app:"+tag); got != image.Digest().String() {
			t.Errorf("what was pushed to %s is %s by another name, want %s", host, got, image.Digest())
		}
	}
}

// useHelper writes a file of credentials that names a helper for Amazon's names.
func useHelper(t *testing.T, path, helper string) {
	t.Helper()
	helpers := map[string]string{}
	for _, host := range registryNames {
		helpers[host] = helper
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	writeAll(t, path, strings.NewReader(asJSON(t, map[string]any{"credHelpers": helpers})))
}

// The kubelet runs Amazon's provider with a request on its standard input.
func TestNamesCredentialProvider(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	for _, host := range registryNames {
		got := askProvider(t, sh, host+"/team/app:1.0", "ecr-credential-provider")
		auth, ok := got.Auth[host]
		if !ok || len(got.Auth) != 1 || auth.Username != "AWS" {
			t.Errorf("ecr-credential-provider for %s answered for %v", host, got.Auth)
		}
		if got.CacheKeyType != credentialprovider.RegistryPluginCacheKeyType || got.CacheDuration.Duration <= 0 {
			t.Errorf("ecr-credential-provider: cache by %s for %v", got.CacheKeyType, got.CacheDuration)
		}
		opens(t, s, host, auth.Password)
	}
}

// askProvider runs a credential provider as the kubelet does.
func askProvider(t *testing.T, sh *harness.Shell, image string, provider ...string) credentialprovider.CredentialProviderResponse {
	t.Helper()
	ask := asJSON(t, credentialprovider.CredentialProviderRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: credentialprovider.SchemeGroupVersion.String(), Kind: "CredentialProviderRequest"},
		Image:    image,
	})
	var got credentialprovider.CredentialProviderResponse
	out := sh.RunInput(strings.NewReader(ask), provider[0], provider[1:]...)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%s answered\n%s: %v", provider[0], out, err)
	}
	if got.Kind != "CredentialProviderResponse" || got.APIVersion != credentialprovider.SchemeGroupVersion.String() {
		t.Errorf("%s answered with a %s of %s", provider[0], got.Kind, got.APIVersion)
	}
	return got
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
