package stsapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/auth/stsapi"
	"github.com/seed-78150930/berth/storage/memory"
)

// recorded is a door that records, and what it recorded.
type recorded struct {
	testing.TB
	api   *stsapi.API
	trail *audit.Trail
	file  string
	key   sigv4test.Key
}

func newRecorded(t testing.TB, required bool) *recorded {
	t.Helper()
	r := &recorded{TB: t, file: filepath.Join(t.TempDir(), "audit.jsonl")}
	store, err := accounts.Open(t.Context(), accounts.Options{Index: memory.NewIndex(), SealingKey: bytes.Repeat([]byte{1}, 32)})
	r.must(err)
	verifier, err := credentials.New(credentials.Options{Accounts: store, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}})
	r.must(err)
	k, err := store.Create(t.Context(), account)
	r.must(err)
	r.key = sigv4test.Key{ID: k.ID, Secret: k.Secret.Reveal(), Region: "us-east-1", Service: "sts"}
	r.trail, err = audit.Open(audit.Options{File: r.file, Required: required})
	r.must(err)
	r.api, err = stsapi.New(stsapi.Options{Credentials: verifier, Authorizer: auth.RootOnly{}, Audit: r.trail})
	r.must(err)
	return r
}

func (r *recorded) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// ask sends a form, signed with a key unless that is zero.
func (r *recorded) ask(form string, key sigv4test.Key) *httptest.ResponseRecorder {
	r.Helper()
	q := httptest.NewRequestWithContext(r.Context(), "POST", "/", strings.NewReader(form))
	q.Host = "localhost:5000"
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key.ID != "" {
		key.Sign(q, form, time.Now())
	}
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, q)
	return w
}

// end closes the trail and returns all of its calls.
func (r *recorded) end() (all []map[string]any, text string) {
	r.Helper()
	r.must(r.trail.Close())
	content, err := os.ReadFile(r.file)
	r.must(err)
	lines := slices.Collect(strings.Lines(string(content)))
	for _, line := range lines[1 : len(lines)-1] { // but for those of the trail itself
		var record map[string]any
		r.must(json.Unmarshal([]byte(line), &record))
		all = append(all, record)
	}
	return all, string(content)
}

func TestCallsAreRecordedWithoutTheirSecrets(t *testing.T) {
	const planted = "planted-token-of-an-issuer"
	r := newRecorded(t, false)
	forged := r.key
	forged.Secret = "wrong"
	role := "arn:aws:iam::" + account + ":role/ci"
	r.ask("Action=GetCallerIdentity&Version=2011-06-15", r.key)
	session := r.ask("Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900&Password="+planted, r.key).Body.String()
	r.ask("Action=AssumeRole&Version=2011-06-15&RoleSessionName=run&ExternalId=outside&RoleArn="+role+"&Tags.member.1.Key=team&Tags.member.1.Value=a", r.key)
	r.ask("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=run&RoleArn="+role+"&WebIdentityToken="+planted, sigv4test.Key{})
	r.ask("Action=GetCallerIdentity&Version=2011-06-15", forged)
	forged.ID = "AKIANOBODY"
	r.ask("Action=GetSessionToken&Version=2011-06-15", forged)
	r.ask("Action=GetSessionToken&Version=2011-06-15&TokenCode="+planted, r.key)
	r.ask("Action="+planted+"&Version=2011-06-15", r.key)
	q := httptest.NewRequestWithContext(t.Context(), "GET", stsapi.ContainerPath, nil)
	q.RemoteAddr = "127.0.0.1:9"
	q.Header.Set("Authorization", r.key.ID+":"+r.key.Secret)
	r.api.Container().ServeHTTP(httptest.NewRecorder(), q)
	q.Header.Set("Authorization", r.key.ID+":"+planted)
	r.api.Container().ServeHTTP(httptest.NewRecorder(), q)
	all, text := r.end()
	var got []string
	for _, c := range all {
		code, _ := c["errorCode"].(string)
		got = append(got, fmt.Sprint(c["eventName"], " ", c["additionalEventData"].(map[string]any)["httpStatus"], " ", c["userIdentity"].(map[string]any)["type"], " ", code))
	}
	want := []string{
		"GetCallerIdentity 200 Root ",
		"GetSessionToken 200 Root ",
		"AssumeRole 403 Root AccessDenied",
		"AssumeRoleWithWebIdentity 400 AWSAccount InvalidIdentityToken",
		"GetCallerIdentity 403 Unknown SignatureDoesNotMatch",
		"GetSessionToken 403 Unknown InvalidClientTokenId",
		"GetSessionToken 403 Root AccessDenied",
		"UnknownOperation 400 Root InvalidAction",
		"GetSessionToken 200 Root ",
		"GetSessionToken 403 Unknown InvalidClientTokenId",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	parameters := map[string]any{"roleArn": role, "roleSessionName": "run", "externalId": "outside", "tags": []any{map[string]any{"key": "team", "value": "a"}}}
	if diff := cmp.Diff(parameters, all[2]["requestParameters"]); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{map[string]any{"ARN": role, "accountId": account, "type": "AWS::IAM::Role"}}, all[2]["resources"]); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	shown := all[1]["responseElements"].(map[string]any)["credentials"].(map[string]any)
	if !strings.Contains(session, "<AccessKeyId>"+shown["accessKeyId"].(string)) || shown["sessionToken"] != audit.Hidden {
		t.Errorf("%v shown of %s", shown, session)
	}
	for _, tag := range []string{"SecretAccessKey", "SessionToken"} {
		_, rest, _ := strings.Cut(session, "<"+tag+">")
		secret, _, _ := strings.Cut(rest, "</")
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("%s %q is in the records", tag, secret)
		}
	}
	if strings.Contains(strings.ReplaceAll(text, "Could not find operation "+planted, ""), planted) || strings.Contains(text, r.key.Secret) {
		t.Error("a secret is in the records")
	}
}

func TestCallThatCannotBeRecordedIsNotCarriedOut(t *testing.T) {
	r := newRecorded(t, true)
	r.must(r.trail.Close()) // a trail that is closed writes as little as one on a full disk
	if w := r.ask("Action=GetSessionToken&Version=2011-06-15", r.key); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "Secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	q := httptest.NewRequestWithContext(t.Context(), "GET", stsapi.ContainerPath, nil)
	q.RemoteAddr = "127.0.0.1:9"
	w := httptest.NewRecorder()
	r.api.Container().ServeHTTP(w, q)
	if text, _ := io.ReadAll(w.Body); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, text)
	}
}
