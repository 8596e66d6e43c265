// Package ecrlogin asks a registry for a password as Amazon's tools do, by
// GetAuthorizationToken, and tries whether the password opens the registry.
package ecrlogin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Ask is what is asked of GetAuthorizationToken, where, and as whom.
type Ask struct {
	Endpoint    string // URL of the API
	Region      string // that the request is signed for
	RegistryID  string // account whose registry is meant; "" for the caller's
	Credentials aws.CredentialsProvider
	Now         time.Time // that the request is signed at
}

// Token is a user's name and password for a registry.
type Token struct {
	User     string
	Password accounts.Secret
	Expires  time.Time
	// Registry is the URL that the server says the password is for, which is
	// not always the one that it was asked for.
	Registry string
}

// The call (ECR API reference: GetAuthorizationToken).
const (
	target      = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
	contentType = "application/x-amz-json-1.1"
)

// maxAnswer is far more than an answer takes.
const maxAnswer = 1 << 20

// Token asks for a password.
func (c *Client) Token(ctx context.Context, ask Ask) (Token, error) {
	key, err := ask.Credentials.Retrieve(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("AWS credentials: %w", err)
	}
	req, err := signed(ctx, ask, key)
	if err != nil {
		return Token{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Token{}, fmt.Errorf("ask for a password: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Token{}, fmt.Errorf("ask %s for a password: %w", ask.Endpoint, err)
	}
	if resp.StatusCode != http.StatusOK {
		return Token{}, refusal(ask.Endpoint, resp.StatusCode, body)
	}
	token, err := readToken(body)
	if err != nil {
		return Token{}, fmt.Errorf("%s does not answer as ECR does: %w", ask.Endpoint, err)
	}
	return token, nil
}

// signed is the request with its signature.
func signed(ctx context.Context, ask Ask, key aws.Credentials) (*http.Request, error) {
	var say struct {
		RegistryIDs []string `json:"registryIds,omitempty"`
	}
	if ask.RegistryID != "" {
		say.RegistryIDs = []string{ask.RegistryID}
	}
	body, err := json.Marshal(say)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(ask.Endpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", target)
	return req, sign(ctx, key, ask.Region, req, body, ask.Now)
}

func sign(ctx context.Context, key aws.Credentials, region string, req *http.Request, body []byte, now time.Time) error {
	sum := sha256.Sum256(body)
	return v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), "ecr", region, now)
}

// Signer signs calls of ECR's API.
type Signer struct {
	Credentials aws.CredentialsProvider
	Region      string
}

// Sign signs a call, whose body is body whatever the request itself has.
func (s Signer) Sign(ctx context.Context, req *http.Request, body []byte, now time.Time) error {
	key, err := s.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("AWS credentials: %w", err)
	}
	return sign(ctx, key, s.Region, req, body, now)
}

// readToken reads an answer.
func readToken(body []byte) (Token, error) {
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string
			ExpiresAt          float64 // seconds since 1970
			ProxyEndpoint      string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Token{}, err
	}
	if len(answer.AuthorizationData) == 0 {
		return Token{}, errors.New("the answer holds no password")
	}
	data := answer.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return Token{}, errors.New("the answer holds no password") // and nothing of it is shown
	}
	expires := time.UnixMilli(int64(data.ExpiresAt * 1000))
	return Token{user, accounts.NewSecret(password), expires, data.ProxyEndpoint}, nil
}

// Refusal is an answer that is no password.
type Refusal struct {
	Endpoint string
	Status   int
	Code     string // such as "UnrecognizedClientException"; "" if the answer has none
	Message  string
}

// Error implements error.
func (e *Refusal) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s gives no password: status %d; is it a registry that knows Amazon's API?", e.Endpoint, e.Status)
	}
	return fmt.Sprintf("%s gives no password: %s: %s", e.Endpoint, e.Code, e.Message)
}

// Stranger says that the server does not know the key, or not its secret.
func (e *Refusal) Stranger() bool {
	return e.Code == "UnrecognizedClientException" || e.Code == "InvalidSignatureException"
}

// maxShown is how much of a server's own words is shown.
const maxShown = 300

func refusal(endpoint string, status int, body []byte) *Refusal {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // in any case of letters
	}
	_ = json.Unmarshal(body, &said) // what is not JSON has no code
	_, code, found := strings.Cut(said.Type, "#")
	if !found {
		code = said.Type
	}
	if len(said.Message) > maxShown {
		said.Message = said.Message[:maxShown] + "..."
	}
	return &Refusal{endpoint, status, code, said.Message}
}
