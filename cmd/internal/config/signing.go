package config

import (
	"fmt"
	"slices"

	"github.com/seed-78150930/berth/registry"
)

// Signing says what the profiles that signing configurations name are.
type Signing struct {
	Profiles []SigningProfile `key:"profiles" help:"signing profiles of this server, which signing configurations name by their ARNs"`
}

// SigningProfile is a key by the ARN that rules name it by: a generated one, or one in
// files.
type SigningProfile struct {
	ARN       string   `key:"arn" needed:"arn:aws:signer:us-east-1:000000000000:/signing-profiles/release" help:"ARN that signing rules name it by"`
	Generate  bool     `key:"generate" default:"false" help:"make a root and a key under it, and keep them sealed in the index"`
	KeyFile   string   `key:"key-file" default:"" help:"file with the private key (PEM), which others on the machine may not read"`
	ChainFile string   `key:"chain-file" default:"" help:"file with its certificates (PEM), from its own to the root"`
	Accounts  []string `key:"accounts" help:"accounts that may sign with it besides the one in its ARN"`
}

func checkSigning(c *Config) error {
	var seen []string
	for i, p := range c.Signing.Profiles {
		err := p.check()
		if err == nil && slices.Contains(seen, p.ARN) {
			err = fmt.Errorf("the profile %s is there twice", p.ARN)
		}
		if err != nil {
			return fmt.Errorf("profiles[%d]: %w", i, err)
		}
		seen = append(seen, p.ARN)
	}
	return nil
}

func (p SigningProfile) check() error {
	if !registry.IsSigningProfile(p.ARN) {
		return fmt.Errorf("%.300q is not the ARN of a signing profile, such as arn:aws:signer:us-east-1:000000000000:/signing-profiles/release", p.ARN)
	}
	switch {
	case p.Generate && p.KeyFile+p.ChainFile != "":
		return fmt.Errorf("either generate or key-file and chain-file are asked for")
	case !p.Generate && (p.KeyFile == "" || p.ChainFile == ""):
		return fmt.Errorf("key-file and chain-file are asked for, or generate")
	}
	for _, account := range p.Accounts {
		if !isAccount(account) {
			return fmt.Errorf("accounts: %.40q is not twelve digits such as 000000000000", account)
		}
	}
	return nil
}
