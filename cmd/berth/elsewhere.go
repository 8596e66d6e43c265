package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/transfer"
)

// elsewhere is what a command is told of the place that is not its own Berth.
type elsewhere struct {
	user              string
	stdin, plain      bool
	profile, endpoint string
	ca                string
}

func (e *elsewhere) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&e.user, "username", "", "user of the other registry (default: the one of docker login)")
	f.BoolVar(&e.stdin, "password-stdin", false, "read the password of --username from the standard input")
	f.BoolVar(&e.plain, "plain-http", false, "ask the other registry without TLS, as is usual on this machine")
	f.StringVar(&e.profile, "profile", "", "profile of AWS's configuration that opens ecr://")
	f.StringVar(&e.endpoint, "endpoint", "", "address of what ecr:// means, for one that is not Amazon's, such as another Berth")
	f.StringVar(&e.ca, "ca", "", "file of certificates to trust beside the system's")
}

// Kinds of places.
const (
	kindECR    = "ecr://"
	kindDocker = "docker://"
	kindLayout = "oci-layout:"
	kindData   = "registry-data:"
)

// location is a place that was named.
type location struct {
	kind            string
	host            string // of docker://, and of ecr:// if it was named whole
	account, region string // of ecr://
	file            string
	image           transfer.Wanted // the repository is "" for all
}

// parseLocation reads a place.
func parseLocation(text string) (l location, err error) {
	switch {
	case strings.HasPrefix(text, kindDocker):
		return parseDocker(text[len(kindDocker):])
	case strings.HasPrefix(text, kindECR):
		return parseECR(text[len(kindECR):])
	case strings.HasPrefix(text, kindLayout):
		return parseLayout(text[len(kindLayout):])
	case strings.HasPrefix(text, kindData) && len(text) > len(kindData):
		return location{kind: kindData, file: text[len(kindData):]}, nil
	}
	return l, usageError{fmt.Errorf("%q is none of docker://HOST/REPOSITORY, ecr://ACCOUNT.REGION/REPOSITORY, oci-layout:FOLDER and registry-data:FOLDER", text)}
}

// wanted reads what follows a host.
func wanted(text string) (transfer.Wanted, error) {
	if text == "" {
		return transfer.Wanted{}, nil
	}
	return parseImage(text)
}

// hubHost is where people say that Docker Hub is. A name of one part there is one of
// Docker's own images.
const hubHost = "docker.io"

func parseDocker(text string) (l location, err error) {
	host, image, _ := strings.Cut(text, "/")
	_, l.host, err = parseRegistry(host)
	if err != nil || host == "" {
		return l, usageError{fmt.Errorf("%q: want docker://HOST/REPOSITORY:TAG, docker://HOST/REPOSITORY or docker://HOST", kindDocker+text)}
	}
	l.kind = kindDocker
	if l.host == hubHost && image != "" && !strings.Contains(image, "/") {
		image = "library/" + image
	}
	l.image, err = wanted(image)
	return l, err
}

func parseECR(text string) (l location, err error) {
	host, image, _ := strings.Cut(text, "/")
	l.kind = kindECR
	if h := endpoint.ParseHost(host); h.Kind == endpoint.Registry {
		l.host, l.account, l.region = host, h.Account, h.Region
	} else {
		l.account, l.region, _ = strings.Cut(host, ".")
	}
	if len(l.account) != 12 || strings.Trim(l.account, "0123456789") != "" || l.region == "" || strings.Trim(l.region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return l, usageError{fmt.Errorf("%q: want ecr://ACCOUNT.REGION, such as ecr://123456789012.eu-central-1, or the host of a registry of Amazon's", kindECR+text)}
	}
	l.image, err = wanted(image)
	return l, err
}

// parseLayout reads a folder or file, and the tag or digest of one image in it.
func parseLayout(text string) (l location, err error) {
	l.kind, l.file = kindLayout, text
	if _, err := os.Stat(text); err == nil || text == "" {
		if text == "" {
			return l, usageError{errors.New("oci-layout: of which folder?")}
		}
		return l, nil
	}
	if file, d, ok := strings.Cut(text, "@"); ok {
		if _, err := digest.Parse(d); err == nil {
			l.file, l.image.Reference = file, d
			return l, nil
		}
	}
	if file, tag, ok := cutTag(text); ok && file != "" {
		l.file, l.image.Reference = file, tag
	}
	return l, nil
}

// clientOf is a client that may go to an address wherever it is, since whoever calls
// this program could go there himself. Without TLS it goes nowhere else.
func clientOf(address, ca string) (*http.Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	t, err := ecrlogin.Transport(ca)
	if err != nil {
		return nil, err
	}
	o := remote.Options{Allow: []string{u.Host, "0.0.0.0/0", "::/0"}, Redirects: remote.MostRedirects, RootCAs: t.TLSClientConfig.RootCAs}
	if u.Scheme == "http" {
		o.PlainHTTP = []string{u.Host}
	}
	return remote.New(o)
}

