package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
)

// target is what a command is told of a registry and of who asks it.
type target struct {
	profile, region, endpoint, registryID, ca string
	src                                       config.Sources
}

func addTarget(c *cobra.Command) *target {
	t := &target{}
	f := c.Flags()
	f.StringVar(&t.profile, "profile", "", "profile of AWS's configuration to take credentials from")
	f.StringVar(&t.region, "region", "", "region to sign for (default: that of the host's name, of AWS's configuration, or us-east-1)")
	f.StringVar(&t.endpoint, "endpoint-url", "", "address of the API (default: that of the host)")
	f.StringVar(&t.registryID, "registry-id", "", "account whose registry is meant (default: that of the key)")
	f.StringVar(&t.ca, "ca", "", "file of certificates to trust beside the system's (default: AWS_CA_BUNDLE)")
	t.src = addPlace(c)
	return t
}

// defaultRegion is the one that a server has unless it is told another.
const defaultRegion = "us-east-1"

// parseRegistry reads a host, which may have the scheme that it is to be asked
// by.
func parseRegistry(address string) (scheme, host string, err error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	}
	u, err := url.Parse("//" + strings.TrimSuffix(rest, "/"))
	if err != nil || u.Host == "" || u.Host != strings.TrimSuffix(rest, "/") || scheme != "" && scheme != "http" && scheme != "https" {
		return "", "", usageError{fmt.Errorf("%q is not a host with or without a port, such as localhost:5000", address)}
	}
	return scheme, logins.Host(u.Host), nil
}

// login finds out how passwords of a host are asked for, and by whom. The URL of
// the registry is left out where another host is asked, and nobody has to speak
// to the registry itself.
func (t *target) login(ctx context.Context, address string) (host string, l logins.Login, by asker, err error) {
	if _, _, err = parseRegistry(address); err != nil {
		return "", l, by, err
	}
	if by, err = chooseKey(ctx, t.src, t.profile); err != nil {
		return "", l, by, err
	}
	host, l, err = t.loginBy(ctx, address, by)
	return host, l, by, err
}

// loginBy is login for a key that is chosen.
func (t *target) loginBy(ctx context.Context, address string, by asker) (host string, l logins.Login, err error) {
	scheme, host, err := parseRegistry(address)
	if err != nil {
		return "", l, err
	}
	l = logins.Login{Profile: t.profile, RegistryID: t.registryID, Server: by.server, Region: cmp.Or(t.region, ecrlogin.Region(host), by.Region, defaultRegion)}
	if l.CA, err = absolute(cmp.Or(t.ca, by.ca, os.Getenv("AWS_CA_BUNDLE"))); err != nil {
		return "", l, err
	}
	if l.Endpoint, err = t.api(ctx, l.CA, scheme, host); err != nil {
		return "", l, err
	}
	if u, err := url.Parse(l.Endpoint); err == nil && strings.EqualFold(u.Host, host) {
		l.Registry = l.Endpoint
	}
	return host, l, nil
}

// api is the URL of the API for a registry. An AWS-shaped name does not have to
// lead to it, so what leads every AWS tool there counts for that.
func (t *target) api(ctx context.Context, ca, scheme, host string) (string, error) {
	api, said := ecrlogin.API(host), t.endpoint
	if api != host && said == "" {
		said = saidEndpoint()
	}
	if said != "" {
		return strings.TrimSuffix(said, "/"), checkEndpoint(said)
	}
	return findURL(ctx, ca, scheme, api)
}

// saidEndpoint is where AWS's tools are told that the API is; "" if nowhere.
func saidEndpoint() string {
	return cmp.Or(os.Getenv("AWS_ENDPOINT_URL_ECR"), os.Getenv("AWS_ENDPOINT_URL"))
}

// findURL is the URL of a host, with the scheme that is said or else found.
func findURL(ctx context.Context, ca, scheme, host string) (string, error) {
	if scheme != "" {
		return scheme + "://" + host, nil
	}
	client, err := ecrlogin.NewClient(ca)
	if err != nil {
		return "", err
	}
	return client.Find(ctx, host)
}

func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{fmt.Errorf("the address of the API is %q, which is not of the form http(s)://host[:port]", text)}
	}
	return nil
}

// absolute is a path that means the same from any folder; "" stays what it is.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
