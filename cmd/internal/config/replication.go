package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/replicate"
)

// Replication says of registries that replication rules name what ECR's rules cannot.
type Replication struct {
	Destinations []ReplicationDestination `key:"destinations" restart:"yes" help:"registries of other servers that replication rules may name, and what goes to them and when"`
}

// ReplicationDestination is a registry that rules name by its account and region. One
// with a URL, or that is ECR's, is of another server; any other is of this one.
type ReplicationDestination struct {
	Account   string         `key:"account" needed:"000000000000" help:"account that rules name it by"`
	Region    string         `key:"region" needed:"eu-west-1" help:"region that rules name it by"`
	URL       string         `key:"url" default:"" help:"address of another Berth or of any OCI registry, reached as egress allows; none means a registry of this server, or Amazon's"`
	Prefix    string         `key:"repository-prefix" default:"" help:"put before the names of repositories there"`
	File      string         `key:"file" default:"" help:"file with user:password or {\"username\": …, \"accessToken\": …}; for ECR an access key and its secret in the same form"`
	Env       string         `key:"env" default:"" help:"environment variable with the same"`
	Helper    string         `key:"helper" default:"" help:"credential helper of docker's, by its name behind docker-credential-"`
	Realms    []string       `key:"realms" help:"hosts of token services that may see its credentials besides its own"`
	ECR       ReplicationECR `key:"ecr"`
	Tags      []string       `key:"tags" help:"patterns of the tags that go there, * for any run of characters; none means all"`
	Deletes   bool           `key:"deletes" default:"false" help:"images and tags that are deleted here are deleted there"`
	Backfill  bool           `key:"backfill" default:"false" help:"images that were here before a rule go there too"`
	Bandwidth Size           `key:"bandwidth" default:"0" zero:"yes" help:"bytes of layers that are sent in a second; 0 for no bound"`
	Windows   []string       `key:"windows" help:"times of the day, in UTC, when images are sent, such as 22:00-06:00; none means always"`
}

// ReplicationECR says that a destination is ECR.
type ReplicationECR struct {
	Region   string `key:"region" default:"" help:"region of ECR, if the destination is that: what is missing is made and what goes is deleted by its API"`
	Endpoint string `key:"endpoint" default:"" help:"address of ECR's API; none means Amazon's of the region"`
}

// Remote says whether the destination is of another server.
func (d ReplicationDestination) Remote() bool { return d.URL != "" || d.ECR.Region != "" }

func checkReplication(c *Config) error {
	var seen []registry.ID
	for i, d := range c.Replication.Destinations {
		id, err := d.check()
		if err == nil && slices.Contains(seen, id) {
			err = fmt.Errorf("account %s has another destination in %s", d.Account, d.Region)
		}
		if err != nil {
			return fmt.Errorf("destinations[%d]: %w", i, err)
		}
		seen = append(seen, id)
	}
	return nil
}

func (d ReplicationDestination) check() (registry.ID, error) {
	id, err := registry.ParseID(d.Account, d.Region)
	if err != nil {
		return id, err
	}
	if err := d.checkReach(); err != nil {
		return id, err
	}
	for _, w := range d.Windows {
		if _, err := replicate.ParseWindow(w); err != nil {
			return id, err
		}
	}
	if _, err := registry.ParseName(id, d.Prefix+"name"); err != nil {
		return id, fmt.Errorf("repository-prefix: %.80q is not the beginning of a name", d.Prefix)
	}
	return id, nil
}

// checkReach looks at how the destination is reached, and as whom.
func (d ReplicationDestination) checkReach() error {
	given := 0
	for _, from := range []string{d.File, d.Env, d.Helper} {
		if from != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return fmt.Errorf("one of file, env and helper is asked for")
	case d.ECR.Region != "" && given == 0:
		return fmt.Errorf("ecr: one of file, env and helper is asked for")
	case d.ECR.Endpoint != "" && d.ECR.Region == "":
		return fmt.Errorf("ecr.region is missing")
	case !d.Remote() && (given > 0 || d.Prefix != "" || d.Bandwidth > 0 || len(d.Windows)+len(d.Realms) > 0):
		return fmt.Errorf("url is missing: a registry of this server has only tags, deletes and backfill")
	}
	for _, at := range []string{d.URL, d.ECR.Endpoint} {
		if err := checkURL(at); at != "" && err != nil {
			return err
		}
	}
	return nil
}

func checkURL(text string) error {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.User != nil || at.Scheme != "https" && at.Scheme != "http" || strings.ContainsAny(text, "?#") {
		return fmt.Errorf("the address is not one such as https://registry.example")
	}
	return nil
}