// caOf is the file of certificates that are trusted.
func (e elsewhere) caOf() (string, error) {
	ca := e.ca
	if ca == "" {
		ca = os.Getenv("AWS_CA_BUNDLE")
	}
	if ca == "" {
		return "", nil
	}
	return filepath.Abs(ca)
}

// registry is the registry of docker://.
func (e elsewhere) registry(c *cobra.Command, l location) (*peer.Registry, error) {
	ca, err := e.caOf()
	if err != nil {
		return nil, err
	}
	address := "https://" + l.host
	if e.plain {
		address = "http://" + l.host
	} else if ecrlogin.IsLoopback((&url.URL{Host: l.host}).Hostname()) {
		if address, err = findURL(c.Context(), ca, "", l.host); err != nil {
			return nil, err
		}
	}
	client, err := clientOf(address, ca)
	if err != nil {
		return nil, err
	}
	credentials, err := e.credentials(c, l.host)
	if err == nil && credentials == nil {
		credentials, err = e.ofAmazon(c.Context(), l.host, client)
	}
	if err != nil {
		return nil, err
	}
	return peer.New(peer.Options{URL: address, Client: client, Credentials: credentials})
}

// credentials are those that were given, or else docker's own; nil if there are none.
func (e elsewhere) credentials(c *cobra.Command, host string) (peer.Credentials, error) {
	if e.stdin && e.user == "" {
		return nil, usageError{errors.New("--password-stdin: whose password is it? --username names them")}
	}
	if e.user != "" {
		password, err := readPassword(c, e.stdin)
		return peer.Static(e.user, password), err
	}
	file, err := openDockerConfig()
	if err != nil {
		return nil, err
	}
	if host == hubHost {
		host = "https://index.docker.io/v1/" // docker login's name for it
	} else {
		host = logins.Host(host)
	}
	user, password, err := file.Password(c.Context(), host)
	if err != nil || user == "" {
		return nil, err
	}
	return peer.Static(user, password), nil
}

// ofAmazon are those that the key of AWS's tools gets for a registry of Amazon's; nil if
// a host is none.
func (e elsewhere) ofAmazon(ctx context.Context, host string, client *http.Client) (peer.Credentials, error) {
	if h := endpoint.ParseHost(host); h.Kind != endpoint.Registry || ecrlogin.IsLoopback((&url.URL{Host: host}).Hostname()) {
		return nil, nil
	}
	id, err := ecrlogin.Identify(ctx, e.profile)
	if err != nil {
		return nil, err
	}
	region := ecrlogin.Region(host)
	signer := ecrlogin.Signer{Credentials: id.Credentials, Region: region}
	return peer.NewECR(peer.ECR{Client: client, Region: region, Endpoint: "https://" + ecrlogin.API(host), Sign: signer.Sign})
}

// ecr is the registry of ecr://, with its API.
func (e elsewhere) ecr(ctx context.Context, l location) (*peer.Registry, *transfer.Account, error) {
	ca, err := e.caOf()
	if err != nil {
		return nil, nil, err
	}
	id, err := ecrlogin.Identify(ctx, e.profile)
	if err != nil {
		return nil, nil, err
	}
	registry, api, err := e.ecrAddresses(ctx, l, ca)
	if err != nil {
		return nil, nil, err
	}
	apiClient, err := clientOf(api, ca)
	if err != nil {
		return nil, nil, err
	}
	signer := ecrlogin.Signer{Credentials: id.Credentials, Region: l.region}
	calls, err := peer.NewECRAPI(peer.ECR{Client: apiClient, Region: l.region, Endpoint: api, Sign: signer.Sign})
	if err != nil {
		return nil, nil, err
	}
	client, err := clientOf(registry, ca)
	if err != nil {
		return nil, nil, err
	}
	r, err := peer.New(peer.Options{URL: registry, Client: client, Credentials: calls.Credentials()})
	return r, &transfer.Account{API: calls, ID: l.account}, err
}

// ecrAddresses are those of the registry and of its API.
func (e elsewhere) ecrAddresses(ctx context.Context, l location, ca string) (registry, api string, err error) {
	if e.endpoint != "" {
		return bare(e.endpoint), bare(e.endpoint), checkEndpoint(e.endpoint)
	}
	host := cmp.Or(l.host, l.account+".dkr.ecr."+l.region+"."+endpoint.Suffix(l.region))
	if !ecrlogin.IsLoopback((&url.URL{Host: host}).Hostname()) {
		return "https://" + host, "https://" + ecrlogin.API(host), nil
	}
	if registry, err = findURL(ctx, ca, "", host); err == nil {
		api, err = findURL(ctx, ca, "", ecrlogin.API(host))
	}
	return registry, api, err
}
