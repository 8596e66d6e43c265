package accounts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Issued is a registry password that the server made, without the password.
type Issued struct {
	ID       string
	Account  string
	ARN      string // of who asked for it
	KeyID    string // the access key that it derives from, "" for none
	Region   string
	Scope    *auth.Scope
	SourceIP netip.Addr // of who asked; zero if it was a command
	At       time.Time
	Expires  time.Time
	Revoked  bool
}

type issuedRow struct {
	Account  string       `json:"account"`
	ARN      string       `json:"arn"`
	KeyID    string       `json:"keyId,omitempty"`
	Region   string       `json:"region"`
	Scope    *scopeRecord `json:"scope,omitempty"`
	SourceIP netip.Addr   `json:"sourceIp,omitzero"`
	At       time.Time    `json:"at"`
	Expires  time.Time    `json:"expires"`
}

// revokedRow says that a registry password is refused, until it would be anyway.
type revokedRow struct {
	Expires time.Time `json:"expires"`
}

var (
	issuedRows  = table.New[issuedRow]("issued-password", 1)
	revokedRows = table.New[revokedRow]("revoked-password", 1)
)

// NoteIssued lists registry passwords. They hold without being listed.
func (s *Store) NoteIssued(ctx context.Context, list ...Issued) error {
	if len(list) == 0 {
		return nil
	}
	return s.index.Update(ctx, func(tx storage.Tx) error {
		for _, i := range list {
			row := issuedRow{i.Account, i.ARN, i.KeyID, i.Region, recordScope(i.Scope), i.SourceIP, i.At.UTC(), i.Expires.UTC()}
			if err := issuedRows.Put(tx, row, i.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// IssuedPasswords are those listed that have not ended, in order of id.
func (s *Store) IssuedPasswords(ctx context.Context) (list []Issued, err error) {
	err = s.index.View(ctx, func(r storage.Reader) error {
		list = nil
		for f, err := range issuedRows.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			if !s.now().Before(f.Row.Expires) {
				continue
			}
			revoked, err := revokedRows.Has(r, f.Key[0])
			if err != nil {
				return err
			}
			list = append(list, f.Row.issued(strings.Clone(f.Key[0]), revoked)) // keys are lent
		}
		return nil
	})
	return list, err
}

func (row issuedRow) issued(id string, revoked bool) Issued {
	return Issued{
		ID: id, Account: row.Account, ARN: row.ARN, KeyID: row.KeyID, Region: row.Region, Scope: row.Scope.scope(), SourceIP: row.SourceIP,
		At: row.At, Expires: row.Expires, Revoked: revoked,
	}
}

// RevokePassword refuses a registry password from the next request on, listed or
// not. expires is when it would end; zero means after the longest that one may live.
func (s *Store) RevokePassword(ctx context.Context, id string, expires time.Time) error {
	if !passwordID(id) {
		return invalid("%.40q is no id of a registry password", id)
	}
	if expires.IsZero() {
		expires = s.now().Add(MaxPasswordLife)
	}
	return s.index.Update(ctx, func(tx storage.Tx) error {
		if row, err := issuedRows.Get(tx, id); err == nil {
			expires = row.Expires
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return revokedRows.Put(tx, revokedRow{expires.UTC()}, id)
	})
}

// passwordID says whether a string may be the id of a registry password: letters,
// digits, - and _.
func passwordID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// PasswordRevoked says whether a registry password has been revoked by its id.
func (s *Store) PasswordRevoked(ctx context.Context, id string) (revoked bool, err error) {
	err = s.index.View(ctx, func(r storage.Reader) (err error) {
		revoked, err = revokedRows.Has(r, id)
		return err
	})
	return revoked, err
}

// sweepPage is how many rows SweepPasswords looks at in one transaction.
const sweepPage = 500

// SweepPasswords forgets what is listed of registry passwords that have ended.
func (s *Store) SweepPasswords(ctx context.Context) error {
	now := s.now()
	return errors.Join(
		sweep(ctx, s.index, issuedRows, func(row issuedRow) bool { return !now.Before(row.Expires) }),
		sweep(ctx, s.index, revokedRows, func(row revokedRow) bool { return !now.Before(row.Expires) }))
}

// sweep removes the rows that are over, page by page.
func sweep[Row any](ctx context.Context, index *rows, t table.Table[Row], over func(Row) bool) error {
	for after := []string(nil); ; {
		seen, last := 0, ""
		err := index.Update(ctx, func(tx storage.Tx) error {
			var ids []string
			seen = 0
			for f, err := range t.Scan(tx, table.Select{After: after, Limit: sweepPage}) {
				if err != nil {
					return err
				}
				seen++
				if last = strings.Clone(f.Key[0]); over(f.Row) { // keys are lent
					ids = append(ids, last)
				}
			}
			for _, id := range ids {
				if err := t.Delete(tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || seen < sweepPage {
			return err
		}
		after = []string{last}
	}
}
