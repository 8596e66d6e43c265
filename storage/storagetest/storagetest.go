// Package storagetest holds the suites that every keeper of a [storage.Index]
// or of [storage.Blobs] must pass. They are the contract in another language:
// a fault found in one keeper is first shown here, for all.
package storagetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/seed-78150930/berth/storage"
)

var errTest = errors.New("storagetest: on purpose")

// indexCase is one test of a suite, run on a fresh, empty index.
type indexCase struct {
	name string
	run  func(t *testing.T, x storage.Index)
}

func runIndex(t *testing.T, open func(testing.TB) storage.Index, cases ...[]indexCase) {
	for _, c := range slices.Concat(cases...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			c.run(t, open(t))
		})
	}
}

// blobsCase is one test of a suite, run on a fresh keeper without blobs.
type blobsCase struct {
	name string
	run  func(t *testing.T, s storage.Blobs)
}

func runBlobs(t *testing.T, open func(testing.TB) storage.Blobs, cases ...[]blobsCase) {
	for _, c := range slices.Concat(cases...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			c.run(t, open(t))
		})
	}
}

// wantError reports an error that is not want; nil wants success.
func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
