package certs_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// acmeServer is an authority that speaks as much of RFC 8555 as it takes to
// order a certificate of one account. It validates by TLS-ALPN-01 (RFC 8737),
// by really connecting, to one address whatever the host is.
type acmeServer struct {
	*httptest.Server
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey

	mu         sync.Mutex
	at         string // where hosts are
	thumbprint string // of the account's key (RFC 7638)
	contact    []string
	orders     []*acmeOrder
}

type acmeOrder struct {
	host, token string
	status      string // of its one authorization and of itself
	fault       string
	chain       []byte
}

func newACMEServer(t testing.TB) *acmeServer {
	t.Helper()
	a := &acmeServer{}
	var err error
	if a.rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test ACME"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.rootKey.Public(), a.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewTLSServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *acmeServer) directory() string { return a.URL + "/directory" }

func (a *acmeServer) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.root)
	return p
}

// leadTo says where every host is.
func (a *acmeServer) leadTo(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = addr
}

// ordered are the hosts of all orders.
func (a *acmeServer) ordered() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var hosts []string
	for _, o := range a.orders {
		hosts = append(hosts, o.host)
	}
	return hosts
}

func (a *acmeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	switch r.URL.Path {
	case "/directory":
		answer(w, http.StatusOK, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order"})
		return
	case "/nonce":
		return
	}
	header, payload, err := readJWS(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch what, n, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case what == "account":
		a.register(w, header, payload)
	case what == "order" && n == "":
		a.order(w, payload)
	default:
		a.advance(w, r, what, n, payload)
	}
}

// register takes the account's key.
func (a *acmeServer) register(w http.ResponseWriter, header, payload []byte) {
	var h struct {
		JWK struct{ Crv, Kty, X, Y string }
	}
	var p struct{ Contact []string }
	if err := errors.Join(json.Unmarshal(header, &h), json.Unmarshal(payload, &p)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, h.JWK.Crv, h.JWK.Kty, h.JWK.X, h.JWK.Y))
	a.thumbprint, a.contact = base64.RawURLEncoding.EncodeToString(sum[:]), p.Contact
	w.Header().Set("Location", a.URL+"/account/0")
	answer(w, http.StatusCreated, map[string]string{"status": "valid"})
}

func (a *acmeServer) order(w http.ResponseWriter, payload []byte) {
	var p struct{ Identifiers []struct{ Value string } }
	if err := json.Unmarshal(payload, &p); err != nil || len(p.Identifiers) != 1 {
		http.Error(w, "one identifier", http.StatusBadRequest)
		return
	}
	a.orders = append(a.orders, &acmeOrder{host: p.Identifiers[0].Value, token: rand.Text(), status: "pending"})
	a.tell(w, http.StatusCreated, len(a.orders)-1)
}

// advance is for all that concerns one order: itself, its authorization, the
// challenge, the end and the certificate.
func (a *acmeServer) advance(w http.ResponseWriter, r *http.Request, what, number string, payload []byte) {
	n, err := strconv.Atoi(number)
	if err != nil || n >= len(a.orders) {
		http.NotFound(w, r)
		return
	}
	o := a.orders[n]
	switch what {
	case "challenge":
		a.validate(r.Context(), o)
		answer(w, http.StatusOK, a.challenge(n))
	case "authorization":
		answer(w, http.StatusOK, map[string]any{
			"status": o.status, "identifier": map[string]string{"type": "dns", "value": o.host}, "challenges": []any{a.challenge(n)},
		})
	case "finalize":
		if err := a.issue(o, payload); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		a.tell(w, http.StatusOK, n)
	case "certificate":
		_, _ = w.Write(o.chain)
	default:
		a.tell(w, http.StatusOK, n)
	}
}

// tell writes an order. It is ready when its authorization is valid, and valid
// when the certificate is there (RFC 8555, section 7.1.6).
func (a *acmeServer) tell(w http.ResponseWriter, code, n int) {
	o := a.orders[n]
	at := func(what string) string { return fmt.Sprintf("%s/%s/%d", a.URL, what, n) }
	status := map[bool]string{true: "ready", false: o.status}[o.status == "valid"]
	body := map[string]any{"authorizations": []string{at("authorization")}, "finalize": at("finalize")}
	if o.chain != nil {
		status, body["certificate"] = "valid", at("certificate")
	}
	body["status"] = status
	w.Header().Set("Location", at("order"))
	answer(w, code, body)
}

func (a *acmeServer) challenge(n int) map[string]any {
	o := a.orders[n]
	c := map[string]any{"type": "tls-alpn-01", "url": fmt.Sprintf("%s/challenge/%d", a.URL, n), "token": o.token, "status": o.status}
	if o.fault != "" {
		c["error"] = map[string]string{"type": "urn:ietf:params:acme:error:connection", "detail": o.fault}
	}
	return c
}

// validate connects to the host as section 3 of RFC 8737 says.
func (a *acmeServer) validate(ctx context.Context, o *acmeOrder) {
	o.status = "valid"
	if err := a.tryALPN(ctx, o); err != nil {
		o.status, o.fault = "invalid", err.Error()
	}
}

func (a *acmeServer) tryALPN(ctx context.Context, o *acmeOrder) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.at)
	if err != nil {
		return err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{ServerName: o.host, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true}) // it signs itself
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	st := conn.ConnectionState()
	leaf := st.PeerCertificates[0]
	if st.NegotiatedProtocol != "acme-tls/1" || !slices.Equal(leaf.DNSNames, []string{o.host}) {
		return fmt.Errorf("protocol %q, names %v", st.NegotiatedProtocol, leaf.DNSNames)
	}
	sum := sha256.Sum256([]byte(o.token + "." + a.thumbprint))
	want, err := asn1.Marshal(sum[:])
	if err != nil {
		return err
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && e.Critical && bytes.Equal(e.Value, want) {
			return nil
		}
	}
	return errors.New("the certificate does not show the key authorization")
}

func (a *acmeServer) issue(o *acmeOrder, payload []byte) error {
	var p struct{ CSR string }
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	der, err := base64.RawURLEncoding.DecodeString(p.CSR)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	if o.status != "valid" || csr.CheckSignature() != nil || !slices.Equal(csr.DNSNames, []string{o.host}) {
		return fmt.Errorf("an order of %s for %s does not give a certificate of %v", o.status, o.host, csr.DNSNames)
	}
	leaf := &x509.Certificate{DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	made, err := x509.CreateCertificate(rand.Reader, leaf, a.root, csr.PublicKey, a.rootKey)
	if err != nil {
		return err
	}
	o.chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
	return nil
}

// readJWS takes a request apart (RFC 8555, section 6.2). Whether the signature
// is right is for real authorities to check.
func readJWS(r *http.Request) (header, payload []byte, err error) {
	var jws struct{ Protected, Payload, Signature string }
	if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
		return nil, nil, err
	}
	header, err = base64.RawURLEncoding.DecodeString(jws.Protected)
	if err != nil {
		return nil, nil, err
	}
	payload, err = base64.RawURLEncoding.DecodeString(jws.Payload)
	return header, payload, err
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
