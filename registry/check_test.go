package registry_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// rowsOf are all rows of an index.
func rowsOf(t testing.TB, index storage.Index) map[string]string {
	t.Helper()
	rows := map[string]string{}
	must(t, index.View(context.Background(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			rows[e.Key] = string(e.Value)
		}
		return nil
	}))
	return rows
}

func putRow(t testing.TB, index storage.Index, key, value string) {
	t.Helper()
	must(t, index.Update(context.Background(), func(tx storage.Tx) error { return tx.Put(key, []byte(value)) }))
}

func deleteRow(t testing.TB, index storage.Index, key string) {
	t.Helper()
	must(t, index.Update(context.Background(), func(tx storage.Tx) error { return tx.Delete(key) }))
}

// faultsOf are the kinds of fault that a check finds.
func faultsOf(t testing.TB, s *registry.Service, c registry.Check) (kinds []registry.FaultKind) {
	t.Helper()
	for f, err := range s.Check(context.Background(), c) {
		must(t, err)
		if !slices.Contains(registry.FaultKinds(), f.Kind) {
			t.Errorf("fault %v is of no known kind", f)
		}
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// checked is a store with some of all that refers to each other.
func checked(t testing.TB) (*registry.Service, storage.Index, storage.Blobs) {
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	s := open(t, registry.Options{Index: index, Blobs: blobs, TrashWindow: time.Hour})
	n := create(t, s, "team/app")
	addImage(t, s, create(t, s, "team/gone"), "1", "gone")
	_, err := s.DeleteRepository(alice(t), name(t, "team/gone"), true)
	must(t, err)
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: addImage(t, s, n, "trash", "trash").Digest}, nil)
	must(t, err)
	one, two := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	put(t, s, n, "list", indexOf(t, one, two))
	old := addImage(t, s, n, "old", "old")
	referrerOf(t, s, n, old, "signed")
	setClass(t, s, n, old, registry.ArchiveClass)
	must(t, ignoreLifecycle(s.PutLifecyclePolicy(alice(t), n, `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}`)))
	must(t, s.PutSigning(alice(t), here, registry.Signing{Rules: []registry.SigningRule{{Profile: profile}}}))
	addImage(t, s, n, "unsigned", "unsigned")
	upload, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
	must(t, err)
	send(t, s, n, upload.ID, "part")
	must(t, s.Close(context.Background()))
	return s, index, blobs
}

func ignoreLifecycle(_ registry.LifecyclePolicy, err error) error { return err }

// TestCheckMissesNoRow takes away and garbles each row in turn: a check sees it, but
// where nothing else in the store speaks of the row.
func TestCheckMissesNoRow(t *testing.T) {
	s, index, _ := checked(t)
	alone := map[string]bool{"document": true, "event": true, "sequence": true, "condemned": true, "trashupload": true}
	looked := map[string]bool{}
	for key, value := range rowsOf(t, index) {
		table, _, _ := strings.Cut(key, "\x00")
		looked[table] = true
		deleteRow(t, index, key)
		if len(faultsOf(t, s, registry.Check{Hash: true})) == 0 && !alone[table] {
			t.Errorf("nothing is wrong without row %q", key)
		}
		if value != "" {
			putRow(t, index, key, "\xffgarbage")
			if len(faultsOf(t, s, registry.Check{Hash: true})) == 0 {
				t.Errorf("nothing is wrong with garbage in row %q", key)
			}
		}
		putRow(t, index, key, value)
	}
	for _, table := range []string{
		"repository", "registry", "image", "manifest", "tag", "imagetag", "layeruse", "idleuse", "child", "referrer", "held", "holder",
		"upload", "content", "owner", "event", "lifecycle", "lifecycledue", "reposize", "registrysize", "storesize",
		"trash", "trashuse", "trashdue", "trashrepository", "trashupload", "signing", "signingdue",
	} {
		if !looked[table] {
			t.Errorf("the store has no row of table %q", table)
		}
	}
}

func TestCheckLooksAtBytes(t *testing.T) {
	for _, test := range []struct {
		name        string
		bytes       string // "" for none
		quick, full registry.FaultKind
	}{
		{"as they were", "one", "", ""},
		{"flipped", "onf", "", registry.FaultDigest},
		{"short", "on", registry.FaultSize, registry.FaultSize},
		{"long", "ones", registry.FaultSize, registry.FaultSize},
		{"gone", "", registry.FaultMissing, registry.FaultMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			blobs := memory.NewBlobs()
			s, err := registry.New(t.Context(), registry.Options{Index: memory.NewIndex(), Blobs: blobs})
			must(t, err)
			n := create(t, s, "app")
			m := v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "one")}}
			put(t, s, n, "1", imageOf(t, m))
			rewrite(t, blobs, "one", test.bytes)
			for _, hash := range []bool{false, true} {
				want := []registry.FaultKind{test.quick}
				if hash {
					want[0] = test.full
				}
				if want[0] == "" {
					want = nil
				}
				if got := faultsOf(t, s, registry.Check{Hash: hash}); !slices.Equal(got, want) {
					t.Errorf("hash %v: a check finds %q, want %q", hash, got, want)
				}
			}
		})
	}
}

// rewrite gives the blob that has some bytes others, or none.
func rewrite(t testing.TB, blobs storage.Blobs, old, content string) {
	t.Helper()
	for info, err := range blobs.List(t.Context(), "") {
		must(t, err)
		if info.Size != int64(len(old)) {
			continue
		}
		must(t, blobs.Delete(t.Context(), info.ID))
		if content == "" {
			continue
		}
		_, err := blobs.Append(t.Context(), info.ID, 0, strings.NewReader(content))
		must(t, err)
		must(t, blobs.Seal(t.Context(), info.ID))
	}
}

func TestCheckEnds(t *testing.T) {
	s, index, _ := checked(t)
	rows := rowsOf(t, index)
	for key := range rows {
		if strings.HasPrefix(key, "content\x00") {
			deleteRow(t, index, key)
		}
	}
	n := 0
	for range s.Check(t.Context(), registry.Check{}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("a check went on to %d faults, when one was asked for", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for f, err := range s.Check(ctx, registry.Check{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a check whose context ended yields %v, %v", f, err)
		}
	}
	for key, value := range rows {
		putRow(t, index, key, value)
	}
}
