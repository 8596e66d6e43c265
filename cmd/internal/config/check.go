package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/registry/endpoint"
)

var checks = []struct {
	key   string
	check func(*Config) error
}{{"listen", checkListen}, {"data", checkData}, {"account", checkAccount}, {"region", checkRegion}, {"rate-limits", checkRates}, {"protected", checkProtected}, {"metrics.listen", checkMetrics}, {"mirror", checkMirror}, {"replication", checkReplication}, {"scanning.database", checkScanDatabase}, {"signing", checkSigning}}

// check looks at settings that a type alone does not settle.
func (l *loader) check() {
	for _, c := range checks {
		if err := c.check(l.config); err != nil {
			l.complain(l.config.origins[c.key], fmt.Errorf("%s: %w", c.key, err))
		}
	}
	l.checkTLS()
	if len(l.wrong) > 0 {
		return
	}
	l.checkListeners()
	if len(l.wrong) > 0 {
		return
	}
	for _, p := range l.config.Ports() {
		l.checkNames(p.Listen)
	}
}

// checkNames has the names checked by the package that uses them, whose
// complaints begin with the setting's key.
func (l *loader) checkNames(listen string) {
	_, err := endpoint.New(l.config.Names(listen))
	if err == nil || len(l.wrong) > 0 { // most of it is the same for all addresses
		return
	}
	key, _, _ := strings.Cut(err.Error(), ":")
	l.complain(l.config.origins[key], err)
}

// Names are the settings of names for a server that listens on an address.
func (c *Config) Names(listen string) endpoint.Options {
	if host, _, err := net.SplitHostPort(listen); err == nil && takesFreePort(listen) {
		listen = net.JoinHostPort(host, "1") // any other; the port is not known yet
	}
	return endpoint.Options{
		Style: endpoint.Style(c.RepositoryURI), External: c.External, Listen: listen,
		Hosts: c.Hosts, Strict: c.StrictHosts(), Regions: c.regions(),
		Account: c.Account, Region: c.Region, Proxies: c.TrustedProxies,
	}
}

func takesFreePort(listen string) bool {
	_, port, err := net.SplitHostPort(listen)
	return err == nil && port == "0"
}

func (c *Config) regions() []string {
	if len(c.Regions) == 0 {
		return nil
	}
	return c.Regions
}

func checkListen(c *Config) error { return checkAddress(c.Listen) }

func checkMetrics(c *Config) error {
	if c.Metrics.Listen == "" {
		return nil
	}
	return checkAddress(c.Metrics.Listen)
}

func checkAddress(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if n, perr := strconv.ParseUint(port, 10, 16); err == nil && perr == nil && strconv.FormatUint(n, 10) == port &&
		!strings.ContainsAny(host, " /@") {
		return nil
	}
	return fmt.Errorf("%.80q is not an address and a port such as 127.0.0.1:5000%s", listen, mean(listenMeant(listen)))
}

// listenMeant guesses the address that a lone port or a lone address is for.
func listenMeant(s string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "https://"), "/")
	if _, err := strconv.ParseUint(bare, 10, 16); err == nil {
		return "127.0.0.1:" + bare
	}
	if ip, err := netip.ParseAddr(strings.Trim(bare, "[]")); err == nil {
		return net.JoinHostPort(ip.String(), "5000")
	}
	if _, _, err := net.SplitHostPort(bare); err == nil && bare != s {
		return bare
	}
	return ""
}

func checkData(c *Config) error {
	if c.Data == "" {
		return errors.New(`no folder is named; did you mean "./data"?`)
	}
	if strings.HasPrefix(c.Data, ":") && c.Data != Memory {
		return fmt.Errorf("%q is no folder%s", c.Data, mean(nearest(c.Data, []string{Memory})))
	}
	return nil
}

func checkAccount(c *Config) error {
	digits := strings.NewReplacer("-", "", " ", "", "_", "").Replace(c.Account)
	if digits == c.Account && isAccount(digits) {
		return nil
	}
	meant := ""
	if isAccount(digits) {
		meant = digits
	}
	return fmt.Errorf("%.40q is not twelve digits such as 000000000000%s", c.Account, mean(meant))
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func checkRegion(c *Config) error {
	all := c.regions()
	if all == nil {
		all = endpoint.Regions()
	}
	if slices.Contains(all, c.Region) {
		return nil
	}
	return fmt.Errorf("%.40q is none of the regions that exist here%s", c.Region, mean(nearest(c.Region, all)))
}

func checkProtected(c *Config) error {
	for i, p := range c.Protected {
		switch {
		case len(p.Repositories) == 0 || slices.Contains(p.Repositories, ""):
			return fmt.Errorf(`protected[%d]: a pattern of repositories is empty; "*" means all`, i)
		case slices.Contains(p.Tags, ""):
			return fmt.Errorf(`protected[%d]: a pattern of tags is empty; "*" means all`, i)
		case p.Account != "" && !isAccount(p.Account):
			return fmt.Errorf("protected[%d]: %.40q is not twelve digits such as 000000000000", i, p.Account)
		}
	}
	return nil
}

func checkRates(c *Config) error {
	_, err := throttle.Parse(c.RateLimits)
	return err
}

// IsLoopback says whether a listening address is reached from this machine
// alone, as far as its text tells.
func IsLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func loopbackMeant(listen string) string {
	_, port, _ := net.SplitHostPort(listen) // checked before
	return net.JoinHostPort("127.0.0.1", port)
}
