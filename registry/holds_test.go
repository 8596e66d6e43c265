package registry_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

// TestHoldKeepsCondemnedBytes deletes a layer while it is on hold, and looks when its
// bytes go.
func TestHoldKeepsCondemnedBytes(t *testing.T) {
	tests := []struct {
		name string
		do   func(*testing.T, *registry.Service, registry.Hold)
		want int // blobs kept
		over bool
	}{
		{"held", func(*testing.T, *registry.Service, registry.Hold) { time.Sleep(time.Minute) }, 1, false},
		{"released", func(t *testing.T, s *registry.Service, h registry.Hold) { must(t, s.ReleaseHold(t.Context(), h.ID)) }, 0, true},
		{"out of time", func(*testing.T, *registry.Service, registry.Hold) { time.Sleep(5 * time.Minute) }, 0, true},
		{"renewed", func(t *testing.T, s *registry.Service, h registry.Hold) {
			for range 10 {
				time.Sleep(time.Minute)
				_, err := s.RenewHold(t.Context(), h.ID, 2*time.Minute)
				must(t, err)
			}
		}, 1, false},
		{"another is released", func(t *testing.T, s *registry.Service, _ registry.Hold) {
			other, err := s.HoldBytes(t.Context(), "another", time.Minute)
			must(t, err)
			must(t, s.ReleaseHold(t.Context(), other.ID))
		}, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				blobs := memory.NewBlobs()
				s := open(t, registry.Options{Blobs: blobs})
				run(t, s)
				n := create(t, s, "team/app")
				addLayer(t, s, n, "one")
				h, err := s.HoldBytes(t.Context(), "a test", 3*time.Minute)
				must(t, err)
				must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("one"))))
				synctest.Wait()
				tt.do(t, s, h)
				synctest.Wait()
				if got := blobCount(t, blobs); got != tt.want {
					t.Errorf("%d blobs are kept, want %d", got, tt.want)
				}
				if _, err := s.RenewHold(t.Context(), h.ID, time.Minute); errors.Is(err, registry.ErrHoldOver) != tt.over {
					t.Errorf("renewed: %v; want it over: %v", err, tt.over)
				}
			})
		})
	}
}

// TestHoldOfAClockSetBackEnds has a hold whose end lies further off than any may.
func TestHoldOfAClockSetBackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ahead := memory.NewBlobs(), 24*time.Hour
		s := open(t, registry.Options{Blobs: blobs, Now: func() time.Time { return time.Now().Add(ahead) }})
		n := create(t, s, "team/app")
		addLayer(t, s, n, "one")
		_, err := s.HoldBytes(t.Context(), "a test", time.Minute)
		must(t, err)
		must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("one"))))
		ahead = 0
		run(t, s)
		synctest.Wait()
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("%d blobs are kept, want none", got)
		}
	})
}
