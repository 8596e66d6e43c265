package harness

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// A Key is an access key, in the form that `berth key create --json` prints.
type Key struct {
	AccessKeyId, SecretAccessKey, Account string
}

// Key is the one that `berth env` gives.
func (s *Server) Key(t testing.TB) Key {
	t.Helper()
	env := s.Env(t)
	return Key{AccessKeyId: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}
}

// CreateKey makes an access key for the root of an account, which exists from
// then on.
func (s *Server) CreateKey(t testing.TB, account string) Key {
	t.Helper()
	var key Key
	out := s.Shell(t).Run("berth", "key", "create", "--account", account, "--json")
	if err := json.Unmarshal([]byte(out), &key); err != nil {
		t.Fatalf("berth key create --json: %v", err)
	}
	return key
}

// ECR is Amazon's own client of s's JSON API, with the key that `berth env`
// gives.
func (s *Server) ECR(t testing.TB) *ecr.Client {
	t.Helper()
	return s.Client(s.Key(t))
}

// Client is Amazon's own client of s's JSON API. It never tries again, so that
// a test sees every answer.
func (s *Server) Client(key Key) *ecr.Client {
	return ecr.New(s.clientOptions(key))
}

func (s *Server) clientOptions(key Key) ecr.Options {
	return ecr.Options{
		BaseEndpoint: aws.String(s.URL()),
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(key.AccessKeyId, key.SecretAccessKey, ""),
		Retryer:      aws.NopRetryer{},
	}
}

// Password asks s for a registry password by GetAuthorizationToken.
func (s *Server) Password(t testing.TB) string {
	t.Helper()
	return s.PasswordOf(t, s.Key(t))
}

// PasswordOf is Password for the owner of a key.
func (s *Server) PasswordOf(t testing.TB, key Key) string {
	t.Helper()
	out, err := s.Client(key).GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	return PasswordIn(t, aws.ToString(out.AuthorizationData[0].AuthorizationToken))
}

// PasswordIn takes the password out of an authorization token.
func PasswordIn(t testing.TB, token string) string {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatalf("authorization token: %v", err)
	}
	password, ok := strings.CutPrefix(string(plain), "AWS:")
	if !ok {
		t.Fatal("authorization token: not AWS and a password")
	}
	return password
}

// CreateRepository makes a repository, and fails the test if it cannot.
func (s *Server) CreateRepository(t testing.TB, name string) {
	t.Helper()
	_, err := s.ECR(t).CreateRepository(context.Background(), &ecr.CreateRepositoryInput{RepositoryName: &name})
	if err != nil {
		t.Fatal(err)
	}
}
