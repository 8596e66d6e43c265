package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/seed-78150930/berth/auth/stsapi"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// port is an address that clients reach, and the doors behind it.
type port struct {
	config.Port // Listen with the port number that it got
	listener    net.Listener
	doors       atomic.Pointer[doors] // for the names in force
}

// openPort listens at an address.
func (s *Server) openPort(c config.Port) (*port, error) {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, err
	}
	p := &port{Port: c, listener: l}
	p.Listen = withPort(c.Listen, l.Addr())
	if s.options.Config.Dev && !isLoopback(l.Addr()) {
		return p, fmt.Errorf("%s leads to %s, which others can reach; with dev that is refused", c.Listen, l.Addr())
	}
	if !c.TLS && !s.options.Config.Insecure && !isLoopback(l.Addr()) {
		return p, fmt.Errorf("%s leads to %s, which others can reach; without TLS that takes --insecure", c.Listen, l.Addr())
	}
	return p, nil
}

// url is how clients on this machine reach a port.
func url(p config.Port) string { return scheme(p) + "://" + localHost(p.Listen) }

func scheme(p config.Port) string {
	if p.TLS {
		return "https"
	}
	return "http"
}

// homePort is the one that clients on this machine are told of: the first that
// they can use without certificates, else the first.
func homePort(ports []config.Port) config.Port {
	for _, p := range ports {
		if !p.TLS && config.IsLoopback(p.Listen) {
			return p
		}
	}
	return ports[0]
}

// openDoors makes the doors of a port, for names that are to be in force.
func (s *Server) openDoors(p *port, names *endpoint.Names, c *config.Config) (*doors, error) {
	oci, err := ociapi.New(ociapi.Options{
		Registry: s.registry, Credentials: s.credentials, Authorizer: s.access, Names: names,
		Log: s.log, RequestID: requestID, Compat: ociapi.Compat(p.Compat), Throttle: s.throttle, Bearer: c.Login.Bearer, Anonymous: c.AnonymousPull, AnonymousReads: s.reads, Audit: s.audit,
	})
	if err != nil {
		return nil, err
	}
	ecr, err := ecrapi.New(ecrapi.Options{
		Registry: s.registry, Credentials: s.credentials, Authorizer: s.access, Names: names,
		PageKey: s.keeper.store.key.Derive("page tokens"), Throttle: s.throttle, Audit: s.audit, Log: s.log, RequestID: requestID,
	})
	if err != nil {
		return nil, err
	}
	sts, err := stsapi.New(stsapi.Options{
		Credentials: s.credentials, Authorizer: s.access, Region: s.options.Config.Region, Audit: s.audit, Log: s.log, RequestID: requestID,
	})
	if err != nil {
		return nil, err
	}
	return &doors{names, oci, oci.LayerLinks(), ecr, sts, sts.Container(), s.ready}, nil
}

// accept is the listener of the port's http.Server, whose connections open
// bounds.
func (p *port) accept(open *connections, conf *tls.Config, handshake tlsLimits) net.Listener {
	l := open.listener(p.listener)
	if !p.TLS {
		return newFramedListener(l)
	}
	return newSecureListener(l, open, conf, handshake)
}

// alsoServes are the addresses behind the first, for people.
func alsoServes(ports []*port) string {
	var all []string
	for _, p := range ports[1:] {
		all = append(all, fmt.Sprintf("%s://%s (%s)", scheme(p.Port), p.listener.Addr(), p.Compat))
	}
	return strings.Join(all, ", ")
}

// handler answers what comes to the port.
func (s *Server) handler(p *port) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, p.doors.Load()) })
}
