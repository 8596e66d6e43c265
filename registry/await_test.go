package registry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/seed-78150930/berth/registry"
)

func TestAwaitEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		create(t, s, "team/app")
		must(t, s.AwaitEvents(t.Context(), 0)) // which is there already
		woken := make(chan error)
		go func() { woken <- s.AwaitEvents(t.Context(), 1) }()
		synctest.Wait()
		select {
		case err := <-woken:
			t.Fatalf("woken without an event: %v", err)
		default:
		}
		create(t, s, "team/other")
		must(t, <-woken)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.AwaitEvents(ctx, 2); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting behind the last event ends with %v", err)
		}
	})
}
