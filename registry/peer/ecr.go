package peer

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// ECR says how the API of a registry of Amazon's is asked, or that of one that has
// the same.
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
	// Sign signs a request, whose body is given too, in place of Key and SessionToken;
	// nil means that those do.
	Sign func(ctx context.Context, req *http.Request, body []byte, now time.Time) error
}

// ecrMargin is how long before its end a token is renewed. It holds for twelve hours,
// and for less if the key does (ECR API reference: GetAuthorizationToken).
const ecrMargin = 5 * time.Minute

// NewECR are credentials by GetAuthorizationToken, signed with an AWS access key. A
// token is kept until shortly before it ends, unless the registry does not take it.
func NewECR(e ECR) (Credentials, error) {
	api, err := NewECRAPI(e)
	if err != nil {
		return nil, err
	}
	return api.Credentials(), nil
}

// Credentials are those that the API gives for its registry, as those of NewECR.
func (a *ECRAPI) Credentials() Credentials { return &kept{get: a.token, now: time.Now} }

// token asks for a token. ECR refuses keys with status 400 and many a name, so what
// is not its own failure is a denial.
func (a *ECRAPI) token(ctx context.Context) (login, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tokenTime, errTime)
	defer cancel()
	var said tokenAnswer
	err := a.Call(ctx, "GetAuthorizationToken", nil, &said)
	refused := new(Error)
	if errors.As(err, &refused) && refused.Status >= 400 && !errors.Is(err, ErrTooMany) && !errors.Is(err, ErrUnavailable) {
		refused.cause = ErrDenied
	}
	if err != nil {
		return login{}, err
	}
	return said.login(a.sender.base.Host)
}

// tokenAnswer is what GetAuthorizationToken says. Nothing of it is shown.
type tokenAnswer struct {
	AuthorizationData []struct {
		AuthorizationToken string
		ExpiresAt          float64 // seconds since 1970
	}
}

func (said tokenAnswer) login(host string) (login, error) {
	if len(said.AuthorizationData) == 0 {
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
