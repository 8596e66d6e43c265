package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Mirror says how pull-through rules are obeyed.
type Mirror struct {
	Revalidate  time.Duration      `key:"revalidate" default:"24h" help:"how long what an upstream said of a tag is taken for true"`
	Credentials []MirrorCredential `key:"credentials" restart:"yes" help:"what the ARNs of pull-through rules stand for"`
	Upstreams   []MirrorUpstream   `key:"upstreams" restart:"yes" help:"registries that rules may name besides those that ECR knows, and other addresses of those"`
}

// MirrorCredential is a secret, or an AWS access key, that a rule names by its ARN: one
// of File, Env and Helper says where it is.
type MirrorCredential struct {
	ARN    string `key:"arn" needed:"arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/hub" help:"ARN of the secret, or of the role of an upstream that is ECR's"`
	File   string `key:"file" default:"" help:"file with user:password or {\"username\": …, \"accessToken\": …}; for a role an access key and its secret in the same form"`
	Env    string `key:"env" default:"" help:"environment variable with the same"`
	Helper string `key:"helper" default:"" help:"credential helper of docker's, by its name behind docker-credential-"`
}

// MirrorUpstream is a registry by the host that rules name.
type MirrorUpstream struct {
	Host   string   `key:"host" needed:"registry.example" help:"host that rules name"`
	URL    string   `key:"url" default:"" help:"address that is asked for it, reached as egress allows; none means https and the host"`
	Realms []string `key:"realms" help:"hosts of token services that may see its credentials besides its own"`
}

func checkMirror(c *Config) error {
	for i, m := range c.Mirror.Credentials {
		given := 0
		for _, from := range []string{m.File, m.Env, m.Helper} {
			if from != "" {
				given++
			}
		}
		if given != 1 {
			return fmt.Errorf("credentials[%d]: one of file, env and helper is asked for", i)
		}
		if !strings.HasPrefix(m.ARN, "arn:") {
			return fmt.Errorf("credentials[%d]: %.80q is no ARN", i, m.ARN)
		}
	}
	for i, u := range c.Mirror.Upstreams {
		if at, err := url.Parse("//" + u.Host); err != nil || at.Host != u.Host || at.Hostname() == "" {
			return fmt.Errorf("upstreams[%d]: %.80q is no host", i, u.Host)
		}
		if u.URL == "" {
			continue
		}
		if at, err := url.Parse(u.URL); err != nil || at.Host == "" || at.User != nil || at.Scheme != "https" && at.Scheme != "http" {
			return fmt.Errorf("upstreams[%d]: the address is not one such as https://registry.example", i)
		}
	}
	return nil
}
