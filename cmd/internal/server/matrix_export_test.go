package server

import (
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/storage"
)

// Accounts are the identities of the server.
func (s *Server) Accounts() *accounts.Store { return s.keeper.accounts }

// Authorizer decides who may do what.
func (s *Server) Authorizer() auth.Authorizer { return s.access }

// Index is where the server has its facts.
func (s *Server) Index() storage.Index { return s.keeper.store.index }

// Blobs is where the server has its bytes.
func (s *Server) Blobs() storage.Blobs { return s.keeper.store.blobs }

// CredentialsAt are the server's credentials as they were, or will be, by another
// clock: they issue what it takes for its own.
func (s *Server) CredentialsAt(now func() time.Time) (*credentials.Verifier, error) {
	return credentials.New(credentials.Options{
		Accounts: s.keeper.accounts, TokenKeys: [][]byte{s.keeper.store.key.Derive("tokens")}, Now: now,
	})
}
