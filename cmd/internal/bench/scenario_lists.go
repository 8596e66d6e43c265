package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// growing are things that are made when they are needed, which is not counted.
type growing[T any] struct {
	make func(ctx context.Context, w *worker, i int) (T, error)

	mu  sync.Mutex
	all []T
}

// at is the one with a number.
func (g *growing[T]) at(ctx context.Context, w *worker, i int64) (one T, err error) {
	w.aside(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for err == nil && int64(len(g.all)) <= i {
			if one, err = g.make(ctx, w, len(g.all)); err == nil {
				g.all = append(g.all, one)
			}
		}
		if err == nil {
			one = g.all[i]
		}
	})
	return one, err
}

// What is mounted: small layers, each once into a repository.
const (
	mountLayers = 64
	smallLayer  = 1 << 10
)

func mount(ctx context.Context, s *session) (operation, error) {
	source, err := s.places(ctx, "mount-from", 1)
	if err != nil {
		return nil, err
	}
	layers := make([]blob, mountLayers)
	err = s.each(ctx, len(layers), func(ctx context.Context, w *worker, i int) error {
		layers[i] = s.payload.blob(smallLayer)
		return w.upload(ctx, source[0], layers[i])
	})
	if err != nil {
		return nil, fmt.Errorf("push the layers that are to be mounted: %w", err)
	}
	targets := growing[string]{make: func(ctx context.Context, w *worker, _ int) (string, error) { return s.repository(ctx, w, "mount-to") }}
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		to, err := targets.at(ctx, w, n/mountLayers)
		if err != nil {
			return 0, err
		}
		mounted, err := w.mount(ctx, to, source[0], layers[n%mountLayers])
		if err == nil && !mounted {
			err = errNotMounted
		}
		return 0, err
	}, nil
}

var errNotMounted = errors.New("the registry does not mount: it asks for an upload")

// mount has a repository take a layer of another, and says whether it did: a
// registry may begin an upload in its place, which is given up.
func (w *worker) mount(ctx context.Context, to, from string, b blob) (bool, error) {
	path := "/v2/" + to + "/blobs/uploads/?mount=" + b.digest + "&from=" + url.QueryEscape(from)
	got, err := w.oci(ctx, request{method: http.MethodPost, path: path}, []string{to, from}, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false, err
	}
	if got.status == http.StatusCreated {
		w.ledger.blob(to, b.digest)
		return true, nil
	}
	base, path, err := resolve(got.base, path, got.location)
	if err != nil {
		return false, err
	}
	_, err = w.oci(ctx, request{method: http.MethodDelete, base: base, path: path}, []string{to}, http.StatusNoContent, http.StatusAccepted, http.StatusOK, http.StatusNotFound)
	return false, err
}

// give has a repository have a layer of another, by a mount or else by an upload.
func (w *worker) give(ctx context.Context, to, from string, b blob) error {
	mounted, err := w.mount(ctx, to, from, b)
	if err == nil && !mounted {
		err = w.upload(ctx, to, b)
	}
	return err
}

// small is the smallest image that every registry takes: a config and a layer,
// which are in a repository.
func (s *session) small(ctx context.Context, purpose string) (image, error) {
	repos, err := s.places(ctx, purpose, 1)
	if err != nil {
		return image{}, err
	}
	im := s.payload.image(repos[0], "first", 1, smallLayer)
	w := s.worker()
	defer w.wire.close()
	_, err = w.pushImage(ctx, im)
	return im, err
}

// tagsOfImage is how many tags an image gets, half of what it may have (Amazon ECR
// service quotas: 1,000 tags per image). With the next one another is pushed.
const tagsOfImage = 500

// tagger pushes images with tags that count up.
func tagger(im image) operation {
	images := growing[image]{make: func(_ context.Context, _ *worker, i int) (image, error) {
		return describe(im.repo, "", im.blobs, map[string]string{"n": strconv.Itoa(i)}), nil
	}}
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		tagged, err := images.at(ctx, w, n/tagsOfImage)
		if err != nil {
			return 0, err
		}
		return 0, w.putManifest(ctx, im.repo, tagOf(n), tagged.manifest)
	}
}

func tagPush(ctx context.Context, s *session) (operation, error) {
	im, err := s.small(ctx, "tags")
	return tagger(im), err
}

func tagOf(n int64) string { return fmt.Sprintf("t%07d", n) }

