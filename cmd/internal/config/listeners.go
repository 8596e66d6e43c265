package config

import (
	"fmt"
	"slices"
)

// Listener is one address that clients reach, and how it speaks.
type Listener struct {
	Listen string `key:"listen" needed:"127.0.0.1:5001" help:"address and port; port 0 takes a free one"`
	Compat string `key:"compat" default:"oci" oneof:"oci,ecr" help:"as the setting compat"`
	TLS    bool   `key:"tls" default:"true" help:"speak TLS, where tls is set up"`
}

// Metrics says where the server tells of itself.
type Metrics struct {
	Listen string `key:"listen" default:"" restart:"yes" help:"address and port where metrics are told at /metrics, in Prometheus' format and without credentials; none means nowhere"`
}

// Port is a listener with all that is set elsewhere.
type Port struct {
	Listen string
	Compat string
	TLS    bool // it speaks TLS
}

// Ports are all addresses that clients reach, the one of the setting listen
// first.
func (c *Config) Ports() []Port {
	ports := []Port{{c.Listen, c.Compat, c.TLS.On()}}
	for _, l := range c.Listeners {
		ports = append(ports, Port{l.Listen, l.Compat, l.TLS && c.TLS.On()})
	}
	return ports
}

// checkListeners looks at the addresses, and at who reaches them.
func (l *loader) checkListeners() {
	c := l.config
	seen := []string{c.Listen}
	for i, x := range c.Listeners {
		switch err := checkAddress(x.Listen); {
		case err != nil:
			l.complain(c.portOrigin(i+1), err)
		case slices.Contains(seen, x.Listen) && !takesFreePort(x.Listen):
			l.complain(c.portOrigin(i+1), fmt.Errorf("%q is listened on already", x.Listen))
		}
		seen = append(seen, x.Listen)
	}
	if len(l.wrong) > 0 {
		return
	}
	for i, p := range c.Ports() {
		l.checkReach(p, c.portOrigin(i))
	}
}

// portOrigin is where the i-th of Ports was asked for.
func (c *Config) portOrigin(i int) origin {
	if i == 0 {
		return c.origins["listen"]
	}
	return c.origins[fmt.Sprintf("listeners[%d]", i-1)]
}

// checkReach refuses what others than this machine must not reach.
func (l *loader) checkReach(p Port, from origin) {
	c := l.config
	switch {
	case IsLoopback(p.Listen):
	case c.Dev:
		l.complain(from, fmt.Errorf("listen: %q is refused with dev, whose keys everybody knows; did you mean %q?",
			p.Listen, loopbackMeant(p.Listen)))
	case !p.TLS && !c.Insecure:
		l.complain(from, fmt.Errorf("listen: other machines reach %q, and without TLS whoever is on the way can read and change passwords and layers; "+
			"set tls.cert and tls.key, or tls.auto, or say --insecure if something else protects them", p.Listen))
	}
}
