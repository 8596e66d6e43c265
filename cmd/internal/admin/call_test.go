package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/storage/memory"
)

// newClerk answers over an empty store.
func newClerk(t *testing.T) *admin.Clerk {
	t.Helper()
	index := memory.NewIndex()
	t.Cleanup(func() { _ = index.Close() })
	store, err := accounts.Open(t.Context(), accounts.Options{Index: index, SealingKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return &admin.Clerk{Accounts: store, Account: "123456789012", Region: "us-east-1"}
}

// desk is a server of which nothing is asked but calls.
type desk struct {
	scripted
	*admin.Clerk
}

func (d desk) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	return d.Clerk.Call(ctx, name, question)
}

// TestCallsOverTheSocket asks a real clerk, and directly: the answers are the same.
func TestCallsOverTheSocket(t *testing.T) {
	clerk := newClerk(t)
	client := serve(t, admin.InFolder(t.TempDir()), &desk{Clerk: clerk})
	made, err := admin.CreateUser.Ask(t.Context(), client, admin.NewUser{
		Named: admin.Named{Name: "ada"}, Path: "/a&b/", Tags: map[string]string{"<k>": "v"},
		PermissionsBoundary: "AmazonEC2ContainerRegistryPowerUser", Password: admin.Show(accounts.NewSecret("correct horse")),
	})
	if err != nil || made.Account != "123456789012" || made.ARN != "arn:aws:iam::123456789012:user/a&b/ada" || !made.HasPassword ||
		made.PermissionsBoundary != "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser" {
		t.Fatalf("made %+v, %v", made, err)
	}
	if _, err := clerk.Accounts.CheckPassword(t.Context(), "123456789012", "ada", accounts.NewSecret("correct horse")); err != nil {
		t.Errorf("the password did not come through: %v", err)
	}
	key, err := admin.CreateKey.Ask(t.Context(), client, admin.OfUser{User: "ada"})
	if err != nil || len(key.Secret.Reveal()) != 40 || key.User != "ada" {
		t.Errorf("key %+v, %v", key, err)
	}
	keys, err := admin.ListKeys.Ask(t.Context(), client, admin.OfUser{User: "ada"})
	if err != nil || len(keys) != 1 || keys[0].ID != key.ID || !keys[0].Secret.IsZero() {
		t.Errorf("keys %+v, %v", keys, err)
	}
	for _, q := range []admin.OfUser{{User: "bob"}, {Account: "210987654321"}, {Account: "210987654321", User: "ada"}} {
		if keys, err := admin.ListKeys.Ask(t.Context(), client, q); err != nil || len(keys) != 0 {
			t.Errorf("keys of %+v: %+v, %v", q, keys, err)
		}
	}
}

func TestRefusalsSayWhatTheyAreAbout(t *testing.T) {
	client := serve(t, admin.InFolder(t.TempDir()), &desk{Clerk: newClerk(t)})
	_, err := admin.ShowUser.Ask(t.Context(), client, admin.Named{Name: "eve"})
	_, err2 := admin.AttachPolicy.Ask(t.Context(), client, admin.Given{Named: admin.Named{Name: "eve"}, Kind: accounts.HolderRole, Policy: "none"})
	for want, err := range map[string]error{"eve: accounts: no such user": err, "none of role eve: accounts: no such policy": err2} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := client.Call(t.Context(), "fly-to/the moon", []byte("{}")); err == nil || !strings.Contains(err.Error(), admin.ErrNoCall.Error()) {
		t.Errorf("a call of another version: %v", err)
	}
}

func TestRefusalsHaveTheirStatus(t *testing.T) {
	statuses := map[int][]error{
		http.StatusNotFound: {
			accounts.ErrNoUser, accounts.ErrNoGroup, accounts.ErrNoRole, accounts.ErrNoPolicy, accounts.ErrNoKey, accounts.ErrNoRobot,
			accounts.ErrNoProvider, admin.ErrNoCall,
		},
		http.StatusConflict:   {accounts.ErrExists, accounts.ErrInUse, accounts.ErrDeclared},
		http.StatusBadRequest: {accounts.ErrInvalid, accounts.ErrLimit, accounts.ErrBadAccount, accounts.ErrStatic, admin.ErrNoPrincipal, badPolicy(t)},

		http.StatusInternalServerError: {errors.New("the disk is gone")},
	}
	for want, list := range statuses {
		for _, refusal := range list {
			w := httptest.NewRecorder()
			h := admin.Handler(&scripted{err: fmt.Errorf("about it: %w", refusal)})
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/calls/create-user", strings.NewReader("{}")))
			if w.Code != want || !strings.Contains(w.Body.String(), refusal.Error()) {
				t.Errorf("%v: status %d, want %d; %s", refusal, w.Code, want, w.Body)
			}
		}
	}
}

func badPolicy(t *testing.T) error {
	t.Helper()
	_, err := policy.ParseIdentity("{}")
	if err == nil {
		t.Fatal("an empty policy is one")
	}
	return err
}

// TestShownSecretsHide prints a new key in every way but that of the socket.
func TestShownSecretsHide(t *testing.T) {
	k := admin.Key{ID: "AKIA1", Secret: admin.Show(accounts.NewSecret("sesame"))}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%q", k.Secret), fmt.Sprint(&k.Secret)} {
		if strings.Contains(text, "sesame") {
			t.Errorf("shown as %s", text)
		}
	}
	wire, err := json.Marshal(k)
	if err != nil || !strings.Contains(string(wire), `"SecretAccessKey":"sesame"`) {
		t.Errorf("over the socket: %s, %v", wire, err)
	}
	if text, err := k.Secret.MarshalText(); err != nil || strings.Contains(string(text), "sesame") {
		t.Errorf("as text: %s, %v", text, err)
	}
	var back admin.Key
	if err := json.Unmarshal(wire, &back); err != nil || back.Secret.Reveal() != "sesame" {
		t.Errorf("from the socket: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"SecretAccessKey":{"sesame":1}}`), &back); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("of a secret that is none: %v", err)
	}
}
