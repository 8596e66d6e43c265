// Package kubelet speaks the protocol by which Kubernetes' node agent asks a
// program for passwords of registries: one request on the standard input, one
// answer on the standard output (k8s.io/kubelet/pkg/apis/credentialprovider).
package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// versions of the protocol. An answer must be of the request's own; what is
// used of them here is the same in all.
var versions = []string{
	"credentialprovider.kubelet.k8s.io/v1",
	"credentialprovider.kubelet.k8s.io/v1beta1",
	"credentialprovider.kubelet.k8s.io/v1alpha1",
}

// Request is what is asked.
type Request struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Image      string `json:"image"`
}

// maxRequest is far more than a request takes, a service account's token
// included.
const maxRequest = 1 << 20

// Read reads a request and checks that it is one.
func Read(r io.Reader) (Request, error) {
	var req Request
	if err := json.NewDecoder(io.LimitReader(r, maxRequest)).Decode(&req); err != nil {
		return Request{}, fmt.Errorf("the standard input holds no CredentialProviderRequest: %w", err)
	}
	switch {
	case req.Kind != "CredentialProviderRequest":
		return Request{}, fmt.Errorf("kind is %q, want CredentialProviderRequest", req.Kind)
	case !slices.Contains(versions, req.APIVersion):
		return Request{}, fmt.Errorf("apiVersion is %q, want one of %s", req.APIVersion, strings.Join(versions, ", "))
	case req.Host() == "":
		return Request{}, errors.New("image names no registry")
	}
	return req, nil
}

// Host is the host, and the port if there is one, of the image. The agent
// always writes it out.
func (r Request) Host() string {
	host, name, _ := strings.Cut(r.Image, "/")
	if name == "" {
		return ""
	}
	return strings.ToLower(host)
}

// response is an answer.
type response struct {
	Kind          string          `json:"kind"`
	APIVersion    string          `json:"apiVersion"`
	CacheKeyType  string          `json:"cacheKeyType"`
	CacheDuration string          `json:"cacheDuration"`
	Auth          map[string]auth `json:"auth"`
}

type auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Password is an answer's content.
type Password struct {
	User    string
	Secret  accounts.Secret
	Expires time.Time
}

// Answer writes the answer to a request. It may be used for every image of the
// host, for half of the time that the password has left, so that a pull that
// begins at the end of that has as much time again.
func (r Request) Answer(w io.Writer, p Password, now time.Time) error {
	left := max(0, p.Expires.Sub(now)/2).Truncate(time.Second)
	return json.NewEncoder(w).Encode(response{
		Kind: "CredentialProviderResponse", APIVersion: r.APIVersion,
		CacheKeyType: "Registry", CacheDuration: left.String(),
		Auth: map[string]auth{r.Host(): {p.User, p.Secret.Reveal()}},
	})
}
