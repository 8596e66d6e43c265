package fsblob

import (
	"errors"
	"runtime"
	"sync"
	"testing"
)

// TestNamesShareSyncs has one sync under way while others ask: they share the next.
func TestNamesShareSyncs(t *testing.T) {
	failed := errors.New("the disk is gone")
	for _, outcomes := range [][]error{{nil, nil}, {nil, failed}, {failed, nil}} {
		const others = 10
		var n names
		begun, goOn, syncs := make(chan struct{}), make(chan struct{}), 0
		folder := func() error {
			if syncs++; syncs == 1 {
				close(begun)
				<-goOn
			}
			return outcomes[syncs-1]
		}
		var all sync.WaitGroup
		ask := func(want error) {
			all.Go(func() {
				if err := n.sync(folder); err != want {
					t.Errorf("%v: %v, want %v", outcomes, err, want)
				}
			})
		}
		ask(outcomes[0])
		<-begun
		for range others {
			ask(outcomes[1])
		}
		for n.asked.Load() <= others {
			runtime.Gosched()
		}
		close(goOn)
		all.Wait()
		if syncs != 2 {
			t.Errorf("%d syncs for one and %d others, want 2", syncs, others)
		}
	}
}

func TestNamesTellOfAFailureOnce(t *testing.T) {
	failed := errors.New("the disk is gone")
	var n names
	for _, want := range []error{nil, failed, nil} {
		if err := n.sync(func() error { return want }); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
