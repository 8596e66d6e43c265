package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/mirror"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

// openMirror has pull-through rules obeyed.
func (s *Server) openMirror() error {
	c := s.options.Config
	client, err := remote.New(remote.Options{
		Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP, Redirects: remote.MostRedirects, Resolver: s.options.seams.names,
	})
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	s.mirror, err = mirror.New(mirror.Options{
		Registry: s.registry, Authorizer: s.access, Now: s.keeper.clock.Now, Log: s.log,
		Open:       func(rule registry.PullThroughRule) (mirror.Upstream, error) { return s.openUpstream(client, rule) },
		Revalidate: func() time.Duration { return s.config.Load().Mirror.Revalidate },
	})
	if err == nil {
		s.registry.SetMirror(s.mirror)
	}
	return err
}

// openUpstream makes the upstream of a rule, as the configuration says.
func (s *Server) openUpstream(client *http.Client, rule registry.PullThroughRule) (*peer.Registry, error) {
	o := peer.Options{URL: "https://" + rule.UpstreamHost, Client: client, Log: s.log}
	for _, u := range s.options.Config.Mirror.Upstreams {
		if u.Host != rule.UpstreamHost {
			continue
		}
		o.Realms = u.Realms
		if u.URL != "" {
			o.URL = u.URL
		}
	}
	var err error
	if o.Credentials, err = s.upstreamCredentials(client, rule, o.URL); err != nil {
		return nil, err
	}
	return peer.New(o)
}

// upstreamCredentials are those that a rule names, nil if it names none.
func (s *Server) upstreamCredentials(client *http.Client, rule registry.PullThroughRule, url string) (peer.Credentials, error) {
	arn := rule.Credential + rule.Role // a rule has one at most
	if arn == "" {
		return nil, nil
	}
	for _, c := range s.options.Config.Mirror.Credentials {
		if c.ARN != arn {
			continue
		}
		known, err := credentialsFrom(c, url)
		if err != nil || rule.Role == "" {
			return known, err
		}
		return ecrCredentials(client, rule, url, known)
	}
	return nil, fmt.Errorf("mirror.credentials has nothing for %s", arn)
}

func credentialsFrom(c config.MirrorCredential, url string) (peer.Credentials, error) {
	switch {
	case c.File != "":
		return peer.File(c.File), nil
	case c.Env != "":
		return peer.Environment(c.Env), nil
	}
	return peer.Helper(c.Helper, url)
}

// ecrCredentials log in at another registry of ECR's with an access key. Where the
// configuration has another address for its host, the API is asked there too.
func ecrCredentials(client *http.Client, rule registry.PullThroughRule, url string, key peer.Credentials) (peer.Credentials, error) {
	e := peer.ECR{Client: client, Key: key, Region: endpoint.ParseHost(rule.UpstreamHost).Region}
	if url != "https://"+rule.UpstreamHost {
		e.Endpoint = url
	}
	return peer.NewECR(e)
}

// upstreamHosts are those that the configuration adds to the ones that ECR knows.
func upstreamHosts(c *config.Config) (list []string) {
	for _, u := range c.Mirror.Upstreams {
		list = append(list, u.Host)
	}
	return list
}

// ruleFigures are what pull-through rules have done, by rule.
type ruleFigures map[mirror.Rule]mirror.Figures

// by is one figure of each rule, which metrics know by its registry and prefix.
func (f ruleFigures) by(figure func(mirror.Figures) int64) map[string]float64 {
	all := map[string]float64{}
	for rule, of := range f {
		all[rule.Registry.Account+"/"+rule.Registry.Region+"/"+strings.TrimSuffix(rule.Prefix, "/")] += float64(figure(of))
	}
	return all
}

// mirrorTeller tells of them.
func (s *Server) mirrorTeller() prometheus.Collector {
	sum := func(name, help string, figure func(mirror.Figures) int64) fact[ruleFigures] {
		return labelledCounter(name, help, "rule", func(f ruleFigures) map[string]float64 { return f.by(figure) })
	}
	return told(s, func(context.Context) (ruleFigures, error) { return s.mirror.Figures(), nil },
		sum("berth_mirror_hits_total", "Pulls of mirrored manifests for which the upstream was not asked or had nothing new, by pull-through rule.", func(f mirror.Figures) int64 { return f.Hits }),
		sum("berth_mirror_misses_total", "Pulls of manifests that the upstream was asked for, by rule.", func(f mirror.Figures) int64 { return f.Misses }),
		sum("berth_mirror_stale_total", "Pulls that were answered from here because the upstream could not be asked, by rule.", func(f mirror.Figures) int64 { return f.Stale }),
		sum("berth_mirror_bytes_total", "Bytes that came from upstreams, by rule.", func(f mirror.Figures) int64 { return f.Bytes }),
	)
}
