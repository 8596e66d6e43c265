package throttle_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/throttle"
)

func TestAddresses(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := throttle.NewAddresses("anonymous read", 3, func() time.Time { return now })
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range 3 {
		if err := errors.Join(a.Take(here), a.Take(netip.Addr{})); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	var tooMany *throttle.Exceeded
	for _, from := range []netip.Addr{here, netip.MustParseAddr("::ffff:192.0.2.1"), {}} {
		if err := a.Take(from); !errors.As(err, &tooMany) || tooMany.After != 20*time.Second || tooMany.Action != "anonymous read" {
			t.Errorf("the fourth from %v: %v, %+v", from, err, tooMany)
		}
	}
	if err := a.Take(there); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	now = now.Add(20 * time.Second)
	if a.Take(here) != nil || a.Take(here) == nil {
		t.Error("20 seconds do not let just one more through")
	}
	a.Configure(3)
	if a.Take(here) == nil {
		t.Error("the same number forgets")
	}
	a.Configure(4)
	if err := a.Take(here); err != nil {
		t.Errorf("another number: %v", err)
	}
	if err := (*throttle.Addresses)(nil).Take(here); err != nil {
		t.Error(err)
	}
}
