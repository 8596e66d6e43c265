package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// ledger is what was put into the registry, to be removed in the end.
type ledger struct {
	mu    sync.Mutex
	repos map[string]*contents
}

// contents are digests of what is in a repository.
type contents struct{ manifests, blobs map[string]bool }

// of is what is noted of a repository. The caller holds the lock.
func (l *ledger) of(repo string) *contents {
	c, ok := l.repos[repo]
	if !ok {
		if l.repos == nil {
			l.repos = map[string]*contents{}
		}
		c = &contents{map[string]bool{}, map[string]bool{}}
		l.repos[repo] = c
	}
	return c
}

func (l *ledger) repository(repo string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(repo)
}

func (l *ledger) manifest(repo, digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(repo).manifests[digest] = true
}

func (l *ledger) blob(repo, digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(repo).blobs[digest] = true
}

// clean removes what was put into the registry, and says what it leaves.
func (s *session) clean(ctx context.Context) (left []string) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if len(s.ledger.repos) == 0 {
		return nil
	}
	if s.options.Keep {
		return []string{fmt.Sprintf("%d repositories in %s, as was asked for", len(s.ledger.repos), s.folder)}
	}
	if s.target.API != "" {
		return s.dropRepositories(ctx)
	}
	return s.dropContents(ctx)
}

// dropRepositories has the API remove them with all that they hold.
func (s *session) dropRepositories(ctx context.Context) []string {
	names := slices.Sorted(maps.Keys(s.ledger.repos))
	failed := s.drop(ctx, len(names), func(ctx context.Context, w *worker, i int) error {
		_, err := w.call(ctx, "DeleteRepository", members{"repositoryName": names[i], "force": true})
		var refused *callError
		if errors.As(err, &refused) && refused.code == "RepositoryNotFoundException" {
			return nil
		}
		return err
	})
	return failed.tell("repositories in " + s.folder)
}

// dropContents removes images and then layers one by one. The protocol has
// nothing to remove a repository by.
func (s *session) dropContents(ctx context.Context) []string {
	var manifests, blobs [][2]string
	for repo, c := range s.ledger.repos {
		for digest := range c.manifests {
			manifests = append(manifests, [2]string{repo, manifestPath(repo, digest)})
		}
		for digest := range c.blobs {
			blobs = append(blobs, [2]string{repo, blobPath(repo, digest)})
		}
	}
	remove := func(of [][2]string) dropped {
		return s.drop(ctx, len(of), func(ctx context.Context, w *worker, i int) error {
			_, err := w.oci(ctx, request{method: http.MethodDelete, path: of[i][1]}, []string{of[i][0]},
				http.StatusAccepted, http.StatusOK, http.StatusNoContent, http.StatusNotFound)
			return err
		})
	}
	left := remove(manifests).tell("images in " + s.folder)
	left = append(left, remove(blobs).tell("layers in "+s.folder)...)
	return append(left, fmt.Sprintf("%d repositories in %s, if the registry keeps those that are empty", len(s.ledger.repos), s.folder))
}

// dropped says how removing went.
type dropped struct {
	left int64
	why  error // the first refusal
}

func (d dropped) tell(of string) []string {
	if d.left == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d %s: %v", d.left, of, d.why)}
}

// drop removes things, many at once. A refusal that will be the next one's too
// ends it.
func (s *session) drop(ctx context.Context, n int, remove func(ctx context.Context, w *worker, i int) error) dropped {
	var done atomic.Int64
	var failed int64
	var mu sync.Mutex
	var first error
	err := s.each(ctx, n, func(ctx context.Context, w *worker, i int) error {
		err := remove(ctx, w, i)
		if err == nil {
			done.Add(1)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
		if failed++; failed >= mostRefusals {
			return first
		}
		return nil
	})
	if first == nil {
		first = err
	}
	return dropped{int64(n) - done.Load(), first}
}

// mostRefusals is how many there are before no more is asked for.
const mostRefusals = 16
