package sign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// Setting is a profile as the configuration has it. Either it is generated or both files
// are named.
type Setting struct {
	ARN      string
	Generate bool
	// KeyFile has a private key and ChainFile its certificates, from its own to a root
	// that is self-signed, all of them PEM.
	KeyFile, ChainFile string
}

// Profile is a profile as people are shown it.
type Profile struct {
	ARN       string
	Generated bool
	// Chain are the certificates that new signatures have, the root's last; none if there
	// are none yet, and Fault says why.
	Chain []*x509.Certificate
	Fault string // why it does not sign, "" if it does
}

// Root is the certificate that a trust store needs, nil if there is none.
func (p Profile) Root() *x509.Certificate {
	if len(p.Chain) == 0 {
		return nil
	}
	return p.Chain[len(p.Chain)-1]
}

// KeyringOptions are what OpenKeyring needs.
type KeyringOptions struct {
	Index storage.Index // required; generated keys are rows of it
	// SealingKey encrypts them there: at least 32 random bytes, kept outside of it.
	SealingKey []byte
	Now        func() time.Time // nil means time.Now
}

// Keyring has the profiles that a server signs with. It is safe for use by several
// goroutines.
type Keyring struct {
	index storage.Index
	seal  *sealer
	now   func() time.Time
	set   atomic.Pointer[Set]
}

// OpenKeyring makes a keyring that has no profiles yet: see Load.
func OpenKeyring(o KeyringOptions) (*Keyring, error) {
	seal, err := newSealer(o.SealingKey)
	if err != nil {
		return nil, err
	}
	k := &Keyring{index: o.Index, seal: seal, now: o.Now}
	if k.now == nil {
		k.now = time.Now
	}
	k.set.Store(&Set{})
	return k, nil
}

// Set are profiles that were read and checked.
type Set struct {
	of    map[string]source // by ARN
	ended map[string]string
}

// source is where a profile's signer comes from: files, which were read, or the index.
type source struct {
	files *signer // nil for a profile that is generated
}

// Ended are the profiles of which a certificate did not hold when they were read, with
// why. They do not sign.
func (s *Set) Ended() map[string]string { return s.ended }

// Load reads and checks profiles, and makes what is to be generated and is not there. The
// error names all that is wrong but that certificates do not hold now: see Set.Ended.
func (k *Keyring) Load(ctx context.Context, settings []Setting) (*Set, error) {
	set := &Set{map[string]source{}, map[string]string{}}
	var wrong []error
	for _, one := range settings {
		from, err := k.load(ctx, one)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("signing profile %s: %w", one.ARN, err))
			continue
		}
		if from.files != nil {
			if err := from.files.holds(k.now()); err != nil {
				set.ended[one.ARN] = err.Error()
			}
		}
		set.of[one.ARN] = from
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return set, nil
}

func (k *Keyring) load(ctx context.Context, one Setting) (source, error) {
	if one.Generate {
		_, err := k.generated(ctx, one.ARN)
		if storage.Refuses(err) { // it is made with the first signature
			err = nil
		}
		return source{}, err
	}
	s, err := readFiles(one.KeyFile, one.ChainFile)
	if err != nil {
		return source{}, err
	}
	return source{s}, nil
}

// Holds says whether a profile is in force and its certificates hold, as far as that is
// known without a look at the index.
func (k *Keyring) Holds(arn string) bool {
	from, ok := k.set.Load().of[arn]
	return ok && (from.files == nil || from.files.holds(k.now()) == nil)
}

// Use puts profiles in force.
func (k *Keyring) Use(s *Set) { k.set.Store(s) }

// signer is what signs for a profile now.
func (k *Keyring) signer(ctx context.Context, arn string) (*signer, error) {
	from, ok := k.set.Load().of[arn]
	if !ok {
		return nil, &failure{registry.UnsignedByAbsence, "This server has no signing profile " + arn}
	}
	s, err := from.files, error(nil)
	if s == nil {
		s, err = k.generated(ctx, arn)
	}
	switch {
	case errors.Is(err, errSealed):
		return nil, &failure{registry.UnsignedByProfile, "The key of the signing profile cannot be opened"}
	case err != nil:
		return nil, err
	}
	if err := s.holds(k.now()); err != nil {
		return nil, &failure{registry.UnsignedByProfile, "The signing profile cannot sign: " + err.Error()}
	}
	return s, nil
}

// Profiles are the profiles in force, in order of ARN.
func (k *Keyring) Profiles(ctx context.Context) (list []Profile, err error) {
	set := k.set.Load()
	for _, arn := range slices.Sorted(maps.Keys(set.of)) {
		p := Profile{ARN: arn, Generated: set.of[arn].files == nil}
		s, err := set.of[arn].files, error(nil)
		if s == nil {
			s, err = k.kept(ctx, arn)
		}
		switch {
		case errors.Is(err, storage.ErrNotFound):
			p.Fault = "no key has been generated yet"
		case errors.Is(err, errSealed):
			p.Fault = err.Error()
		case err != nil:
			return nil, err
		default:
			p.Chain = s.chain
			if err := s.holds(k.now()); err != nil {
				p.Fault = err.Error()
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// holds is nil if all certificates hold at a time.
func (s *signer) holds(at time.Time) error {
	for _, cert := range s.chain {
		if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
			return fmt.Errorf("the certificate of %q is valid from %s to %s",
				cert.Subject, cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
