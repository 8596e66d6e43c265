package interop_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kubelet "k8s.io/kubelet/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Under each style, `berth login` and the host that came back are all that
// docker needs, without a password in sight.
func TestNamesLoginDocker(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		p.sh.UseDocker()
		p.server.TrustForDocker(t, p.host())
		if p.plain() && strings.HasPrefix(p.uri, harness.Example) {
			if said := p.sh.Refused("berth", "login", p.host()); !strings.Contains(said, p.endpoint) {
				t.Errorf("berth login by plain HTTP to a host that may be anywhere said:\n%s", said)
			}
			berthLogin(p.sh, p.endpoint)
		} else {
			berthLogin(p.sh, p.host())
		}
		dockerThereAndBack(t, p.sh, p.uri+":1.0", 170)
		p.sh.Run("docker", "logout", p.host())
		if said := p.sh.Refused("docker", "pull", p.uri+":1.0"); !strings.Contains(said, "no basic auth credentials") {
			t.Errorf("docker pull after the logout said:\n%s", said)
		}
	})
}

// berthLogin logs in to a host as somebody who has never done so: with the
// helpers installed into a folder of his PATH.
func berthLogin(sh *harness.Shell, host string) string {
	return sh.Run("berth", "login", "--install-helpers", filepath.Join(sh.Home(), "bin"), host)
}

// dockersFile has podman and skopeo look where docker looks, as they do by
// themselves if they know of no other place.
func dockersFile(sh *harness.Shell) {
	sh.Set("DOCKER_CONFIG", filepath.Join(sh.Home(), ".docker"))
	sh.Unset("REGISTRY_AUTH_FILE")
}

func TestNamesLoginPodman(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		dockersFile(p.sh)
		how := p.containersTrust(t)
		berthLogin(p.sh, p.host())
		ref := p.uri + ":1.0"
		p.sh.RunInput(dockerImage(t, 171).Archive(t, ref), "podman", append(p.sh.PodmanFlags(), "load")...)
		p.sh.Podman("push", how, ref)
		p.sh.Podman("rmi", ref)
		p.sh.Podman("pull", how, ref)
	}, "request", "request-TLS", "aws")
}

func TestNamesLoginSkopeo(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		dockersFile(p.sh)
		how := p.containersTrust(t)
		berthLogin(p.sh, p.host())
		image := ociImage(t, 172)
		index := harness.NewIndex(t, image)
		layout := harness.WriteLayout(t, harness.Named(t, "1.0", index), append(image.Whole(), index)...)
		p.sh.Run("skopeo", "--insecure-policy", "copy", "--all", "--dest-"+strings.TrimPrefix(how, "--"), "oci:"+layout+":1.0", "docker://"+p.uri+":1.0")
		if got := p.sh.Run("skopeo", "inspect", "--raw", how, "docker://"+p.uri+":1.0"); got != string(index) {
			t.Errorf("skopeo inspect --raw printed\n%s\nwant\n%s", got, index)
		}
	}, "request", "request-TLS", "aws")
}

// The owner of the server needs no key of AWS's tools: the server gives one.
func TestNamesLoginCrane(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		p.sh.SetKey(harness.Key{})
		berthLogin(p.sh, p.host())
		image := ociImage(t, 173)
		layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
		p.sh.Run("crane", "push", layout, p.uri+":1.0")
		if got := p.sh.Run("crane", "digest", p.uri+":1.0"); got != image.Digest().String() {
			t.Errorf("crane digest: %s, want %s", got, image.Digest())
		}
	}, "request", "path-TLS", "aws")
}

// Amazon's names and all others: the kubelet runs Berth's provider as it would
// run Amazon's.
func TestNamesLoginProvider(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	sh.Run("berth", "login", "--install-helpers", filepath.Join(sh.Home(), "bin"), harness.Example)
	for _, host := range append([]string{harness.Example, harness.Account + ".dkr.ecr.us-east-1.localhost"}, registryNames...) {
		got := askProvider(t, sh, host+"/team/app:1.0", "berth-credential-provider")
		auth, ok := got.Auth[host]
		if !ok || len(got.Auth) != 1 || auth.Username != "AWS" {
			t.Errorf("berth-credential-provider for %s answered for %v", host, got.Auth)
		}
		if got.CacheDuration == nil || got.CacheDuration.Duration <= 0 || got.CacheDuration.Hours() > 12 {
			t.Errorf("berth-credential-provider: cache for %v", got.CacheDuration)
		}
		opens(t, s, host, auth.Password)
	}
}

// The sample of a configuration is one to the kubelet's own types, and the
// provider works with what it says but for the host and the folder.
func TestNamesLoginProviderSample(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh := s.Shell(t) // where nothing else tells of keys and certificates
	etc := s.CertsDir(t)
	makeFile(t, filepath.Join(etc, "aws-credentials"), fmt.Sprintf("[node]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		key.AccessKeyId, key.SecretAccessKey))
	sample := string(readFile(t, "../../docs/examples/credential-provider-config.yml"))
	sample = strings.NewReplacer("registry.example:5000", harness.Example, "/etc/berth", etc).Replace(sample)
	var conf kubelet.CredentialProviderConfig
	if err := yaml.UnmarshalStrict([]byte(sample), &conf); err != nil {
		t.Fatal(err)
	}
	provider := conf.Providers[0]
	if !slices.Contains(provider.MatchImages, harness.Example) || provider.DefaultCacheDuration == nil {
		t.Fatalf("the sample is read as %+v", provider)
	}
	sh.Run("berth", "login", "--install-helpers", filepath.Join(sh.Home(), "bin"))
	for _, e := range provider.Env {
		sh.Set(e.Name, e.Value)
	}
	sh.ReachNames()
	got := askProvider(t, sh, harness.Example+"/team/app:1.0", append([]string{provider.Name}, provider.Args...)...)
	opens(t, s, harness.Example, got.Auth[harness.Example].Password)
}
