package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/storage"
)

var concurrencyCases = []indexCase{
	{"Counter", testCounter},
	{"FailuresAmongUpdates", testFailuresAmongUpdates},
	{"ScanSkew", testScanSkew},
	{"PushAndSweep", testPushAndSweep},
}

// together runs f n times at once and waits for all.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// linger lets other goroutines run between a transaction's reads and its
// writes, where they must not matter.
func linger() {
	for range 50 {
		runtime.Gosched()
	}
}

// testCounter loses a count if two updates read the same value.
func testCounter(t *testing.T, x storage.Index) {
	const writers, each = 16, 10
	together(writers, func(int) {
		for range each {
			if err := x.Update(context.Background(), increment); err != nil {
				t.Error(err)
			}
		}
	})
	wantContent(t, x, rows{"n": strconv.Itoa(writers * each)})
}

func increment(tx storage.Tx) error {
	n := 0
	v, err := tx.Get("n")
	if err == nil {
		n, err = strconv.Atoi(string(v))
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	linger()
	return tx.Put("n", []byte(strconv.Itoa(n+1)))
}

// testFailuresAmongUpdates mixes updates that succeed, fail and panic, all on
// the same rows; only the first kind may leave anything.
func testFailuresAmongUpdates(t *testing.T, x storage.Index) {
	ctx := context.Background()
	put(t, x, rows{"shared": "good"})
	var want sync.Map
	together(48, func(i int) {
		key := fmt.Sprintf("row/%02d", i)
		switch i % 3 {
		case 0:
			if err := x.Update(ctx, func(tx storage.Tx) error {
				return errors.Join(increment(tx), tx.Put(key, nil))
			}); err != nil {
				t.Errorf("update %d: %v", i, err)
			}
			want.Store(key, "")
		case 1:
			wantError(t, "failing update", x.Update(ctx, func(tx storage.Tx) error {
				return errors.Join(spoil(tx, key), errTest)
			}), errTest)
		case 2:
			if got := recovered(func() {
				_ = x.Update(ctx, func(tx storage.Tx) error { panic(errors.Join(spoil(tx, key), errTest)) })
			}); got == nil {
				t.Errorf("update %d did not panic", i)
			}
		}
	})
	all := rows{"shared": "good", "n": "16"}
	want.Range(func(k, v any) bool { all[k.(string)] = v.(string); return true })
	wantContent(t, x, all)
}

func spoil(tx storage.Tx, key string) error {
	return errors.Join(tx.Delete("shared"), tx.Put("n", []byte("1000")), tx.Put(key, []byte("spoilt")))
}

// testScanSkew lets several updates each see an empty range and put a row of
// their own in it. One alone may succeed, in any order of running them.
func testScanSkew(t *testing.T, x storage.Index) {
	for round := range 20 {
		prefix := fmt.Sprintf("round/%02d/", round)
		var won atomic.Int32
		together(4, func(i int) {
			err := x.Update(context.Background(), func(tx storage.Tx) error {
				for _, err := range tx.Scan(storage.Range{Prefix: prefix}) {
					return errors.Join(err, errTest)
				}
				linger()
				return tx.Put(prefix+strconv.Itoa(i), nil)
			})
			if err == nil {
				won.Add(1)
			} else {
				wantError(t, "Update", err, errTest)
			}
		})
		if n := won.Load(); n != 1 {
			t.Fatalf("round %d: %d updates found the range empty, want 1", round, n)
		}
	}
}

// testPushAndSweep is the registry's own hazard: a push reads a blob's row and
// writes a reference to it, a sweep reads references and deletes the rows of
// blobs that have none. Neither writes what the other writes, so only a
// serialisable index keeps a reference from losing its blob.
func testPushAndSweep(t *testing.T, x storage.Index) {
	const pushers, sweepers, rounds, blobs = 6, 2, 20, 3
	together(pushers+sweepers, func(i int) {
		for round := range rounds {
			digest := strconv.Itoa((i + round) % blobs)
			var err error
			if i < pushers {
				err = pushAndDelete(x, digest, strconv.Itoa(i))
			} else {
				err = sweep(x, digest)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// pushAndDelete uploads the blob as often as a sweep takes it away, refers to
// it, looks whether all is well, and takes the reference back.
func pushAndDelete(x storage.Index, digest, image string) error {
	ctx := context.Background()
	ref := "ref/" + digest + "/" + image
	refer := func(tx storage.Tx) error {
		if _, err := tx.Get("blob/" + digest); err != nil {
			return err
		}
		linger()
		return tx.Put(ref, nil)
	}
	upload := func(tx storage.Tx) error { return tx.Put("blob/"+digest, nil) }
	err := x.Update(ctx, refer)
	for errors.Is(err, storage.ErrNotFound) {
		if err = x.Update(ctx, upload); err == nil {
			err = x.Update(ctx, refer)
		}
	}
	if err != nil {
		return err
	}
	if err := x.View(ctx, everyReferenceHasItsBlob); err != nil {
		return err
	}
	return x.Update(ctx, func(tx storage.Tx) error { return tx.Delete(ref) })
}

func sweep(x storage.Index, digest string) error {
	return x.Update(context.Background(), func(tx storage.Tx) error {
		for _, err := range tx.Scan(storage.Range{Prefix: "ref/" + digest + "/", Limit: 1}) {
			return err // in use
		}
		linger()
		return tx.Delete("blob/" + digest)
	})
}

func everyReferenceHasItsBlob(r storage.Reader) error {
	for e, err := range r.Scan(storage.Range{Prefix: "ref/"}) {
		if err != nil {
			return err
		}
		digest := e.Key[len("ref/") : len("ref/")+1]
		if _, err := r.Get("blob/" + digest); err != nil {
			return fmt.Errorf("%s refers to a blob that is gone: %w", e.Key, err)
		}
	}
	return nil
}
