package server

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/access"
)

// heldDenials is how many denials are held for those who ask why.
const heldDenials = 1000

// openAccess makes what decides who may do what.
func (s *Server) openAccess() (err error) {
	s.denials = access.NewDenials(heldDenials)
	s.access, err = access.New(access.Options{Identities: s.keeper.accounts, Resources: s.registry, Denials: s.denials})
	return err
}

// usesPause is how late the last use of an access key may be written.
const usesPause = time.Minute

// noteUses writes when keys were used, until ctx ends and then once more. What fails
// is tried again the next time.
func (s *Server) noteUses(ctx context.Context) error {
	tick := time.NewTicker(usesPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.keeper.accounts.FlushUses(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := s.keeper.accounts.FlushUses(ctx); err != nil {
				s.log.Error("the use of keys cannot be written", "error", err)
			}
		}
	}
}
