package server

import (
	"context"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// clerk answers what commands ask about identities.
func (k *Keeper) clerk() *admin.Clerk {
	return &admin.Clerk{Accounts: k.accounts, Account: k.config.Account}
}

// Call implements admin.Keeper.
func (k *Keeper) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	return k.clerk().Call(ctx, name, question)
}

// Call implements admin.Keeper. What was asked is logged by its name alone: there may
// be secrets in it.
func (s *Server) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	answer, err := s.keeper.Call(ctx, name, question)
	if err != nil {
		s.log.Info("command refused", "call", name, "error", err)
		return nil, err
	}
	s.log.Info("command done", "call", name)
	return answer, nil
}
