package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// What documents are kept: one of each kind for a registry, one for a
// repository.
const (
	registryPolicyKind = "registry-policy"
	scanningKind       = "scanning"
	signingKind        = "signing"
	replicationKind    = "replication"

	repositoryPolicyKind = "policy"

	exclusionKind   = "pull-time-exclusions"
	templateKind    = "creation-templates" // in events; each template is a row of its own
	pullThroughKind = "pull-through-rules" // in events; each rule is a row of its own
)

// documentKey is the key of a registry's document.
func (id ID) documentKey(kind string) []string { return []string{id.Account, id.Region, kind} }

// getDocument reads a document, or returns storage.ErrNotFound, also for one
// that was deleted.
func getDocument(rd storage.Reader, t table.Table[documentRow], key []string) (documentRow, error) {
	row, err := t.Get(rd, key...)
	if err == nil && row.Text == "" {
		return row, storage.ErrNotFound
	}
	return row, err
}

// putDocument replaces a document's text by another, which is not "", and counts
// its version up.
func (s *Service) putDocument(tx storage.Tx, t table.Table[documentRow], key []string, text string) (documentRow, error) {
	row, err := t.Get(tx, key...)
	if ignoreNotFound(err) != nil {
		return documentRow{}, err
	}
	row = documentRow{Version: row.Version + 1, UpdatedAt: s.now().UTC(), Text: text}
	return row, t.Put(tx, row, key...)
}

// deleteDocument takes a document away and returns what it was, or
// storage.ErrNotFound. Its version stays, lest another text get it.
func (s *Service) deleteDocument(tx storage.Tx, t table.Table[documentRow], key []string) (documentRow, error) {
	row, err := getDocument(tx, t, key)
	if err != nil {
		return documentRow{}, err
	}
	return row, t.Put(tx, documentRow{Version: row.Version, UpdatedAt: s.now().UTC()}, key...)
}

// missing says that a document is not there.
func missing(err error) bool { return errors.Is(err, storage.ErrNotFound) }

// readJSON reads a registry's document of JSON, or returns storage.ErrNotFound.
func readJSON[T any](rd storage.Reader, id ID, kind string) (v T, err error) {
	row, err := getDocument(rd, documents, id.documentKey(kind))
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(row.Text), &v); err != nil {
		return v, fmt.Errorf("read document %s of %v: %w", kind, id, err)
	}
	return v, nil
}

// writeJSON replaces a registry's document, with the event.
func (s *Service) writeJSON(ctx context.Context, tx storage.Tx, id ID, kind string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write document %s of %v: %w", kind, id, err)
	}
	if _, err := s.putDocument(tx, documents, id.documentKey(kind), string(text)); err != nil {
		return err
	}
	return s.recordDocument(ctx, tx, id, kind)
}

// removeDocument takes a registry's document away, with the event, and returns
// what it was, or storage.ErrNotFound.
func (s *Service) removeDocument(ctx context.Context, tx storage.Tx, id ID, kind string) (documentRow, error) {
	row, err := s.deleteDocument(tx, documents, id.documentKey(kind))
	if err != nil {
		return documentRow{}, err
	}
	return row, s.recordDocument(ctx, tx, id, kind)
}

// recordDocument writes the event of a registry's document that was put or
// deleted.
func (s *Service) recordDocument(ctx context.Context, tx storage.Tx, id ID, kind string) error {
	return s.recordRegistry(ctx, tx, RegistryChanged, id, eventRow{Detail: detail(RegistryDetail{kind})})
}
