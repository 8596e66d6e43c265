package mirror

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// question is what upstream is asked once for all who ask it meanwhile.
type question struct {
	name      registry.Name
	ref       registry.Ref
	referrers bool // of the image, not the image
}

// answer is what came of it, when done is closed.
type answer struct {
	done chan struct{}
	news bool
	err  error
}

// Bring implements registry.Mirror.
func (m *Mirror) Bring(ctx context.Context, b registry.Bringing) (news bool, err error) {
	if err := m.may(ctx, b.Name, b.Missing); err != nil {
		return false, err
	}
	defer m.clients.bring()
	return m.askFor(ctx, b)
}

// askFor is Bring for whoever may.
func (m *Mirror) askFor(ctx context.Context, b registry.Bringing) (news bool, err error) {
	return m.ask(ctx, question{name: b.Name, ref: b.Ref}, func(ctx context.Context) (bool, error) { return m.bring(ctx, b) })
}

// ask has a question asked, unless it is being asked, and waits for the answer.
func (m *Mirror) ask(ctx context.Context, q question, how func(context.Context) (bool, error)) (news bool, err error) {
	a := m.begin(ctx, q, how)
	select {
	case <-a.done:
		return a.news, a.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (m *Mirror) begin(ctx context.Context, q question, how func(context.Context) (bool, error)) *answer {
	m.mu.Lock()
	a, ok := m.questions[q]
	if !ok {
		a = &answer{done: make(chan struct{})}
		m.questions[q] = a
	}
	m.mu.Unlock()
	if ok {
		return a
	}
	end := func(news bool, err error) {
		m.mu.Lock()
		delete(m.questions, q)
		m.mu.Unlock()
		a.news, a.err = news, err
		close(a.done)
	}
	// Who asked may go, and others ask the same.
	kept, cancel := context.WithCancel(context.WithoutCancel(ctx))
	detach := context.AfterFunc(m.base, cancel)
	if !m.goOn(func() {
		defer cancel()
		defer detach()
		end(how(kept))
	}) {
		end(false, stopping(q.name))
	}
	return a
}

// bring asks upstream for a manifest and has it kept.
func (m *Mirror) bring(ctx context.Context, b registry.Bringing) (news bool, err error) {
	due, err := m.Registry.IsDue(ctx, b.Name, b.Ref)
	if err != nil || !due { // who asked it before has just had the answer
		return false, err
	}
	rule := b.From.Rule
	up, err := m.upstream(rule)
	if err != nil {
		return false, err
	}
	ref := b.Ref.Digest.String()
	if !b.Ref.Tag.IsZero() {
		ref = b.Ref.Tag.String()
	}
	if !b.Known.IsZero() {
		if err := m.resting(rule.UpstreamHost); err != nil {
			return false, err
		}
		now, err := up.Head(ctx, b.From.Repository, ref)
		if err != nil {
			return false, m.refused(ctx, b, err)
		}
		if now.Digest == b.Known {
			return false, m.Registry.NoteUnchanged(ctx, b.Name, b.Ref.Tag, now.Digest)
		}
		ref = now.Digest.String()
	}
	got, err := up.Manifest(ctx, b.From.Repository, ref)
	if err == nil {
		err = m.keep(ctx, b, got)
	}
	if err != nil {
		return false, m.refused(ctx, b, err)
	}
	return true, nil
}

// refused is the refusal that an error of upstream's, or of what it gave, is; an event
// tells of what is wrong.
func (m *Mirror) refused(ctx context.Context, b registry.Bringing, err error) error {
	if isWrong(err) {
		m.Log.Warn("what upstream gave is wrong", "upstream", b.From.Rule.UpstreamHost, "repository", b.From.Repository, "error", err)
		if failed := m.Registry.NoteSyncFailed(ctx, b.Name, b.From.Rule, b.Ref, err.Error()); failed != nil {
			m.Log.Error("an event could not be written", "error", failed)
		}
		err = &refused{
			&registry.Error{Code: registry.UpstreamUnavailable, Msg: "upstream " + b.From.Rule.UpstreamHost + ": " + err.Error(), Field: b.From.Rule.UpstreamHost},
			fmt.Errorf("%w: %w", registry.ErrWrongBytes, err),
		}
	}
	if m.base.Err() != nil {
		return stopping(b.Name)
	}
	err = refusal(b.From.Rule, b.Ref, err)
	m.noteRest(b.From.Rule.UpstreamHost, err)
	return named(err, b.Name)
}

// named says of a refusal which repository it is about. Others may have the refusal too, so
// that it is said of a copy.
func named(err error, name registry.Name) error {
	var e *registry.Error
	if !errors.As(err, &e) || !e.Name.IsZero() {
		return err
	}
	of := *e
	of.Name = name
	return &refused{&of, err}
}

// keep notes a manifest, and makes it an image if nothing of it is lacking.
func (m *Mirror) keep(ctx context.Context, b registry.Bringing, got peer.Manifest) error {
	want := got.Digest
	if !b.Ref.Digest.IsZero() && b.Ref.Tag.IsZero() {
		want = b.Ref.Digest
	}
	p, err := m.Registry.KeepBrought(ctx, registry.Brought{
		Name: b.Name, From: b.From, MediaType: got.MediaType, Body: got.Body, Want: want, Tag: b.Ref.Tag, MayCreate: b.Missing,
	})
	if err != nil {
		return err
	}
	m.count(b.Name.ID(), b.From.Rule.Prefix, Figures{Bytes: int64(len(got.Body))})
	lacking, err := m.Registry.CompletePending(ctx, p)
	if err == nil && lacking.IsNone() {
		m.ends.Add(1)
	}
	m.poke() // the worker sees to the rest, and to lists that waited for it
	return nil
}

// child has an image that a pending one lists brought.
func (m *Mirror) child(ctx context.Context, p registry.Pending, from registry.Source, d digest.Digest) error {
	_, err := m.askFor(ctx, registry.Bringing{Name: p.Name, From: from, Ref: registry.Ref{Digest: d}})
	return err
}
