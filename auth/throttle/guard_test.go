package throttle_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/throttle"
)

func TestGuard(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g := throttle.NewGuard(3, func() time.Time { return now })
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range 3 {
		if err := errors.Join(g.Blocked(here, "alice"), g.Failed(here, "alice")); err != nil {
			t.Errorf("failure %d: %v", i, err)
		}
	}
	var tooMany *throttle.Exceeded
	if err := g.Failed(here, "alice"); !errors.As(err, &tooMany) || tooMany.After != 20*time.Second {
		t.Errorf("the fourth: %v, %+v", err, tooMany)
	}
	if err := g.Blocked(here, "alice"); !errors.As(err, &tooMany) || tooMany.After != 20*time.Second {
		t.Errorf("blocked: %v", err)
	}
	if err := g.Suspended(here, "alice"); !errors.As(err, &tooMany) || tooMany.After != 20*time.Second {
		t.Errorf("suspended: %v", err)
	}
	if err := errors.Join(g.Blocked(here, "bob"), g.Blocked(there, "alice")); err != nil {
		t.Errorf("others have to wait: %v", err)
	}
	now = now.Add(20 * time.Second)
	if err := g.Blocked(here, "alice"); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

func TestGuardOfAnAddress(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g := throttle.NewGuard(2, func() time.Time { return now })
	one, two := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2") // of one customer
	for i := range 20 {
		if err := g.Failed(one, fmt.Sprint("name", i)); err != nil {
			t.Errorf("name %d: %v", i, err)
		}
	}
	if err := g.Blocked(two, "another"); err == nil {
		t.Error("names without end are tried from one network")
	}
	if err := g.Blocked(netip.MustParseAddr("2001:db8:1::1"), "another"); err != nil {
		t.Errorf("another network: %v", err)
	}
	if err := g.Suspended(two, "another"); err != nil {
		t.Errorf("a name of its own: %v", err)
	}
	g.Configure(2)
	if err := g.Blocked(two, "another"); err == nil {
		t.Error("the same number forgets")
	}
	g.Configure(3)
	if err := g.Blocked(two, "another"); err != nil {
		t.Errorf("another number: %v", err)
	}
}

func TestGuardOfKeys(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g := throttle.NewGuard(2, func() time.Time { return now })
	here := netip.MustParseAddr("192.0.2.1")
	for i := range 10 {
		if err := g.FailedKey(here, "AKIAEXAMPLE"); err != nil {
			t.Errorf("failure %d: %v", i, err)
		}
	}
	var tooMany *throttle.Exceeded
	if err := g.FailedKey(here, "AKIAEXAMPLE"); !errors.As(err, &tooMany) || tooMany.After != 6*time.Second {
		t.Errorf("one more: %v", err)
	}
	if err := g.Suspended(here, "AKIAEXAMPLE"); !errors.As(err, &tooMany) {
		t.Errorf("suspended: %v", err)
	}
}

func TestGuardForgets(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g := throttle.NewGuard(2, func() time.Time { return now })
	for i := range 60_000 {
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if err := g.Failed(ip, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Failed(netip.Addr{}, "x"); err != nil {
		t.Errorf("from nowhere: %v", err)
	}
	var none *throttle.Guard
	if err := none.Failed(netip.MustParseAddr("192.0.2.1"), "x"); err != nil {
		t.Error(err)
	}
}
