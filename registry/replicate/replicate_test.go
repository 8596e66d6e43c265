package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/replicate"
	"github.com/seed-78150930/berth/storage/memory"
)

// run has a worker work in the background until the test is over.
func run(t *testing.T, r replicate.Registry) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- worker(t, r).Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

func TestReplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.NewIndex(), west, east)
		before := push(t, s, "team/app", "before")
		run(t, s)
		synctest.Wait()
		wantCopy(t, s, west, "team/app", "before", before)
		after := map[string]registry.Image{}
		for i := range 40 {
			path := fmt.Sprintf("team/app-%d", i%20)
			after[path] = push(t, s, path, fmt.Sprint(i))
		}
		synctest.Wait()
		for i := 20; i < 40; i++ {
			path := fmt.Sprintf("team/app-%d", i%20)
			wantCopy(t, s, west, path, fmt.Sprint(i), after[path])
			wantCopy(t, s, east, path, fmt.Sprint(i), after[path])
		}
		if n := events(t, s, registry.ImageReplicated); n != 2*41 {
			t.Errorf("%d events, want one for each image and destination: %d", n, 2*41)
		}
	})
}

var errBroken = errors.New("broken")

// broken is a registry that fails where a test says so, and notes what it is given
// to bring.
type broken struct {
	*registry.Service
	fails func(registry.Replica) bool
	mu    sync.Mutex
	given []registry.Replica
	at    []time.Time
	looks int // that fail
}

func (b *broken) ReceiveReplica(ctx context.Context, r registry.Replica) error {
	b.mu.Lock()
	b.given, b.at = append(b.given, r), append(b.at, time.Now())
	b.mu.Unlock()
	if b.fails(r) {
		return errBroken
	}
	return b.Service.ReceiveReplica(ctx, r)
}

func (b *broken) ReplicaDestinations(ctx context.Context) ([]registry.ID, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looks > 0 {
		b.looks--
		return nil, 0, errBroken
	}
	return b.Service.ReplicaDestinations(ctx)
}

// A fault is tried again, after twice the time each time, and keeps no other lane
// waiting.
func TestFaultsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.NewIndex(), west)
		left := 4
		b := &broken{Service: s, fails: func(r registry.Replica) bool {
			if r.Source.String() == "team/slow" && left > 0 {
				left--
				return true
			}
			return false
		}}
		slow, next := push(t, s, "team/slow", "1"), push(t, s, "team/slow", "2")
		run(t, b)
		synctest.Wait()
		quick := push(t, s, "team/quick", "1")
		synctest.Wait()
		wantCopy(t, s, west, "team/quick", "1", quick)
		if got := state(t, s, "team/slow", "1", west).State; got != registry.ReplicationInProgress {
			t.Errorf("after a fault the image is %s", got)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		wantCopy(t, s, west, "team/slow", "1", slow)
		wantCopy(t, s, west, "team/slow", "2", next)
		var waits []time.Duration
		last := time.Time{}
		for i, r := range b.given {
			if r.Source.String() == "team/slow" && r.Tag.String() == "1" {
				if !last.IsZero() {
					waits = append(waits, b.at[i].Sub(last))
				}
				last = b.at[i]
			}
		}
		if want := "[1s 2s 4s 8s]"; fmt.Sprint(waits) != want {
			t.Errorf("tried again after %v, want %s", waits, want)
		}
	})
}

func TestFaultsThatStayAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.NewIndex(), west)
		b := &broken{Service: s, fails: func(r registry.Replica) bool { return r.Tag.String() == "bad" }}
		push(t, s, "team/app", "bad")
		good := push(t, s, "team/app", "good")
		run(t, b)
		time.Sleep(5 * time.Minute)
		if got := state(t, s, "team/app", "bad", west).State; got != registry.ReplicationInProgress {
			t.Errorf("after five minutes it is %s", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		got := state(t, s, "team/app", "bad", west)
		if got.State != registry.ReplicationFailure || got.FailureCode != registry.FailedByFault || got.FailureReason == "" {
			t.Errorf("after ten minutes it is %+v", got)
		}
		wantCopy(t, s, west, "team/app", "good", good)
		if len(b.given) != 11 || events(t, s, registry.ReplicationFailed) != 1 {
			t.Errorf("%d tries and %d events, want 11 and 1", len(b.given), events(t, s, registry.ReplicationFailed))
		}
	})
}

func TestLooksAgainAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.NewIndex(), west)
		img := push(t, s, "team/app", "1")
		run(t, &broken{Service: s, looks: 3, fails: func(registry.Replica) bool { return false }})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantCopy(t, s, west, "team/app", "1", img)
	})
}

// A destination with much to come does not keep another one waiting, nor do lanes
// that rest keep others of theirs waiting, however many there are.
func TestDestinationsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memory.NewIndex(), east)
		for i := range 50 {
			push(t, s, fmt.Sprintf("bad/app-%02d", i), "1")
		}
		good := push(t, s, "good/app", "1")
		must(t, s.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: []registry.ID{west}}}}))
		push(t, s, "good/app", "2")
		b := &broken{Service: s, fails: func(r registry.Replica) bool { return r.Source.String() != "good/app" }}
		run(t, b)
		synctest.Wait()
		wantCopy(t, s, east, "good/app", "1", good)
		for i, r := range b.given {
			if r.To == west && i > 16 { // it is in the first round, behind whoever is quicker
				t.Errorf("the image for the other destination came as number %d", i+1)
			}
		}
		if len(b.given) != 52 {
			t.Errorf("%d images were tried, want each once: 52", len(b.given))
		}
	})
}

func TestStopsBetweenImages(t *testing.T) {
	s := open(t, memory.NewIndex(), west)
	for i := range 20 {
		push(t, s, fmt.Sprintf("team/app-%02d", i), "1")
	}
	ctx, stop := context.WithCancel(t.Context())
	b := &broken{Service: s, fails: func(registry.Replica) bool { stop(); return true }}
	must(t, worker(t, b).Run(ctx))
	if n := len(b.given); n > 5 { // those that were under way, and one that waited for them
		t.Errorf("%d images were begun, also after the end", n)
	}
}

func TestNewWantsARegistry(t *testing.T) {
	if _, err := replicate.New(replicate.Options{}); err == nil {
		t.Error("a worker without a registry")
	}
}
