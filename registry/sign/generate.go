package sign

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// generatedRow is a generated profile, under its ARN. Keys are PKCS #8, sealed.
type generatedRow struct {
	Root    []byte    `json:"root"` // certificate, DER
	RootKey []byte    `json:"rootKey"`
	Leaf    []byte    `json:"leaf"`
	LeafKey []byte    `json:"leafKey"`
	LeafAt  time.Time `json:"leafAt"` // when it was made
}

var generatedRows = table.New[generatedRow]("signing-profile", 1)

const (
	// rootTime is how long a generated root holds.
	rootTime = 25 * 365 * 24 * time.Hour
	// leafTime is how long signatures are made with one key; then it is forgotten. Its
	// certificate holds as long as the root's: without a timestamp of somebody else's a
	// signature is good as long as its certificate holds (Notary Project,
	// trust-store-trust-policy.md, "Authentic timestamp").
	leafTime = 365 * 24 * time.Hour
	// slack is how long before it was made a certificate holds, for clocks that are slow.
	slack = time.Hour
)

// generated is what signs for a generated profile. It makes the root and the key that are
// not there, and another key when that one has been used for leafTime.
func (k *Keyring) generated(ctx context.Context, arn string) (s *signer, err error) {
	row, err := k.row(ctx, arn)
	now := k.now()
	if err == nil && now.Before(row.LeafAt.Add(leafTime)) {
		return k.open(arn, row)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	err = k.index.Update(ctx, func(tx storage.Tx) error {
		row, err = generatedRows.Get(tx, arn)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			row, err = k.newRow(arn, now)
		case err == nil && !now.Before(row.LeafAt.Add(leafTime)):
			err = k.renewLeaf(arn, &row, now)
		default:
			return err // somebody else was faster
		}
		if err != nil {
			return err
		}
		return generatedRows.Put(tx, row, arn)
	})
	if err != nil {
		return nil, err
	}
	return k.open(arn, row)
}

// kept is generated for what is there.
func (k *Keyring) kept(ctx context.Context, arn string) (*signer, error) {
	row, err := k.row(ctx, arn)
	if err != nil {
		return nil, err
	}
	return k.open(arn, row)
}

func (k *Keyring) row(ctx context.Context, arn string) (row generatedRow, err error) {
	err = k.index.View(ctx, func(r storage.Reader) (err error) {
		row, err = generatedRows.Get(r, arn)
		return err
	})
	return row, err
}

// open reads a row. Each key holds under the profile and what it is for, so that no row
// passes for another's.
func (k *Keyring) open(arn string, row generatedRow) (*signer, error) {
	key, err := k.seal.openKey("leaf "+arn, row.LeafKey)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(row.Leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate of signing profile %s: %w", arn, err)
	}
	root, err := x509.ParseCertificate(row.Root)
	if err != nil {
		return nil, fmt.Errorf("root certificate of signing profile %s: %w", arn, err)
	}
	return &signer{key, []*x509.Certificate{leaf, root}}, nil
}

// newRow makes a root and a key under it.
func (k *Keyring) newRow(arn string, now time.Time) (row generatedRow, err error) {
	key, err := newKey()
	if err != nil {
		return row, err
	}
	root := template(subjectName(arn, " root"), now, now.Add(rootTime))
	root.IsCA, root.MaxPathLenZero, root.KeyUsage = true, true, x509.KeyUsageCertSign
	if row.Root, err = x509.CreateCertificate(rand.Reader, root, root, key.Public(), key); err != nil {
		return row, err
	}
	if row.RootKey, err = k.seal.sealKey("root "+arn, key); err != nil {
		return row, err
	}
	err = k.renewLeaf(arn, &row, now)
	return row, err
}

// renewLeaf makes another key under the root, and forgets the one before.
func (k *Keyring) renewLeaf(arn string, row *generatedRow, now time.Time) error {
	rootKey, err := k.seal.openKey("root "+arn, row.RootKey)
	if err != nil {
		return err
	}
	root, err := x509.ParseCertificate(row.Root)
	if err != nil {
		return fmt.Errorf("root certificate of signing profile %s: %w", arn, err)
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	leaf := template(subjectName(arn, ""), now, root.NotAfter)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	sealed, err := k.seal.sealKey("leaf "+arn, key)
	if err != nil {
		return err
	}
	row.Leaf, row.LeafKey, row.LeafAt = cert, sealed, now.UTC()
	return nil
}

func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// template is what roots and leaves have in common.
func template(name pkix.Name, now, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: name, NotBefore: now.Add(-slack).UTC(), NotAfter: until.UTC(),
		BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
}

// serial is a number that no other certificate has.
func serial() *big.Int {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // which never fails
	random[0] |= 0x40        // or it might be shorter, or zero
	random[0] &= 0x7f        // or negative
	return new(big.Int).SetBytes(random)
}

// subjectName tells which profile a certificate is of. Trust policies name identities by
// country, state and organization at least (Notary Project,
// trust-store-trust-policy.md); ZZ is no country's code.
func subjectName(arn, what string) pkix.Name {
	part := strings.SplitN(arn, ":", 6)
	_, profile, _ := strings.Cut(part[5], "/signing-profiles/")
	return pkix.Name{
		Country: []string{"ZZ"}, Province: []string{part[3]}, Organization: []string{"Berth"}, OrganizationalUnit: []string{part[4]},
		CommonName: cut(cmp.Or(profile, part[5]), 64-len(what)) + what,
	}
}

// cut is a text of no more bytes than a common name may have left (RFC 5280, ub-common-name).
func cut(text string, most int) string { return text[:min(len(text), most)] }
