package peer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/registry/remote"
)

// ECR says how to log in at a registry of Amazon's, or at one that has its API.
type ECR struct {
	// Client asks the API. It must be one of remote.New.
	Client *http.Client
	// Region is that of the registry, such as "eu-central-1".
	Region string
	// Endpoint is the URL of the API; "" means Amazon's of the region.
	Endpoint string
	// Key gives an AWS access key and its secret, as user and secret: File,
	// Environment, Helper and Static do.
	Key Credentials
	// SessionToken goes with a temporary key.
	SessionToken accounts.Secret
}

// The call (ECR API reference: GetAuthorizationToken; it says that a token holds for
// twelve hours, and for less if the key does).
const (
	ecrTarget = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
	ecrType   = "application/x-amz-json-1.1"
	ecrMargin = 5 * time.Minute // that it is renewed before its end
)

// NewECR are credentials by GetAuthorizationToken, signed with an AWS access key. A
// token is kept until shortly before it ends, unless the registry does not take it.
func NewECR(e ECR) (Credentials, error) {
	if e.Endpoint == "" {
		if e.Region == "" || strings.Trim(e.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, fmt.Errorf("%.40q is no region", e.Region)
		}
		e.Endpoint = "https://api.ecr." + e.Region + "." + suffix(e.Region)
	}
	base, err := parseBase(e.Endpoint)
	if err != nil || e.Client == nil || e.Key == nil || e.Region == "" {
		return nil, fmt.Errorf("ECR at %.100q: an address, a region, a client and a key are needed", e.Endpoint)
	}
	get := func(ctx context.Context) (login, error) { return e.ask(ctx, base) }
	return &kept{get: get, now: time.Now}, nil
}

// suffix is the domain of a region's services.
func suffix(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

func (e ECR) ask(ctx context.Context, base *url.URL) (login, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tokenTime, errTime)
	defer cancel()
	id, secret, err := e.Key.Login(ctx)
	if err != nil {
		return login{}, fmt.Errorf("the AWS key: %w", err)
	}
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+"/", bytes.NewReader(body))
	if err != nil {
		return login{}, err
	}
	req.Header.Set("Content-Type", ecrType)
	req.Header.Set("X-Amz-Target", ecrTarget)
	key := sigv4.Key{ID: id, Secret: secret.Reveal(), Token: e.SessionToken.Reveal(), Region: e.Region, Service: "ecr"}
	if err := key.Sign(req, body, time.Now()); err != nil {
		return login{}, err
	}
	req.Header.Set("User-Agent", "berth")
	return e.send(req)
}

func (e ECR) send(req *http.Request) (login, error) {
	answer, err := e.Client.Do(req)
	if err != nil {
		return login{}, failed(req, err)
	}
	defer answer.Body.Close()
	body, err := remote.ReadAll(answer.Body, maxCredentials)
	if err != nil {
		return login{}, failed(req, err)
	}
	if answer.StatusCode != http.StatusOK {
		return login{}, ecrRefusal(answer, body)
	}
	return readECR(req.URL.Host, body)
}

// ecrRefusal is an answer that is no token. ECR refuses keys with status 400, so what
// is not its own failure is a denial.
func ecrRefusal(answer *http.Response, body []byte) error {
	e := &Error{Host: answer.Request.URL.Host, Status: answer.StatusCode, Message: http.StatusText(answer.StatusCode)}
	e.RetryAfter, e.told = remote.RetryAfter(answer, time.Now())
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) == nil && said.Type != "" {
		e.Code, e.Message = line(said.Type[strings.LastIndexByte(said.Type, '#')+1:]), line(said.Message)
	}
	if e.Status < 500 && e.Status != http.StatusTooManyRequests && !strings.HasPrefix(e.Code, "Throttling") {
		e.cause = ErrDenied
	}
	return e
}

// readECR reads a token. Nothing of it is shown.
func readECR(host string, body []byte) (login, error) {
	var said struct {
		AuthorizationData []struct {
			AuthorizationToken string
			ExpiresAt          float64 // seconds since 1970
		}
	}
	if json.Unmarshal(body, &said) != nil || len(said.AuthorizationData) == 0 {
		return login{}, wrong(host, "the answer of ECR holds no token")
	}
	data := said.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, secret, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return login{}, wrong(host, "the answer of ECR holds no token")
	}
	ends := time.UnixMilli(int64(data.ExpiresAt * 1000))
	return login{user, accounts.NewSecret(secret), ends.Add(-ecrMargin)}, nil
}
