package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/remote"
)

// The calls (ECR API reference, "Making Requests": AWS JSON 1.1).
const (
	ecrPrefix = "AmazonEC2ContainerRegistry_V20150921."
	ecrType   = "application/x-amz-json-1.1"
)

// ECRAPI asks ECR's JSON API. Its methods may be called side by side.
type ECRAPI struct {
	ecr    ECR
	sender *sender // knows when ECR wants to be left alone
}

// NewECRAPI makes what asks an API. It asks nothing yet.
func NewECRAPI(e ECR) (*ECRAPI, error) {
	if e.Endpoint == "" {
		if e.Region == "" || strings.Trim(e.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, fmt.Errorf("%.40q is no region", e.Region)
		}
		e.Endpoint = "https://api.ecr." + e.Region + "." + endpoint.Suffix(e.Region)
	}
	base, err := parseBase(e.Endpoint)
	if err != nil || e.Client == nil || e.Key == nil && e.Sign == nil || e.Region == "" {
		return nil, fmt.Errorf("ECR at %.100q: an address, a region, a client and a key are needed", e.Endpoint)
	}
	if e.Sign == nil {
		e.Sign = e.sign
	}
	return &ECRAPI{ecr: e, sender: newSender(base, e.Client)}, nil
}

// sign signs with Key.
func (e ECR) sign(ctx context.Context, req *http.Request, body []byte, now time.Time) error {
	id, secret, err := e.Key.Login(ctx)
	if err != nil {
		return fmt.Errorf("the AWS key: %w", err)
	}
	key := sigv4.Key{ID: id, Secret: secret.Reveal(), Token: e.SessionToken.Reveal(), Region: e.Region, Service: "ecr"}
	return key.Sign(req, body, now)
}

// Call calls an operation, such as "CreateRepository", with a value that is its JSON
// input (nil for none), and reads its output into what out points to (nil drops it).
// A refusal is an *Error whose Code is the name of the exception, such as
// "RepositoryAlreadyExistsException"; one that ends in "NotFoundException" is
// ErrNotFound, one of permission ErrDenied, and of throttling ErrTooMany: a Patient
// context has the call made again after as long as ECR says, or else a little longer
// each time. Nothing else is called twice.
func (a *ECRAPI) Call(ctx context.Context, operation string, in, out any) error {
	body := []byte("{}")
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s: %w", operation, err)
		}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	left := patience(ctx)
	for tries := 1; ; tries++ {
		err := a.once(ctx, operation, body, out, &left)
		slowed(err, tries)
		if err == nil || !a.sender.postponed(err) || tries == maxTries || !a.sender.mayWait(left) {
			return err
		}
	}
}

// slowed says in an error of throttling how long to wait, if ECR did not, as it never
// does.
func slowed(err error, tries int) {
	if e := new(Error); errors.As(err, &e) && errors.Is(err, ErrTooMany) && !e.told {
		e.RetryAfter, e.told = 250*time.Millisecond<<tries, true
	}
}

// once makes a call, which is signed when it is sent.
func (a *ECRAPI) once(ctx context.Context, operation string, body []byte, out any, left *time.Duration) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.sender.base.String()+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := a.sender.wait(req, left); err != nil {
		return err
	}
	req.Header.Set("Content-Type", ecrType)
	req.Header.Set("X-Amz-Target", ecrPrefix+operation)
	if err := a.ecr.Sign(ctx, req, body, a.sender.now()); err != nil {
		return err
	}
	req.Header.Set("User-Agent", "berth")
	answer, err := a.ecr.Client.Do(req)
	if err != nil {
		return failed(req, err)
	}
	defer answer.Body.Close()
	said, err := remote.ReadAll(answer.Body, maxList)
	switch {
	case errors.Is(err, remote.ErrTooLong):
		return wrong(req.URL.Host, "the answer to %s is too long", operation)
	case err != nil:
		return failed(req, err)
	case answer.StatusCode != http.StatusOK:
		return ecrRefusal(answer, said, a.sender.now())
	case out != nil && json.Unmarshal(said, out) != nil:
		return wrong(req.URL.Host, "the answer to %s is not ECR's", operation)
	}
	return nil
}

// What exceptions mean (ECR API reference, "Common Errors"; all come with status 400).
var (
	denials = []string{
		"AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired", "UnrecognizedClientException", "InvalidClientTokenId",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException", "ExpiredTokenException", "RequestExpired",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException",
	}
	throttles = []string{"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
)

// ecrRefusal reads what ECR refuses.
func ecrRefusal(answer *http.Response, body []byte, now time.Time) error {
	e := &Error{Host: answer.Request.URL.Host, Status: answer.StatusCode, Message: http.StatusText(answer.StatusCode)}
	e.RetryAfter, e.told = remote.RetryAfter(answer, now)
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) == nil && said.Type != "" {
		e.Code, e.Message = line(said.Type[strings.LastIndexByte(said.Type, '#')+1:]), line(said.Message)
	}
	switch {
	case slices.Contains(throttles, e.Code):
		e.cause = ErrTooMany
	case slices.Contains(denials, e.Code):
		e.cause = ErrDenied
	case strings.HasSuffix(e.Code, "NotFoundException"):
		e.cause = ErrNotFound
	}
	return e
}

// Code is the registry's own word for what it refuses, such as "MANIFEST_UNKNOWN" or
// "RepositoryAlreadyExistsException"; "" if an error is no refusal or has none.
func Code(err error) string {
	if e := new(Error); errors.As(err, &e) {
		return e.Code
	}
	return ""
}
