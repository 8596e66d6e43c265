package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

func from(ip netip.Addr) context.Context {
	return auth.WithRequest(context.Background(), auth.Request{SourceIP: ip})
}

// guarded is a fixture whose verifier lets three log-ins fail in a minute.
func guarded(t *testing.T) *fixture {
	t.Helper()
	f := setUp(t)
	f.Verifier = f.verifier(t, func(o *credentials.Options) { o.Home, o.Guard = account, throttle.NewGuard(3, f.clock) })
	f.SetForms(allForms)
	return f
}

// refusals are what tries at a name are answered, and the last wait that is told.
func (f *fixture) refusals(ctx context.Context, n int, name string) (bad, often int, wait time.Duration) {
	for range n {
		_, err := f.Basic(ctx, name, "a wrong password")
		var tooMany *throttle.Exceeded
		switch {
		case errors.As(err, &tooMany):
			often, wait = often+1, tooMany.After
		case errors.Is(err, credentials.ErrBadPassword):
			bad++
		}
	}
	return bad, often, wait
}

func TestGuessesHaveToWait(t *testing.T) {
	f := guarded(t)
	f.accounts = f.openAccounts(t, accounts.Static{ID: "AKIAFROMOUTSIDE00000", Secret: accounts.NewSecret("chosen"), Account: account})
	f.Verifier = f.verifier(t, func(o *credentials.Options) { o.Home, o.Guard = account, throttle.NewGuard(3, f.clock) })
	f.SetForms(allForms)
	key := f.alice(t)
	robot, secret := f.robot(t)
	for _, tt := range []struct {
		name, right string
		many        int           // are too many
		wait        time.Duration // for one more
		suspended   bool          // the right one is not looked at either
	}{
		{"alice", "correct horse", 3, 20 * time.Second, true},
		{key.ID, key.Secret.Reveal(), 15, 4 * time.Second, false},
		{"AKIAFROMOUTSIDE00000", "chosen", 15, 4 * time.Second, true},
		{robot, secret, 15, 4 * time.Second, false},
	} {
		if bad, often, wait := f.refusals(from(here), tt.many+2, tt.name); bad != tt.many || often != 2 || wait != tt.wait {
			t.Errorf("%s: %d are refused, and %d told to wait %v", tt.name, bad, often, wait)
		}
		var tooMany *throttle.Exceeded
		if _, err := f.Basic(from(here), tt.name, tt.right); tt.suspended != errors.As(err, &tooMany) {
			t.Errorf("%s: what is right: %v", tt.name, err)
		}
		if _, err := f.Basic(from(there), tt.name, tt.right); err != nil {
			t.Errorf("%s: from elsewhere: %v", tt.name, err)
		}
		f.now = f.now.Add(tt.wait)
		if _, err := f.Basic(from(here), tt.name, tt.right); err != nil {
			t.Errorf("%s: after a while: %v", tt.name, err)
		}
		f.now = f.now.Add(time.Hour)
	}
}

// What was made here and has ended is no guess, and who shows what is right does not
// wait for those who show what is wrong.
func TestWhatIsNoGuess(t *testing.T) {
	f := guarded(t)
	key := f.alice(t)
	revoked := f.passwordOf(t, key, "alice")
	right, _, err := f.Password(t.Context(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.accounts.RevokeKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := f.Basic(from(here), "AWS", revoked); !errors.Is(err, credentials.ErrBadPassword) {
			t.Fatalf("revoked: %v", err)
		}
	}
	if bad, often, _ := f.refusals(from(here), 40, "AWS"); bad != 30 || often != 10 {
		t.Errorf("of forged passwords %d are refused and %d told to wait", bad, often)
	}
	if _, err := f.Basic(from(here), "AWS", right); err != nil {
		t.Errorf("the right one: %v", err)
	}
	f.now = f.now.Add(13 * time.Hour)
	for range 50 {
		if _, err := f.Basic(from(here), "AWS", right); !errors.Is(err, credentials.ErrExpiredPassword) {
			t.Fatalf("expired: %v", err)
		}
	}
}

func TestSignaturesThatAreGuessed(t *testing.T) {
	for what, tt := range map[string]struct {
		change func(f *fixture)
		many   int           // are too many
		wait   time.Duration // for one more
	}{
		"wrong secret": {func(f *fixture) { f.key.Secret = "guessed" }, 15, 4 * time.Second},
		"unknown key":  {func(f *fixture) { f.key.ID = "AKIAABSENT" }, 30, 2 * time.Second},
	} {
		f := guarded(t)
		right := f.key
		tt.change(f)
		show := func(ip netip.Addr) error {
			r, _ := request("{}")
			f.key.Sign(r, "{}", f.now)
			_, body, err := f.Signed(r.WithContext(from(ip)), "ecr", limit)
			if err == nil {
				body.Close()
			}
			return err
		}
		var refused *credentials.Error
		for range tt.many {
			if err := show(here); !errors.As(err, &refused) {
				t.Errorf("%s: %v", what, err)
			}
		}
		var tooMany *throttle.Exceeded
		if err := show(here); !errors.As(err, &tooMany) || tooMany.After != tt.wait {
			t.Errorf("%s, one more: %v", what, err)
		}
		f.key = right
		for _, ip := range []netip.Addr{here, there} {
			if err := show(ip); err != nil {
				t.Errorf("%s, then right from %v: %v", what, ip, err)
			}
		}
	}
}

// TestGuessingTellsNothing tries passwords for a name that is there and one that is
// not: ten thousand of them are answered the same, and a look takes as long.
func TestGuessingTellsNothing(t *testing.T) {
	f := guarded(t)
	f.alice(t)
	for _, ip := range []netip.Addr{here, there} {
		told := map[string]string{}
		for _, name := range []string{"alice", "nobody"} {
			bad, often, wait := f.refusals(from(ip), 10_000, name)
			told[name] = fmt.Sprint(bad, often, wait)
			f.now = f.now.Add(time.Hour)
		}
		if told["alice"] != told["nobody"] || told["alice"] != "3 9997 20s" {
			t.Errorf("%v", told)
		}
	}
	open := f.verifier(t, func(o *credentials.Options) { o.Home = account })
	open.SetForms(allForms)
	ask := func(name string) time.Duration {
		began := time.Now()
		if _, err := open.Basic(t.Context(), name, "a wrong password"); !errors.Is(err, credentials.ErrBadPassword) {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	// The fastest of each are least disturbed by what else the machine does, which may
	// take many rounds to leave both alone for once.
	const rounds, most = 4, 100
	there, absent, ratio := time.Hour, time.Hour, 0.0
	for n := 0; n < rounds || n < most && (ratio > 1.5 || ratio < 1/1.5); n++ {
		there, absent = min(there, ask("alice")), min(absent, ask("nobody"))
		ratio = float64(there) / float64(absent)
	}
	if ratio > 1.5 || ratio < 1/1.5 {
		t.Errorf("a name that is there takes %v, another %v", there, absent)
	}
}
