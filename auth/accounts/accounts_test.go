package accounts_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const account = "123456789012"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sealingKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func open(t *testing.T, index storage.Index, change func(*accounts.Options)) *accounts.Store {
	t.Helper()
	o := accounts.Options{Index: index, SealingKey: sealingKey(1), Now: func() time.Time { return start }}
	if change != nil {
		change(&o)
	}
	s, err := accounts.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newIndex(t *testing.T) storage.Index {
	t.Helper()
	index := memory.NewIndex()
	t.Cleanup(func() { index.Close() })
	return index
}

func create(t *testing.T, s *accounts.Store, account string) accounts.Key {
	t.Helper()
	k, err := s.Create(context.Background(), account)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCreate(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, nil)
	k := create(t, s, account)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(k.ID) {
		t.Errorf("key id %q", k.ID)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]{40}$`).MatchString(k.Secret.Reveal()) {
		t.Errorf("a secret of %d characters", len(k.Secret.Reveal()))
	}
	if k.Account != account || !k.CreatedAt.Equal(start) || !k.Active || k.Static {
		t.Errorf("Create = %+v", k)
	}
	reopened := open(t, index, nil)
	got, err := reopened.Key(ctx, k.ID)
	if err != nil || got.Secret.Reveal() != k.Secret.Reveal() || got.Account != account || !got.Active {
		t.Errorf("Key after reopening = %+v, %v", got, err)
	}
	if other := create(t, s, account); other.ID == k.ID || other.Secret.Reveal() == k.Secret.Reveal() {
		t.Error("two keys alike")
	}
}

func TestBadAccounts(t *testing.T) {
	s := open(t, newIndex(t), nil)
	for _, bad := range []string{"", "12345678901", "1234567890123", "12345678901x", "12345678901\n", "١٢٣٤٥٦٧٨٩٠١٢"} {
		if _, err := s.Create(context.Background(), bad); !errors.Is(err, accounts.ErrBadAccount) {
			t.Errorf("Create(%q): %v", bad, err)
		}
		if has, err := s.HasAccount(context.Background(), bad); has || err != nil {
			t.Errorf("HasAccount(%q) = %t, %v", bad, has, err)
		}
	}
}

func TestNoSuchKey(t *testing.T) {
	ctx := context.Background()
	s := open(t, newIndex(t), nil)
	for _, id := range []string{"", "AKIAABSENT", "a\x00b", "../x", "test", account, strings.Repeat("A", 2000)} {
		if _, err := s.Key(ctx, id); !errors.Is(err, accounts.ErrNoKey) {
			t.Errorf("Key(%.20q): %v", id, err)
		}
		if err := s.Delete(ctx, id); !errors.Is(err, accounts.ErrNoKey) {
			t.Errorf("Delete(%.20q): %v", id, err)
		}
		if err := s.SetActive(ctx, id, true); !errors.Is(err, accounts.ErrNoKey) {
			t.Errorf("SetActive(%.20q): %v", id, err)
		}
	}
}

func TestAccountExistsOnceItHasAKey(t *testing.T) {
	ctx := context.Background()
	s := open(t, newIndex(t), nil)
	exists := func(want bool) {
		t.Helper()
		if has, err := s.HasAccount(ctx, account); has != want || err != nil {
			t.Errorf("HasAccount = %t, %v; want %t", has, err, want)
		}
	}
	exists(false)
	k := create(t, s, account)
	exists(true)
	if has, err := s.HasAccount(ctx, "000000000000"); has || err != nil {
		t.Errorf("another account exists: %t, %v", has, err)
	}
	if err := s.Delete(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	exists(false)
	if _, err := s.Key(ctx, k.ID); !errors.Is(err, accounts.ErrNoKey) {
		t.Errorf("a deleted key: %v", err)
	}
}

func TestSetActive(t *testing.T) {
	ctx := context.Background()
	s := open(t, newIndex(t), nil)
	k := create(t, s, account)
	for _, active := range []bool{false, true} {
		if err := s.SetActive(ctx, k.ID, active); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Key(ctx, k.ID); err != nil || got.Active != active || got.Secret.Reveal() != k.Secret.Reveal() {
			t.Errorf("after SetActive(%t): %+v, %v", active, got, err)
		}
	}
}

func TestList(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, nil)
	const n = 1001 // more than two pages
	made := map[string]bool{}
	for range n {
		made[create(t, s, account).ID] = true
	}
	keys, err := s.List(ctx)
	if err != nil || len(keys) != n {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for i, k := range keys {
		if !made[k.ID] || k.Secret.Reveal() != "" || i > 0 && keys[i-1].ID >= k.ID {
			t.Fatalf("key %d: %+v", i, k)
		}
	}
}

func TestEnsure(t *testing.T) {
	ctx := context.Background()
	s := open(t, newIndex(t), nil)
	create(t, s, account)
	first, made, err := s.Ensure(ctx, account, "berth env")
	if err != nil || !made || first.Description != "berth env" {
		t.Fatalf("Ensure = %+v, %t, %v", first, made, err)
	}
	again, made, err := s.Ensure(ctx, account, "berth env")
	if err != nil || made || again.ID != first.ID || again.Secret.Reveal() != first.Secret.Reveal() {
		t.Errorf("again = %+v, %t, %v", again, made, err)
	}
	if other, made, err := s.Ensure(ctx, "000000000000", "berth env"); err != nil || !made || other.ID == first.ID {
		t.Errorf("of another account = %+v, %t, %v", other, made, err)
	}
	if err := s.SetActive(ctx, first.ID, false); err != nil {
		t.Fatal(err)
	}
	if k, made, err := s.Ensure(ctx, account, "berth env"); err != nil || !made || k.ID == first.ID {
		t.Errorf("after the first went inactive = %+v, %t, %v", k, made, err)
	}
}

func TestEnsureRoot(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var roots []accounts.Key
	for range 8 {
		wg.Go(func() {
			k, made, err := s.EnsureRoot(ctx, account)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if made {
				roots = append(roots, k)
			}
		})
	}
	wg.Wait()
	if len(roots) != 1 || roots[0].Secret.Reveal() == "" {
		t.Fatalf("%d root keys were made", len(roots))
	}
	if err := s.Delete(ctx, roots[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, made, err := s.EnsureRoot(ctx, account); err != nil || !made {
		t.Errorf("after the last key went: made %t, %v", made, err)
	}
	if _, _, err := s.EnsureRoot(ctx, "x"); !errors.Is(err, accounts.ErrBadAccount) {
		t.Errorf("of no account: %v", err)
	}
}

func TestSecretsAreSealedAtRest(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, nil)
	k := create(t, s, account)
	var rows int
	err := index.View(ctx, func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			rows++
			if bytes.Contains(e.Value, []byte(k.Secret.Reveal())) || strings.Contains(e.Key, k.Secret.Reveal()) {
				t.Errorf("the secret stands in row %q", e.Key)
			}
		}
		return nil
	})
	if err != nil || rows == 0 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}

func TestOtherSealingKey(t *testing.T) {
	index := newIndex(t)
	create(t, open(t, index, nil), account)
	_, err := accounts.Open(context.Background(), accounts.Options{Index: index, SealingKey: sealingKey(2)})
	if !errors.Is(err, accounts.ErrOtherSeal) {
		t.Errorf("Open with another sealing key: %v", err)
	}
	if _, err := accounts.Open(context.Background(), accounts.Options{Index: index, SealingKey: make([]byte, 31)}); err == nil {
		t.Error("a short sealing key was taken")
	}
}

// TestMovedRow puts one key's row in the place of another, as somebody with
// access to the index alone could.
func TestMovedRow(t *testing.T) {
	ctx, index := context.Background(), newIndex(t)
	s := open(t, index, nil)
	mine, theirs := create(t, s, account), create(t, s, "000000000000")
	err := index.Update(ctx, func(tx storage.Tx) error {
		row, err := tx.Get("access-key\x00" + mine.ID)
		if err != nil {
			return err
		}
		return tx.Put("access-key\x00"+theirs.ID, bytes.Clone(row))
	})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(ctx, theirs.ID); err == nil || errors.Is(err, accounts.ErrNoKey) {
		t.Errorf("a moved row opens as %+v, %v", k, err)
	}
}
