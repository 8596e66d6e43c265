package server

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/sign"
)

// openSigning makes the worker that signs images. Its profiles come with the
// configuration.
func (s *Server) openSigning() (err error) {
	if s.keyring, err = s.keeper.openKeyring(); err != nil {
		return err
	}
	s.signer, err = sign.New(sign.Options{Registry: s.registry, Keyring: s.keyring, Now: s.keeper.clock.Now, Log: s.log})
	return err
}

// openKeyring makes a keyring without profiles over the store.
func (k *Keeper) openKeyring() (*sign.Keyring, error) {
	return sign.OpenKeyring(sign.KeyringOptions{Index: k.store.index, SealingKey: k.store.key.Derive("signing profiles"), Now: k.clock.Now})
}

// profiles reads the signing profiles of a configuration. Certificates that have ended
// keep no server from its start, which may come long after they did; but no other
// configuration is taken that brings such ones.
func (s *Server) profiles(c *config.Config) (*sign.Set, error) {
	set, err := s.keyring.Load(context.Background(), signingSettings(c))
	if err != nil {
		return nil, err
	}
	for arn, why := range set.Ended() {
		if s.config.Load() != nil && s.keyring.Holds(arn) {
			return nil, errors.New("signing profile " + arn + ": " + why)
		}
		s.log.Error("a signing profile does not sign", "profile", arn, "why", why)
	}
	return set, nil
}

// signing is the keyring over the store of a server that does not run.
func (k *Keeper) signing(ctx context.Context) (*sign.Keyring, error) {
	keys, err := k.openKeyring()
	if err != nil {
		return nil, err
	}
	set, err := keys.Load(ctx, signingSettings(k.config))
	if err != nil {
		return nil, err
	}
	keys.Use(set)
	return keys, nil
}

func signingSettings(c *config.Config) (list []sign.Setting) {
	for _, p := range c.Signing.Profiles {
		list = append(list, sign.Setting{ARN: p.ARN, Generate: p.Generate, KeyFile: p.KeyFile, ChainFile: p.ChainFile})
	}
	return list
}

// signingProfiles are what the registry is to know of them.
func signingProfiles(c *config.Config) (list []registry.SigningProfile) {
	for _, p := range c.Signing.Profiles {
		list = append(list, registry.SigningProfile{ARN: p.ARN, Accounts: p.Accounts})
	}
	return list
}

// signingFigures are what the worker has done and has to do.
type signingFigures struct {
	sign.Figures
	waiting int
}

func (s *Server) signingFigures(ctx context.Context) (f signingFigures, err error) {
	f.Figures = s.signer.Figures()
	f.waiting, err = s.registry.UnsignedCount(ctx)
	return f, err
}

// signingTeller tells of them.
func (s *Server) signingTeller() prometheus.Collector {
	return told(s, s.signingFigures,
		gauge("berth_signing_waiting", "Images that wait for a signature, each for every profile, counted up to 10000.", func(f signingFigures) float64 { return float64(f.waiting) }),
		labelledCounter("berth_signing_done_total", "Those that were signed or given up, by status.", "status", func(f signingFigures) map[string]float64 {
			return map[string]float64{string(registry.SigningComplete): float64(f.Signed), string(registry.SigningFailed): float64(f.Failed)}
		}),
	)
}
