package accounts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
)

func TestParseRootPair(t *testing.T) {
	long := strings.Repeat("x", 128)
	tests := []struct {
		id, secret string
		ok         bool
	}{
		{"", "", true},
		{"abc", "12345678", true},
		{long, long, true},
		{"AKIAEXAMPLE", "with spaces, :/+= and ü", true},
		{"", "12345678", false},
		{"abc", "", false},
		{"ab", "12345678", false},
		{long + "x", "12345678", false},
		{"a-b", "12345678", false},
		{"abc\n", "12345678", false},
		{"äbc", "12345678", false},
		{"abc", "1234567", false},
		{"abc", long + "x", false},
	}
	for _, tt := range tests {
		k, err := accounts.ParseRootPair(tt.id, tt.secret)
		if (err == nil) != tt.ok {
			t.Errorf("ParseRootPair(%q, %q): %v", tt.id, tt.secret, err)
		}
		if tt.ok && (k.ID != tt.id || k.Secret.Reveal() != tt.secret || k.IsZero() != (tt.id == "")) {
			t.Errorf("ParseRootPair(%q, %q) = %+v", tt.id, tt.secret, k)
		}
		if err != nil && len(tt.secret) > 6 && strings.Contains(err.Error(), tt.secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func rootPair(t *testing.T, id, secret string) accounts.Static {
	t.Helper()
	k, err := accounts.ParseRootPair(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	k.Account = account
	return k
}

func TestStaticKeysHoldWhileSet(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, func(o *accounts.Options) { o.Static = []accounts.Static{rootPair(t, "admin", "sesame-open")} })
	k, err := s.Key(ctx, "admin")
	if err != nil || k.Secret.Reveal() != "sesame-open" || k.Account != account || !k.Active || !k.Static {
		t.Errorf("Key = %+v, %v", k, err)
	}
	if has, err := s.HasAccount(ctx, account); !has || err != nil {
		t.Errorf("HasAccount = %t, %v", has, err)
	}
	if _, made, err := s.EnsureRoot(ctx, account); made || err != nil {
		t.Errorf("EnsureRoot beside a root pair: %t, %v", made, err)
	}
	if err := s.Delete(ctx, "admin"); !errors.Is(err, accounts.ErrStatic) {
		t.Errorf("Delete: %v", err)
	}
	if keys, err := s.List(ctx); len(keys) != 0 || err != nil {
		t.Errorf("List = %+v, %v", keys, err)
	}

	s = open(t, index, nil)
	if _, err := s.Key(ctx, "admin"); !errors.Is(err, accounts.ErrNoKey) {
		t.Errorf("no longer set: %v", err)
	}
	if has, err := s.HasAccount(ctx, account); has || err != nil {
		t.Errorf("no longer set: HasAccount = %t, %v", has, err)
	}
}

func TestStaticKeyNeedsAnAccount(t *testing.T) {
	k := rootPair(t, "admin", "sesame-open")
	k.Account = ""
	_, err := accounts.Open(context.Background(), accounts.Options{Index: newIndex(t), SealingKey: sealingKey(1), Static: []accounts.Static{k}})
	if !errors.Is(err, accounts.ErrBadAccount) {
		t.Errorf("Open: %v", err)
	}
}

func TestDevKeys(t *testing.T) {
	ctx := context.Background()
	keys := []struct{ id, secret, account string }{
		{"test", "test", "000000000000"},
		{"testing", "testing", "123456789012"},
		{"210987654321", "test", "210987654321"},
	}
	dev := open(t, newIndex(t), func(o *accounts.Options) { o.Dev = true })
	plain := open(t, newIndex(t), nil)
	for _, want := range keys {
		k, err := dev.Key(ctx, want.id)
		if err != nil || k.Secret.Reveal() != want.secret || k.Account != want.account || !k.Active || !k.Static {
			t.Errorf("Key(%q) = %+v, %v", want.id, k, err)
		}
		if has, err := dev.HasAccount(ctx, want.account); !has || err != nil {
			t.Errorf("HasAccount(%q) = %t, %v", want.account, has, err)
		}
		if _, err := plain.Key(ctx, want.id); !errors.Is(err, accounts.ErrNoKey) {
			t.Errorf("Key(%q) of a server that is no development server: %v", want.id, err)
		}
	}
	if _, err := dev.Key(ctx, "21098765432"); !errors.Is(err, accounts.ErrNoKey) {
		t.Errorf("eleven digits: %v", err)
	}
	if _, made, err := dev.EnsureRoot(ctx, "000000000000"); made || err != nil {
		t.Errorf("EnsureRoot of a development server: %t, %v", made, err)
	}
}

func TestMark(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	with := func(secret string) *accounts.Store {
		return open(t, index, func(o *accounts.Options) { o.Static = []accounts.Static{rootPair(t, "admin", secret)} })
	}
	mark := func(s *accounts.Store, id string) string {
		t.Helper()
		k, err := s.Key(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return k.Mark
	}
	s := with("sesame-open")
	before := mark(s, "admin")
	if before == "" || before != mark(with("sesame-open"), "admin") || before == mark(with("sesame-shut"), "admin") {
		t.Errorf("mark %q does not go with the secret", before)
	}
	k, err := s.Create(ctx, account)
	if err != nil || mark(s, k.ID) != "" {
		t.Errorf("mark of a stored key %q, %v", mark(s, k.ID), err)
	}
	if err := s.RevokeKey(ctx, k.ID); err != nil || mark(s, k.ID) == "" {
		t.Errorf("mark of a revoked key %q, %v", mark(s, k.ID), err)
	}
}

func TestSecretHides(t *testing.T) {
	const plain = "sesame-open"
	secret := accounts.NewSecret(plain)
	type outer struct{ inner accounts.Secret }
	type holder struct{ Secret accounts.Secret }
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "secret", secret, "key", accounts.Key{Secret: secret})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "key", accounts.Key{Secret: secret}, "outer", outer{secret})
	shown := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		shown += fmt.Sprintf(verb, secret) + fmt.Sprintf(verb, &secret) + fmt.Sprintf(verb, outer{secret}) + fmt.Sprintf(verb, accounts.Key{Secret: secret})
	}
	shown += secret.String() + secret.GoString()
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		text, err := marshal(holder{secret})
		if err != nil {
			t.Error(err)
		}
		shown += string(text)
	}
	if strings.Contains(shown, plain) || strings.Contains(shown, fmt.Sprintf("%x", plain)) {
		t.Errorf("the secret shows: %s", shown)
	}
	if secret.Reveal() != plain || (accounts.Secret{}).Reveal() != "" {
		t.Error("Reveal does not give the secret")
	}
}
