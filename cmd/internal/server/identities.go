package server

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/sign"
	"github.com/seed-78150930/berth/storage"
)

// clerk answers what commands ask about identities, but for what takes more than the
// store of them.
func (k *Keeper) clerk(c *config.Config) *admin.Clerk {
	clerk := &admin.Clerk{Accounts: k.accounts, Account: c.Account, Region: c.Region, AnonymousPull: c.AnonymousPull}
	if k.store.kept.Index != nil {
		clerk.Compare = k.compare
	}
	return clerk
}

// Call implements admin.Keeper.
func (k *Keeper) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	clerk := k.clerk(k.config)
	clerk.Credentials, clerk.Judge, clerk.Registry, clerk.Signing = k.credentials, k.judge, k.registry, k.signing
	return clerk.Call(ctx, name, question)
}

// credentials makes registry passwords as the server of the store does.
func (k *Keeper) credentials() (*credentials.Verifier, error) {
	return credentials.New(credentials.Options{
		Now: k.clock.Now, Clients: time.Now,
		Accounts: k.accounts, TokenKeys: [][]byte{k.store.key.Derive("tokens")}, Home: k.config.Account,
	})
}

// judge opens a registry over the store for as long as it takes, which changes
// nothing.
func (k *Keeper) judge(ctx context.Context) (admin.Judge, error) {
	r, err := k.registry(ctx)
	if err != nil {
		return admin.Judge{}, err
	}
	a, err := access.New(access.Options{Now: k.clock.Now, Identities: k.accounts, Resources: r})
	return admin.Judge{Access: a, Registry: r}, err
}

// registry is the registry over the store, opened for the first command that needs it:
// what one asks of it another may ask about.
func (k *Keeper) registry(ctx context.Context) (s *registry.Service, err error) {
	k.opening.Lock()
	defer k.opening.Unlock()
	if k.domain == nil {
		o := registryOptions(k.config)
		o.Index, o.Blobs = k.store.index, k.store.blobs
		o.Now, o.Held = k.clock.Now, k.clock.Held
		if s, err = registry.New(ctx, o); err != nil {
			return nil, err
		}
		k.domain = s
	}
	return k.domain, nil
}

// Call implements admin.Keeper. What was asked is logged by its name alone: there may
// be secrets in it.
func (s *Server) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	clerk := s.keeper.clerk(s.config.Load())
	clerk.Credentials, clerk.Judge = func() (*credentials.Verifier, error) { return s.credentials, nil }, s.judge
	clerk.Registry = func(context.Context) (*registry.Service, error) { return s.registry, nil }
	clerk.Signing = func(context.Context) (*sign.Keyring, error) { return s.keyring, nil }
	clerk.Writes, clerk.Replicator, clerk.Vulnerabilities = s, s.replicas, s.scanned
	ctx = storage.UseReserve(ctx) // commands are what makes room
	answer, err := s.recorded(ctx, name, question, func() ([]byte, error) { return clerk.Call(ctx, name, question) })
	if err != nil {
		s.log.Info("command refused", "call", name, "error", err)
		return nil, err
	}
	s.log.Info("command done", "call", name)
	return answer, nil
}

func (s *Server) judge(context.Context) (admin.Judge, error) {
	return admin.Judge{Access: s.access, Registry: s.registry, Denials: s.denials}, nil
}
