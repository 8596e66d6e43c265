package config

import (
	"errors"
	"fmt"
)

// TLS says where certificates come from.
type TLS struct {
	Cert          string   `key:"cert" default:"" restart:"yes" help:"file of the certificate and those above it (PEM); read again when it changes"`
	Key           string   `key:"key" default:"" restart:"yes" help:"file of the certificate's private key (PEM)"`
	Auto          string   `key:"auto" default:"off" oneof:"off,local,acme" restart:"yes" help:"certificates without files: off, local (by a CA of the server's own, see berth ca) or acme"`
	ACMEHosts     []string `key:"acme-hosts" restart:"yes" help:"names to get certificates for by ACME"`
	ACMEEmail     string   `key:"acme-email" default:"" restart:"yes" help:"address that the ACME server may write to"`
	ACMEDirectory string   `key:"acme-directory" default:"" restart:"yes" help:"the ACME server's directory; Let's Encrypt's if none is given"`
}

// On says whether TLS is set up.
func (t TLS) On() bool { return t.Cert != "" || t.Auto != "off" }

var tlsChecks = []struct {
	key   string
	wrong func(*Config) bool
	text  string
}{
	{"tls.cert", func(c *Config) bool { return (c.TLS.Cert == "") != (c.TLS.Key == "") }, "a certificate and its key go together: set both or none"},
	{"tls.auto", func(c *Config) bool { return c.TLS.Cert != "" && c.TLS.Auto != "off" }, "certificates come from files or by themselves, not both"},
	{"tls.auto", func(c *Config) bool { return c.TLS.Auto == "acme" && len(c.TLS.ACMEHosts) == 0 }, "acme needs tls.acme-hosts, the names to get certificates for, such as [registry.example]"},
	{"tls.acme-hosts", func(c *Config) bool { return c.TLS.Auto != "acme" && len(c.TLS.ACMEHosts) > 0 }, "these are for tls.auto: acme"},
	{"tls.auto", func(c *Config) bool { return c.TLS.Auto == "acme" && c.InMemory() }, "acme needs a data folder: certificates that are thrown away are soon refused by who issues them"},
}

func (l *loader) checkTLS() {
	for _, t := range tlsChecks {
		if t.wrong(l.config) {
			l.complain(l.config.origins[t.key], fmt.Errorf("%s: %w", t.key, errors.New(t.text)))
		}
	}
}
