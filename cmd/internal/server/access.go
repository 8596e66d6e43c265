package server

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/storage"
)

// heldDenials is how many denials are held for those who ask why.
const heldDenials = 1000

// openAccess makes what decides who may do what.
func (s *Server) openAccess() (err error) {
	s.denials = access.NewDenials(heldDenials)
	s.access, err = access.New(access.Options{Now: s.keeper.clock.Now, Identities: s.keeper.accounts, Resources: s.registry, Denials: s.denials})
	return err
}

// noteDenial holds a denial to act as a role, for those who ask by its code.
func (s *Server) noteDenial(ctx context.Context, d *auth.Denied, reason string) string {
	return s.denials.Note(ctx, d, reason, time.Now())
}

const (
	// usesPause is how late the last use of an access key may be written.
	usesPause = time.Minute
	// issuedPause is how late a registry password may be listed.
	issuedPause = 5 * time.Second
)

// noteUses writes when keys were used and which registry passwords were made, until
// ctx ends and then once more. What fails is tried again the next time.
func (s *Server) noteUses(ctx context.Context) error {
	ctx = storage.UseReserve(ctx) // rows that are there, and passwords that end
	uses, issued := time.NewTicker(usesPause), time.NewTicker(issuedPause)
	defer uses.Stop()
	defer issued.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			err := errors.Join(s.keeper.accounts.FlushUses(last), s.credentials.FlushIssued(last))
			if storage.Refuses(err) {
				s.log.Warn("when keys were used last is not kept", "why", err)
				return nil
			}
			return err
		case <-uses.C:
			err = s.keeper.accounts.FlushUses(ctx)
		case <-issued.C:
			err = s.credentials.FlushIssued(ctx)
		}
		if err != nil && !storage.Refuses(err) {
			s.log.Error("the use of keys cannot be written", "error", err)
		}
	}
}
