package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/seed-78150930/berth/auth/accounts"
)

// identitiesFile is the file of the setting identities.
type identitiesFile struct {
	Accounts map[string]accountEntry `yaml:"accounts"`
}

type accountEntry struct {
	Users     map[string]userEntry  `yaml:"users"`
	Groups    map[string]groupEntry `yaml:"groups"`
	Roles     map[string]roleEntry  `yaml:"roles"`
	Policies  map[string]policyText `yaml:"policies"`
	Providers map[string][]string   `yaml:"providers"`
}

type userEntry struct {
	Path         string                `yaml:"path"`
	Groups       []string              `yaml:"groups"`
	Policies     []string              `yaml:"policies"`
	Inline       map[string]policyText `yaml:"inline"`
	Boundary     string                `yaml:"boundary"`
	Tags         map[string]string     `yaml:"tags"`
	PasswordHash string                `yaml:"password-hash"`
	PasswordLife time.Duration         `yaml:"password-life"`
	Disabled     bool                  `yaml:"disabled"`
}

type groupEntry struct {
	Path     string                `yaml:"path"`
	Policies []string              `yaml:"policies"`
	Inline   map[string]policyText `yaml:"inline"`
}

type roleEntry struct {
	Path         string                `yaml:"path"`
	Trust        policyText            `yaml:"trust"`
	MaxSession   time.Duration         `yaml:"max-session"`
	Policies     []string              `yaml:"policies"`
	Inline       map[string]policyText `yaml:"inline"`
	Boundary     string                `yaml:"boundary"`
	Tags         map[string]string     `yaml:"tags"`
	PasswordLife time.Duration         `yaml:"password-life"`
}

// policyText is a policy: its JSON as a text, or the same as YAML.
type policyText string

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *policyText) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*p = policyText(n.Value)
		return nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	*p = policyText(text)
	return err
}

// LoadIdentities reads a file of identities; "" has none. Whether they are valid is
// for accounts.Store.Declare to say.
func LoadIdentities(name string) (*accounts.Declaration, error) {
	if name == "" {
		return nil, nil
	}
	data, err := readFile(name)
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields(), yaml.WithUniqueKeys())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var file identitiesFile
	if err := loader.Load(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{}}
	for id, entry := range file.Accounts {
		d.Accounts[id] = entry.declared(id)
	}
	return d, nil
}

func (a accountEntry) declared(account string) accounts.DeclaredAccount {
	d := accounts.DeclaredAccount{
		Users: map[string]accounts.DeclaredUser{}, Groups: map[string]accounts.DeclaredGroup{}, Roles: map[string]accounts.DeclaredRole{},
		Policies: texts(a.Policies), Providers: a.Providers,
	}
	for name, u := range a.Users {
		d.Users[name] = accounts.DeclaredUser{
			Path: u.Path, Groups: u.Groups, Inline: texts(u.Inline), Attached: policyARNs(account, u.Policies),
			Boundary: policyARN(account, u.Boundary), Tags: u.Tags, PasswordHash: u.PasswordHash, PasswordLife: u.PasswordLife, Disabled: u.Disabled,
		}
	}
	for name, g := range a.Groups {
		d.Groups[name] = accounts.DeclaredGroup{Path: g.Path, Inline: texts(g.Inline), Attached: policyARNs(account, g.Policies)}
	}
	for name, r := range a.Roles {
		d.Roles[name] = accounts.DeclaredRole{
			Path: r.Path, Trust: string(r.Trust), MaxSession: r.MaxSession, Inline: texts(r.Inline), Attached: policyARNs(account, r.Policies),
			Boundary: policyARN(account, r.Boundary), Tags: r.Tags, PasswordLife: r.PasswordLife,
		}
	}
	return d
}

func texts(policies map[string]policyText) map[string]string {
	all := map[string]string{}
	for name, text := range policies {
		all[name] = string(text)
	}
	return all
}

func policyARNs(account string, names []string) (arns []string) {
	for _, name := range names {
		arns = append(arns, policyARN(account, name))
	}
	return arns
}

// policyARN is the ARN of a managed policy that a file names, by its ARN or by its
// name alone: one of the account's, or one that is built in.
func policyARN(account, name string) string {
	switch {
	case name == "" || strings.HasPrefix(name, "arn:"):
		return name
	case accounts.IsBuiltin(name):
		return "arn:aws:iam::aws:policy/" + name
	}
	return "arn:aws:iam::" + account + ":policy/" + name
}
