package registry_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// slowIndex is an index whose commits wait at a gate while there is one.
type slowIndex struct {
	storage.Index
	gate chan struct{}
}

func (x *slowIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.gate != nil {
		<-x.gate
	}
	return x.Index.Update(ctx, fn)
}

// A checkpoint that the server makes by itself is no reason to refuse the part,
// the question or the end that comes at that moment.
func TestRequestsWaitForACheckpoint(t *testing.T) {
	want := sha256Of([]byte("onetwo"))
	tests := []struct {
		what string
		do   func(t *testing.T, s *registry.Service, n registry.Name, id string) error
	}{
		{"append", func(t *testing.T, s *registry.Service, n registry.Name, id string) error {
			_, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: 6, Length: -1, Body: stream("x").Body})
			return err
		}},
		{"status", func(t *testing.T, s *registry.Service, n registry.Name, id string) error {
			_, err := s.Upload(alice(t), n, id)
			return err
		}},
		{"finish", func(t *testing.T, s *registry.Service, n registry.Name, id string) error {
			_, err := finish(t, s, n, id, want)
			return err
		}},
		{"cancel", func(t *testing.T, s *registry.Service, n registry.Name, id string) error {
			return s.CancelUpload(alice(t), n, id)
		}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			index := &slowIndex{Index: memory.NewIndex()}
			s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
			must(t, err)
			n := create(t, s, "team/app")
			id := start(t, s, n)
			send(t, s, n, id, "one")
			send(t, s, n, id, "two")
			gate := make(chan struct{})
			index.gate = gate
			go s.Close(t.Context()) // checkpoints at once
			synctest.Wait()
			done := make(chan error, 1)
			go func() { done <- tt.do(t, s, n, id) }()
			synctest.Wait()
			select {
			case err := <-done:
				t.Errorf("%s did not wait: %v", tt.what, err)
				done <- err
			default:
			}
			close(gate)
			if err := <-done; err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
		})
	}
}

// Who gives up waiting is not kept.
func TestWaitingEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &slowIndex{Index: memory.NewIndex()}
		s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
		must(t, err)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		gate := make(chan struct{})
		index.gate = gate
		go s.Close(t.Context())
		synctest.Wait()
		ctx, cancel := context.WithCancel(alice(t))
		done := make(chan error, 1)
		go func() {
			_, err := s.AppendUpload(ctx, n, id, stream("one"))
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("append: %v, want context.Canceled", err)
		}
		close(gate)
	})
}