func newRepository(ctx context.Context, s *session) (operation, error) {
	im, err := s.small(ctx, "new-from")
	if err != nil {
		return nil, err
	}
	first := func(ctx context.Context, w *worker) error {
		to := s.name("new")
		for _, b := range im.blobs {
			if err := w.give(ctx, to, im.repo, b); err != nil {
				return err
			}
		}
		return w.putManifest(ctx, to, "first", im.manifest)
	}
	w := s.worker()
	defer w.wire.close()
	if err := first(ctx, w); err != nil {
		return nil, &unsupported{"a push makes no repository here: " + err.Error()}
	}
	return func(ctx context.Context, w *worker, _ int64) (int64, error) { return 0, first(ctx, w) }, nil
}

// page is how many names a page has.
const page = 100

func tagsList(ctx context.Context, s *session) (operation, error) {
	im, err := s.small(ctx, "tags")
	if err != nil {
		return nil, err
	}
	push := tagger(im)
	err = s.each(ctx, s.options.Tags-1, func(ctx context.Context, w *worker, i int) error {
		_, err := push(ctx, w, int64(i))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("push the tags that are to be listed: %w", err)
	}
	w := s.worker()
	defer w.wire.close()
	walk := walk{
		path: fmt.Sprintf("/v2/%s/tags/list?n=%d", im.repo, page),
		auth: func(ctx context.Context) (string, error) { return s.login.header(ctx, im.repo) },
	}
	return walk.next, walk.try(ctx, w, "tags", min(page, s.options.Tags))
}

func catalog(ctx context.Context, s *session) (operation, error) {
	walk := walk{path: fmt.Sprintf("/v2/_catalog?n=%d", page), auth: s.login.catalog}
	w := s.worker()
	defer w.wire.close()
	if err := walk.try(ctx, w, "repositories", 0); err != nil {
		return nil, &unsupported{"no catalog is told: " + err.Error()}
	}
	im, err := s.small(ctx, "catalog")
	if err != nil {
		return nil, err
	}
	err = s.each(ctx, s.options.Repositories-1, func(ctx context.Context, w *worker, _ int) error {
		to, err := s.repository(ctx, w, "catalog")
		for _, b := range im.blobs {
			if err == nil {
				err = w.give(ctx, to, im.repo, b)
			}
		}
		if err != nil {
			return err
		}
		return w.putManifest(ctx, to, im.tag, im.manifest)
	})
	if err != nil {
		return nil, fmt.Errorf("push the repositories that are to be listed: %w", err)
	}
	return walk.next, walk.try(ctx, w, "repositories", min(page, s.options.Repositories))
}

// walk reads a list page by page, and begins again after the last.
type walk struct {
	path string // of the first page
	auth func(context.Context) (string, error)
}

// next reads the page that a worker has not read yet.
func (l walk) next(ctx context.Context, w *worker, _ int64) (int64, error) {
	path := w.page
	if path == "" {
		path = l.path
	}
	got, err := l.read(ctx, w, path, false)
	if err == nil {
		w.page, err = following(l.path, got.link)
	}
	return got.size, err
}

func (l walk) read(ctx context.Context, w *worker, path string, keep bool) (response, error) {
	auth, err := l.auth(ctx)
	if err != nil {
		return response{}, err
	}
	return w.expect(ctx, request{method: http.MethodGet, base: w.target.Registry, path: path, auth: auth, keep: keep}, http.StatusOK)
}

// try reads the first page, which must have so many names at least.
func (l walk) try(ctx context.Context, w *worker, member string, least int) error {
	got, err := l.read(ctx, w, l.path, true)
	if err != nil {
		return err
	}
	said := map[string]json.RawMessage{}
	var names []string
	if err := errors.Join(json.Unmarshal(got.body, &said), json.Unmarshal(said[member], &names)); err != nil {
		return fmt.Errorf("GET %s is no list of %s: %w", l.path, member, err)
	}
	if len(names) < least {
		return fmt.Errorf("GET %s tells %d %s, not %d", l.path, len(names), member, least)
	}
	return nil
}

// following is the page that a Link leads to; "" after the last (RFC 8288).
func following(path, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	_, rest, _ := strings.Cut(link, "<")
	to, _, ok := strings.Cut(rest, ">")
	if !ok {
		return "", fmt.Errorf("the Link to the next page is %.200q", link)
	}
	_, next, err := resolve("http://registry", path, to)
	return next, err
}
