package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// answer is what a server says to GET /v2/ without credentials.
type answer struct {
	err     error
	status  int
	header  http.Header
	ours    bool // it is the challenge of Berth (or of Amazon)
	plain   bool // it speaks HTTP where TLS was tried
	secure  bool // it speaks TLS where HTTP was tried
	certs   []*x509.Certificate
	trusted error     // why the system does not trust the certificates; nil if it does
	asked   time.Time // the middle of asking and being answered
}

// probeTime bounds one question.
const probeTime = 3 * time.Second

// probe asks a URL once in an examination. Names below localhost lead to this
// machine, whatever resolvers know of them: that is another check's business.
func (v *visit) probe(ctx context.Context, base string) answer {
	once, _ := v.probes.LoadOrStore(base, sync.OnceValue(func() answer { return v.ask(ctx, base) }))
	return once.(func() answer)()
}

func (v *visit) ask(ctx context.Context, base string) answer {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v2/", nil)
	if err != nil {
		return answer{err: err}
	}
	start := v.Now()
	resp, err := v.httpClient().Do(req)
	end := v.Now()
	a := answer{err: err, plain: errors.Is(err, http.ErrSchemeMismatch), asked: start.Add(end.Sub(start) / 2)}
	if err != nil {
		return a
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.ours = isOurs(resp)
	a.secure = req.URL.Scheme == "http" && resp.StatusCode == http.StatusBadRequest && speaksOfHTTPS(resp.Body)
	if resp.TLS != nil {
		a.certs = resp.TLS.PeerCertificates
		a.trusted = v.verify(a.certs, req.URL.Hostname())
	}
	return a
}

// isOurs says that an answer is the challenge of a registry that speaks as
// Amazon's (ECR reference, registry-http.md), or that gives out bearer tokens where
// Berth does.
func isOurs(r *http.Response) bool {
	challenge := r.Header.Get("Www-Authenticate")
	return r.StatusCode == http.StatusUnauthorized && (strings.Contains(challenge, `service="ecr.amazonaws.com"`) ||
		strings.HasPrefix(challenge, "Bearer ") && strings.Contains(challenge, `/v2/token",service=`))
}

// speaksOfHTTPS reads what servers of TLS say to those who come without.
func speaksOfHTTPS(body io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(body, chunk))
	return err == nil && strings.Contains(strings.ToLower(string(text)), "https")
}

// httpClient asks without proxies and believes any certificate, since it sends
// nothing secret and verify says what it is worth.
func (v *visit) httpClient() *http.Client {
	t := &http.Transport{
		DialContext: v.dialLocal, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, CheckRedirect: stay}
}

func (v *visit) dialLocal(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		addr = net.JoinHostPort("localhost", port)
	}
	return v.Dial(ctx, network, addr)
}

// verify says whether the system trusts what a host shows.
func (v *visit) verify(chain []*x509.Certificate, host string) error {
	if len(chain) == 0 {
		return errors.New("it shows no certificate")
	}
	return v.vouch(v.Roots, chain, host)
}

// vouch says whether roots (nil means the system's) stand for a chain, and for
// it as that of a host if one is named.
func (v *visit) vouch(roots *x509.CertPool, chain []*x509.Certificate, host string) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: v.Now()})
	return err
}

// route is where a name leads.
type route struct {
	addrs    []netip.Addr // by DNS and the hosts file
	system   []netip.Addr // by the C library, where that can be asked
	asked    bool         // that it could
	resolves error
}

// route resolves a name in the two ways that programs here do.
func (v *visit) route(ctx context.Context, host string) route {
	if ip, err := netip.ParseAddr(host); err == nil {
		return route{addrs: []netip.Addr{ip}, system: []netip.Addr{ip}, asked: true}
	}
	var r route
	r.addrs, r.resolves = v.Resolve(ctx, host)
	getent, err := v.Look("getent")
	if err != nil {
		return r
	}
	r.asked = true
	out, err := v.Run(ctx, getent, "ahosts", host)
	if err != nil {
		return r
	}
	for line := range strings.Lines(out) {
		first, _, _ := strings.Cut(line, " ")
		if ip, err := netip.ParseAddr(first); err == nil {
			r.system = append(r.system, ip.Unmap())
		}
	}
	return r
}

// short is an error of asking a URL without the URL, which is told anyway.
func short(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + probeTime.String()
	}
	return err.Error()
}
