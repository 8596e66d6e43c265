package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/registry/remote"
)

// openEvents makes the follower of the event log that the configuration asks for.
func (s *Server) openEvents(ctx context.Context) (*events.Follower, error) {
	c := s.options.Config
	client, err := remote.New(remote.Options{Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	o := events.Options{Now: s.keeper.clock.Now, Registry: s.registry, Index: s.keeper.store.index, Client: client, File: c.Events.File, Log: s.log}
	for _, w := range c.Events.Webhooks {
		hook, err := webhook(w)
		if err != nil {
			return nil, err
		}
		o.Webhooks = append(o.Webhooks, hook)
	}
	return events.New(ctx, o)
}

// minSecret is how many bytes a secret has at least that cannot be guessed.
const minSecret = 16

func webhook(w config.Webhook) (events.Webhook, error) {
	hook := events.Webhook{
		Name: w.Name, URL: w.URL, Format: events.Format(w.Format), Repositories: w.Repositories, Types: w.Types, MaxAge: w.MaxAge,
	}
	if w.SecretFile == "" {
		return hook, nil
	}
	secret, err := os.ReadFile(w.SecretFile)
	if err != nil {
		return hook, fmt.Errorf("secret of webhook %q: %w", w.Name, err)
	}
	if hook.Secret = bytes.TrimSpace(secret); len(hook.Secret) < minSecret {
		return hook, fmt.Errorf("secret of webhook %q: %s has less than %d bytes", w.Name, w.SecretFile, minSecret)
	}
	return hook, nil
}

// eventsAtOnce is how many events a command is given at once.
const eventsAtOnce = 200

// Events implements admin.Watcher.
func (s *Server) Events(ctx context.Context, after uint64, wait bool) (admin.EventPage, error) {
	if wait {
		waiting, cancel := context.WithTimeout(ctx, admin.EventWait)
		defer cancel()
		if err := s.registry.AwaitEvents(waiting, after); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return admin.EventPage{}, err
		}
	}
	list, last, err := s.events.Page(ctx, after, eventsAtOnce)
	return admin.EventPage{Events: append([]events.Told{}, list...), Last: last}, err
}

// LatestEvent implements admin.Watcher.
func (s *Server) LatestEvent(ctx context.Context) (uint64, error) { return s.registry.LastEvent(ctx) }

// DeadLetters implements admin.Watcher.
func (s *Server) DeadLetters(ctx context.Context, after events.LetterID) ([]events.DeadLetter, error) {
	return s.events.DeadLetters(ctx, after, eventsAtOnce)
}

// Replay implements admin.Watcher.
func (s *Server) Replay(ctx context.Context, id events.LetterID) error {
	return s.events.Replay(ctx, id)
}

// Drop implements admin.Watcher.
func (s *Server) Drop(ctx context.Context, id events.LetterID) error { return s.events.Drop(ctx, id) }
