package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const (
	homeAccount = "000000000000"
	ciRole      = "arn:aws:iam::000000000000:role/ci"
)

// trusting is a server that takes tokens of issuers on 127.0.0.1.
func trusting(t *testing.T) *harness.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "berth.yml")
	makeFile(t, file, "egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}\n")
	return harness.Start(t, "--config", file)
}

// makeRole makes a role that may push.
func makeRole(t *testing.T, sh *harness.Shell, name, trust string) {
	t.Helper()
	sh.RunInput(strings.NewReader(trust), "berth", "role", "create", name, "--trust", "-", "--max-session", "2h")
	sh.Run("berth", "role", "attach", name, "AmazonEC2ContainerRegistryPowerUser")
}

// makeUser makes a user with a key, and a policy of its own.
func makeUser(t *testing.T, sh *harness.Shell, name, policy string) harness.Key {
	t.Helper()
	var made struct{ AccessKey harness.Key }
	if err := json.Unmarshal([]byte(sh.Run("berth", "user", "create", name, "--with-key", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	sh.RunInput(strings.NewReader(policy), "berth", "user", "put-policy", name, "own", "-")
	return made.AccessKey
}

const mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::000000000000:role/*"}]}`

// Profiles of the AWS CLI with source_profile and role_arn act as roles, and the
// password of a role's session pushes.
func TestAWSCLICraneProfiles(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	key := makeUser(t, sh, "jo", mayAssume)
	makeRole(t, sh, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+homeAccount+`"},
		"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x-1"}}}]}`)
	makeRole(t, sh, "second", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+ciRole+`"},"Action":"sts:AssumeRole"}]}`)
	makeFile(t, sh.Var("AWS_CONFIG_FILE"), fmt.Sprintf(`
[profile jo]
region = us-east-1
[profile ci]
region = us-east-1
role_arn = %[1]s
source_profile = jo
external_id = x-1
duration_seconds = 900
role_session_name = run-1
[profile wrong]
region = us-east-1
role_arn = %[1]s
source_profile = jo
external_id = x-2
[profile second]
region = us-east-1
role_arn = arn:aws:iam::000000000000:role/second
source_profile = ci
role_session_name = run-2
`, ciRole))
	makeFile(t, sh.Var("AWS_SHARED_CREDENTIALS_FILE"), fmt.Sprintf("[jo]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key.AccessKeyId, key.SecretAccessKey))
	sh.Set("AWS_ENDPOINT_URL", s.URL())
	who := func(profile string) string {
		return sh.Run("aws", "--profile", profile, "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
	}
	for profile, want := range map[string]string{
		"jo": "arn:aws:iam::000000000000:user/jo", "ci": "arn:aws:sts::000000000000:assumed-role/ci/run-1",
		"second": "arn:aws:sts::000000000000:assumed-role/second/run-2",
	} {
		if got := who(profile); got != want {
			t.Errorf("profile %s is %s, want %s", profile, got, want)
		}
	}
	if said := sh.Refused("aws", "--profile", "wrong", "sts", "get-caller-identity"); !strings.Contains(said, "(AccessDenied)") ||
		!strings.Contains(said, "is not authorized to perform: sts:AssumeRole on resource: "+ciRole) {
		t.Errorf("with a wrong external id it said:\n%s", said)
	}
	if said := sh.Refused("aws", "--profile", "jo", "ecr", "create-repository", "--repository-name", "team/app"); !strings.Contains(said, "AccessDeniedException") {
		t.Errorf("the user alone made a repository:\n%s", said)
	}
	s.CreateRepository(t, "team/app")
	pushAs(t, sh, s, `aws --profile second ecr get-login-password`, "team/app:1.0", 60)

	sh.Run("berth", "role", "revoke", "ci")
	if said := sh.Refused("crane", "digest", s.Host+"/team/app:1.0"); !strings.Contains(said, "UNAUTHORIZED") {
		t.Errorf("a password of a role's revoked session:\n%s", said)
	}
}

// pushAs logs crane in by the password that a command prints, and pushes an image.
func pushAs(t *testing.T, sh *harness.Shell, s *harness.Server, password, ref string, seed uint64) {
	t.Helper()
	image := dockerImage(t, seed)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	sh.Script(password + ` | crane auth login -u AWS --password-stdin ` + s.Host)
	sh.Run("crane", "push", layout, s.Host+"/"+ref)
	if got := sh.Run("crane", "digest", s.Host+"/"+ref); got != image.Digest().String() {
		t.Errorf("%s is %s, want %s", ref, got, image.Digest())
	}
}

// webIssuer is a provider of web identities.
type webIssuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

// newIssuer starts a provider, has the server trust it, and makes the role ci, which
// trusts the jobs of a repository.
func newIssuer(t *testing.T, sh *harness.Shell) *webIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &webIssuer{key: key}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	sh.Run("berth", "provider", "create", i.URL, "--client-id", "sts.amazonaws.com")
	name := strings.TrimPrefix(i.URL, "http://")
	makeRole(t, sh, "ci", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
		"StringEquals":{"%[2]s:aud":"sts.amazonaws.com","%[2]s:repository":"team/app"},"StringLike":{"%[2]s:sub":"repo:team/app:*"}}}]}`, homeAccount, name))
	return i
}

// ServeHTTP answers as a provider does (OpenID Connect Discovery 1.0; RFC 7517).
func (i *webIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/keys" {
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		return
	}
	public, err := i.key.PublicKey.Bytes() // 4, and two coordinates
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	raw := base64.RawURLEncoding
	json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig", "x": raw.EncodeToString(public[1:33]), "y": raw.EncodeToString(public[33:]),
	}}})
}

// token is a file with a token of a job of a repository (RFC 7515, appendix A.3).
func (i *webIssuer) token(t *testing.T, repository string) (file string) {
	t.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": "sts.amazonaws.com", "sub": "repo:" + repository + ":ref:refs/heads/main", "repository": repository,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding
	text := raw.EncodeToString([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + raw.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	file = filepath.Join(t.TempDir(), "token")
	makeFile(t, file, text+"."+raw.EncodeToString(signature))
	return file
}

// A token of a provider is exchanged by the AWS CLI for a role's session, which
// pushes: by the command, and by the variables that CI systems and clusters set.
func TestAWSCLICraneWebIdentity(t *testing.T) {
	s := trusting(t)
	sh := s.Shell(t)
	i := newIssuer(t, sh)
	s.CreateRepository(t, "team/app")
	sh.Set("AWS_ENDPOINT_URL", s.URL())
	sh.Set("AWS_DEFAULT_REGION", harness.Region)

	exchange := []string{"sts", "assume-role-with-web-identity", "--role-arn", ciRole, "--role-session-name", "job-7", "--output", "json"}
	var got struct {
		Credentials                                     struct{ AccessKeyId, SecretAccessKey, SessionToken string }
		SubjectFromWebIdentityToken, Audience, Provider string
		AssumedRoleUser                                 struct{ Arn string }
	}
	out := sh.Run("aws", append(exchange, "--web-identity-token", "file://"+i.token(t, "team/app"))...)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.AssumedRoleUser.Arn != "arn:aws:sts::000000000000:assumed-role/ci/job-7" || got.Audience != "sts.amazonaws.com" ||
		got.SubjectFromWebIdentityToken != "repo:team/app:ref:refs/heads/main" || !strings.HasSuffix(got.Provider, ":oidc-provider/"+strings.TrimPrefix(i.URL, "http://")) {
		t.Errorf("%s", out)
	}
	by := fmt.Sprintf("AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_SESSION_TOKEN=%s ", got.Credentials.AccessKeyId, got.Credentials.SecretAccessKey, got.Credentials.SessionToken)
	pushAs(t, sh, s, by+"aws ecr get-login-password", "team/app:1.0", 61)

	said := sh.Refused("aws", append(exchange, "--web-identity-token", "file://"+i.token(t, "team/other"))...)
	if !strings.Contains(said, "(AccessDenied)") || !strings.Contains(said, "Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("another repository's job: %s", said)
	}
	sh.Set("AWS_ROLE_ARN", ciRole)
	sh.Set("AWS_ROLE_SESSION_NAME", "pod-1")
	sh.Set("AWS_WEB_IDENTITY_TOKEN_FILE", i.token(t, "team/app"))
	pushAs(t, sh, s, "aws ecr get-login-password", "team/app:1.1", 62)
}

// Amazon's SDK for Go finds the token by the variables that clusters set for pods. It
// looks for the way to STS before it reads AWS_ENDPOINT_URL.
func TestSDKWebIdentity(t *testing.T) {
	s := trusting(t)
	sh := s.Shell(t)
	i := newIssuer(t, sh)
	s.CreateRepository(t, "team/app")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL(), "AWS_ENDPOINT_URL_STS": s.URL(), "AWS_REGION": harness.Region, "AWS_ROLE_ARN": ciRole, "AWS_ROLE_SESSION_NAME": "pod-2",
		"AWS_WEB_IDENTITY_TOKEN_FILE": i.token(t, "team/app"), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": sh.Var("AWS_CONFIG_FILE"), "AWS_SHARED_CREDENTIALS_FILE": sh.Var("AWS_SHARED_CREDENTIALS_FILE"),
	} {
		t.Setenv(name, value)
	}
	wantSDK(t, "arn:aws:sts::000000000000:assumed-role/ci/pod-2")
}

// wantSDK has the SDK say who it is, and list images.
func wantSDK(t *testing.T, arn string) {
	t.Helper()
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(who.Arn); got != arn {
		t.Errorf("the SDK is %s, want %s", got, arn)
	}
	if _, err := ecr.NewFromConfig(c).ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("team/app")}); err != nil {
		t.Error(err)
	}
}

// containerVars point tools at the endpoint for container credentials.
func containerVars(s *harness.Server, key harness.Key, query string) map[string]string {
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL() + "/container-credentials" + query, "AWS_ENDPOINT_URL": s.URL(),
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": key.AccessKeyId + ":" + key.SecretAccessKey, "AWS_REGION": harness.Region,
		"AWS_DEFAULT_REGION": harness.Region, "AWS_EC2_METADATA_DISABLED": "true",
	}
}

// The AWS CLI gets temporary keys, as it does in a container, of a user and of a
// role.
func TestAWSCLIContainerCredentials(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	key := makeUser(t, sh, "jo", mayAssume)
	makeRole(t, sh, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+homeAccount+`"},"Action":"sts:AssumeRole"}]}`)
	for query, want := range map[string]string{
		"": "arn:aws:iam::000000000000:user/jo", "?role=" + ciRole: "arn:aws:sts::000000000000:assumed-role/ci/container-jo",
	} {
		for name, value := range containerVars(s, key, query) {
			sh.Set(name, value)
		}
		if got := sh.Run("aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"); got != want {
			t.Errorf("with %q it is %s, want %s", query, got, want)
		}
	}
	sh.Set("AWS_CONTAINER_AUTHORIZATION_TOKEN", key.AccessKeyId+":wrong")
	if said := sh.Refused("aws", "sts", "get-caller-identity"); strings.Contains(said, "arn:aws") {
		t.Errorf("with a wrong secret: %s", said)
	}
}

// Amazon's SDK for Go does the same.
func TestSDKContainerCredentials(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	key := makeUser(t, sh, "jo", mayAssume)
	makeRole(t, sh, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+homeAccount+`"},"Action":"sts:AssumeRole"}]}`)
	for name, value := range containerVars(s, key, "?role="+ciRole) {
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONFIG_FILE", sh.Var("AWS_CONFIG_FILE"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", sh.Var("AWS_SHARED_CREDENTIALS_FILE"))
	wantSDK(t, "arn:aws:sts::000000000000:assumed-role/ci/container-jo")
}
