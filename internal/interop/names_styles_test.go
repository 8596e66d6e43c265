package interop_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const (
	awsName = harness.Account + ".dkr.ecr." + harness.Region + ".amazonaws.com"
	ownName = harness.Account + ".dkr.ecr." + harness.Region + ".localhost"
	pathOf  = "/" + harness.Account + "/" + harness.Region
)

// styles are the forms in which the server hands out the name of a repository,
// each by plain HTTP and by TLS where it has both.
var styles = []struct {
	name string
	args []string // of the server
	api  string   // where the repository is made
	host string   // of the name that is to come back
	path string   // what is before the repository's name
}{
	{"request", nil, "http://localhost:5000", "localhost:5000", ""},
	{"request-TLS", nil, "https://" + harness.Example, harness.Example, ""},
	{"request-AWS", nil, "https://api.ecr.us-east-1.amazonaws.com", awsName, ""},
	{"external", []string{"--external", "http://" + harness.Example + ":5000"}, "http://localhost:5000", harness.Example + ":5000", ""},
	{"external-TLS", []string{"--external", "https://" + harness.Example}, "http://localhost:5000", harness.Example, ""},
	{"hostname", nil, "http://localhost:5000", ownName + ":5000", ""},
	{"hostname-TLS", nil, "https://localhost", ownName, ""},
	{"path", nil, "http://localhost:5000", "localhost:5000", pathOf},
	{"path-TLS", nil, "https://" + harness.Example, harness.Example, pathOf},
	{"aws", nil, "http://localhost:5000", awsName, ""},
}

// A place is a repository by the name that it was made under.
type place struct {
	server   *harness.Server
	sh       *harness.Shell
	uri      string // as CreateRepository gave it
	endpoint string // as GetAuthorizationToken gave it: where one logs in
	password string
	seed     uint64 // of an image that is of this place alone
}

func (p *place) host() string { host, _, _ := strings.Cut(p.uri, "/"); return host }

// plain says that the name is used by plain HTTP.
func (p *place) plain() bool { return strings.HasPrefix(p.endpoint, "http://") }

// logIn has a client log in to the place's host.
func (p *place) logIn(words ...string) {
	args := append(words[1:], "-u", "AWS", "--password-stdin", p.host())
	p.sh.RunInput(strings.NewReader(p.password), words[0], args...)
}

// inEachStyle makes a repository under each style, or under some that are
// named, and has a client use it.
func inEachStyle(t *testing.T, use func(t *testing.T, p *place), only ...string) {
	for i, st := range styles {
		if only != nil && !slices.Contains(only, st.name) {
			continue
		}
		t.Run(st.name, func(t *testing.T) {
			kind, _, _ := strings.Cut(st.name, "-")
			s := harness.StartTLS(t, append([]string{"--repository-uri", kind}, st.args...)...)
			// Under a name of its own, since BuildKit remembers whom to trust for a repository.
			repo := "team/" + strings.ToLower(st.name)
			p := createPlace(t, s, st.api, repo)
			if want := st.host + st.path + "/" + repo; p.uri != want {
				t.Fatalf("repositoryUri: %s, want %s", p.uri, want)
			}
			p.seed = uint64(110 + i)
			use(t, p)
		})
	}
}

// createPlace makes a repository by the API at an address, and asks there how
// to log in.
func createPlace(t *testing.T, s *harness.Server, api, repo string) *place {
	t.Helper()
	key := s.CreateKey(t, harness.Account)
	client := s.ClientAt(t, key, harness.Region, api)
	made, err := client.CreateRepository(context.Background(), &ecr.CreateRepositoryInput{RepositoryName: &repo})
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	data := token.AuthorizationData[0]
	p := &place{
		server: s, sh: s.SecureShell(t, key), uri: aws.ToString(made.Repository.RepositoryUri),
		endpoint: aws.ToString(data.ProxyEndpoint), password: harness.PasswordIn(t, aws.ToString(data.AuthorizationToken)),
	}
	if u, err := url.Parse(p.endpoint); err != nil || u.Host != p.host() || u.Path != "" {
		t.Fatalf("proxyEndpoint: %s, want the host of %s", p.endpoint, p.uri)
	}
	return p
}
