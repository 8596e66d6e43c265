package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// layerKey is a layer of a repository.
type layerKey struct {
	repository string // its id
	digest     digest.Digest
}

// OpenLayer implements registry.Mirror.
func (m *Mirror) OpenLayer(ctx context.Context, p registry.PendingLayer) (io.ReadSeekCloser, error) {
	left := m.clients.read()
	r, err := m.fetch(p).Open(ctx)
	if err == nil {
		return &served{r, left}, nil
	}
	left()
	if ctx.Err() == nil {
		err = named(refusal(registry.PullThroughRule{UpstreamHost: p.Upstream}, registry.Ref{}, err), p.Name)
	}
	return nil, err
}

// FetchLayer implements registry.Mirror.
func (m *Mirror) FetchLayer(ctx context.Context, p registry.PendingLayer) error {
	return m.fetch(p).Wait(ctx)
}

// fetch is a layer on its way, which sets out unless it is.
func (m *Mirror) fetch(p registry.PendingLayer) *registry.Incoming {
	key := layerKey{p.RepositoryID, p.Digest}
	m.mu.Lock()
	in, ok := m.flights[key]
	if ok = ok && !in.Ended(); !ok {
		in = m.Registry.NewIncoming(p)
		m.flights[key] = in
	}
	m.mu.Unlock()
	if ok {
		return in
	}
	land := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.flights[key] == in {
			delete(m.flights, key)
		}
	}
	if !m.goOn(func() {
		defer m.poke()
		defer land()
		m.fly(in, p)
		m.note(m.failed, key, in.Wait(m.base) != nil)
	}) {
		land()
		in.Fail(stopping(p.Name))
	}
	return in
}

// fly fetches a layer.
func (m *Mirror) fly(in *registry.Incoming, p registry.PendingLayer) {
	// One that was on its way when it was looked for may have come since.
	if there, err := in.Came(m.base); there || err != nil {
		if err != nil {
			in.Fail(err)
		}
		return
	}
	from, up, err := m.source(p)
	if err != nil {
		in.Fail(named(err, p.Name))
		return
	}
	body, size, err := up.OpenBlob(m.base, p.Upstream, p.Digest, 0)
	if err == nil && size >= 0 && size != p.Size {
		err = errors.Join(fmt.Errorf("%w: %d, not the %d that the manifest says", registry.ErrWrongBytes, size, p.Size), body.Close())
	}
	if err != nil {
		in.Fail(m.layerRefused(p, from.Rule, err))
		return
	}
	src := &resumed{m: m, up: up, p: p, body: body}
	defer src.close()
	if err := in.Receive(m.base, src); err != nil {
		_ = m.layerRefused(p, from.Rule, err)
	}
	m.count(p.Name.ID(), p.Prefix, Figures{Bytes: src.at})
}

// Expects implements registry.Mirror.
func (m *Mirror) Expects(p registry.PendingLayer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.failed[layerKey{p.RepositoryID, p.Digest}]
}

// note notes of a key that it is so, or that it is not.
func (m *Mirror) note(in map[layerKey]bool, key layerKey, so bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(in, key)
	if !so {
		return
	}
	if len(in) >= maxKept {
		clear(in)
	}
	in[key] = true
}

// source is where a layer comes from, by the rule as it is now.
func (m *Mirror) source(p registry.PendingLayer) (registry.Source, Upstream, error) {
	rule, err := m.Registry.PullThroughRule(m.base, p.Name.ID(), p.Prefix)
	if err != nil {
		return registry.Source{}, nil, &registry.Error{Code: registry.UpstreamUnavailable, Name: p.Name, Msg: fmt.Sprintf("the pull-through rule for %q, by which the image came, is gone", p.Prefix)}
	}
	up, err := m.upstream(rule)
	return registry.Source{Rule: rule, Repository: p.Upstream}, up, err
}

// layerRefused is the refusal of a layer; an event tells of what is wrong.
func (m *Mirror) layerRefused(p registry.PendingLayer, rule registry.PullThroughRule, err error) error {
	if m.base.Err() != nil {
		return stopping(p.Name)
	}
	m.Log.Warn("a layer could not be had from upstream", "upstream", rule.UpstreamHost, "repository", p.Upstream, "layer", p.Digest, "error", err)
	if isWrong(err) {
		if failed := m.Registry.NoteSyncFailed(m.base, p.Name, rule, registry.Ref{Digest: p.Digest}, fmt.Sprintf("layer %s: %s", p.Digest, err)); failed != nil {
			m.Log.Error("an event could not be written", "error", failed)
		}
	}
	err = refusal(rule, registry.Ref{}, err)
	var e *registry.Error
	if errors.As(err, &e) && e.Code == registry.ImageNotFound {
		of := *e
		of.Code, of.Digests = registry.LayerNotFound, []digest.Digest{p.Digest}
		err = &refused{&of, err}
	}
	return named(err, p.Name)
}

// breaks is how often a body that broke off is gone on with without a byte having come
// since.
const breaks = 3

// resumed reads a layer from upstream, and goes on where an answer breaks off.
type resumed struct {
	m    *Mirror
	up   Upstream
	p    registry.PendingLayer
	body io.ReadCloser // nil when it has broken off
	at   int64
	lost int // breaks since the last byte
}

// Read implements io.Reader.
func (r *resumed) Read(p []byte) (n int, err error) {
	for {
		if r.body == nil {
			if err := r.reopen(); err != nil {
				return 0, err
			}
		}
		n, err = r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.lost = 0
		}
		if err != nil && r.at >= r.p.Size {
			err = io.EOF // whatever ends it: its digest says whether it is right
		}
		if err == nil || r.at >= r.p.Size || errors.Is(err, peer.ErrWrong) || r.m.base.Err() != nil {
			return n, err
		}
		r.close()
		if r.lost++; r.lost > breaks {
			if err == io.EOF {
				err = fmt.Errorf("%w: %d of %d", registry.ErrWrongBytes, r.at, r.p.Size)
			}
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// reopen asks for what has not come.
func (r *resumed) reopen() error {
	body, size, err := r.up.OpenBlob(r.m.base, r.p.Upstream, r.p.Digest, r.at)
	if err != nil {
		return err
	}
	if size >= 0 && size != r.p.Size {
		return errors.Join(fmt.Errorf("%w: %d, not %d as before", registry.ErrWrongBytes, size, r.p.Size), body.Close())
	}
	r.body = body
	return nil
}

func (r *resumed) close() {
	if r.body != nil {
		_ = r.body.Close() // it has been read, or broke off
		r.body = nil
	}
}
