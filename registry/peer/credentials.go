package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/remote"
)

// maxCredentials bounds a file, a variable and the answer of a program.
const maxCredentials = 64 << 10

// Static are credentials that are known.
func Static(user string, secret accounts.Secret) Credentials { return static{user, secret} }

type static struct {
	user   string
	secret accounts.Secret
}

func (s static) Login(context.Context) (string, accounts.Secret, error) {
	return s.user, s.secret, nil
}

// File are credentials from a file, which is read each time, so that they may be
// changed: "user:password", or JSON with the members username and accessToken, as
// ECR has them in Secrets Manager (Amazon ECR user guide, "Storing your upstream
// repository credentials in an AWS Secrets Manager secret").
func File(path string) Credentials { return file(path) }

type file string

func (f file) Login(context.Context) (string, accounts.Secret, error) {
	text, err := os.Open(string(f))
	if err != nil {
		return "", accounts.Secret{}, err
	}
	defer text.Close()
	return parsed("the file "+string(f), text)
}

// Environment are credentials from a variable of the environment, in the form of
// those of a file.
func Environment(name string) Credentials { return environment(name) }

type environment string

func (e environment) Login(context.Context) (string, accounts.Secret, error) {
	text, ok := os.LookupEnv(string(e))
	if !ok {
		return "", accounts.Secret{}, fmt.Errorf("the environment has no variable %s", string(e))
	}
	return parsed("the variable "+string(e), strings.NewReader(text))
}

// parsed reads credentials. Its errors show nothing of them.
func parsed(where string, from io.Reader) (string, accounts.Secret, error) {
	text, err := remote.ReadAll(from, maxCredentials)
	if err != nil {
		return "", accounts.Secret{}, fmt.Errorf("%s: %w", where, err)
	}
	user, secret, err := parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", accounts.Secret{}, fmt.Errorf("%s: %w", where, err)
	}
	return user, accounts.NewSecret(secret), nil
}

func parse(text string) (user, secret string, err error) {
	if !strings.HasPrefix(text, "{") {
		user, secret, _ = strings.Cut(text, ":")
	} else {
		var said struct{ Username, AccessToken string }
		if json.Unmarshal([]byte(text), &said) != nil {
			return "", "", errors.New("it is not the JSON of credentials")
		}
		user, secret = said.Username, said.AccessToken
	}
	if user == "" || secret == "" {
		return "", "", errors.New(`it holds neither "user:password" nor {"username": …, "accessToken": …}`)
	}
	return user, secret, nil
}
