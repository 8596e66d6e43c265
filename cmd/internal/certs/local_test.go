package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/certs"
	"github.com/seed-78150930/berth/registry/endpoint"
)

func openLocal(t testing.TB, dir string, o certs.LocalOptions) *certs.Local {
	t.Helper()
	l, err := certs.OpenLocal(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newLocal(t testing.TB, o certs.LocalOptions) *certs.Local {
	t.Helper()
	l, err := certs.NewLocal(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pool is the trust of a client that was given the authority's certificate.
func pool(l *certs.Local) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(l.CertificatePEM())
	return p
}

// vouches says whether a client that trusts the authority takes a certificate
// for a host or address at a time.
func vouches(l *certs.Local, leaf *x509.Certificate, host string, at time.Time) error {
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool(l), CurrentTime: at})
	return err
}

// hidden is a connection to an address that the machine does not know of.
type hidden struct {
	net.Conn
	ip string
}

func (h hidden) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(h.ip), Port: 443} }

func TestLocalVouchesForItsNames(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{
		Names:  []string{"berth.example", "Registry.Example:5000", "192.0.2.7", "[2001:db8::7]:5000", "https://no"},
		Trusts: func(host string) bool { return host == "team.example" || strings.HasSuffix(host, "amazonaws.com") },
	})
	names := []string{
		"localhost", "berth.localhost", "a.b.localhost", "berth.example", "registry.example", "BERTH.example", "team.example",
		"123456789012.dkr.ecr.us-east-1.localhost", "api.ecr.us-east-1.localhost", "sts.localhost",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com", "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
		"api.ecr.eu-central-1.amazonaws.com", "ecr.us-east-1.amazonaws.com", "ecr-fips.us-east-1.amazonaws.com",
		"api.ecr-fips.us-east-1.amazonaws.com", "api.ecr.amazonaws.com", "sts.amazonaws.com", "sts.us-east-1.amazonaws.com",
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	for _, name := range names {
		if err := vouches(l, shown(t, l, name), name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, ip := range []string{"127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"} {
		if err := vouches(l, shown(t, l, ""), ip, time.Now()); err != nil {
			t.Errorf("%s without a name: %v", ip, err)
		}
	}
}

func TestLocalVouchesForEveryShapeOfAmazons(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{}) // AWS-shaped names are trusted where nobody says otherwise
	for _, base := range []string{"us-east-1.amazonaws.com", "cn-north-1.amazonaws.com.cn", "eu-west-1.on.aws", "us-west-2.registry.internal.example"} {
		for _, form := range []string{
			"123456789012.dkr.ecr.", "000000000000.dkr-ecr.", "123456789012.dkr.ecr-fips.", "123456789012.dkr-ecr-fips.",
			"api.ecr.", "api.ecr-fips.", "ecr.", "ecr-fips.", "sts.", "sts-fips.",
		} {
			if err := vouches(l, shown(t, l, form+base), form+base, time.Now()); err != nil {
				t.Errorf("%s%s: %v", form, base, err)
			}
		}
	}
}

func TestLocalVouchesForNobodyElse(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{})
	strangers := []string{
		"bank.example", "ecr.example", "api.ecr.example", "sts.example", "localhost.example", "notlocalhost", "*.example", "*",
		"12345.dkr.ecr.us-east-1.amazonaws.com", "amazonaws.com", "a b", "..", "a..b", strings.Repeat("a", 64) + ".b.localhost",
		strings.Repeat("a.", 130) + "localhost", "10.0.0.1", "ümlaut.localhost",
	}
	plain := shown(t, l, "")
	for _, name := range strangers {
		got := shown(t, l, name)
		if !got.Equal(plain) {
			t.Errorf("%q gets a certificate of its own, for %v", name, got.DNSNames)
		}
		if err := vouches(l, got, name, time.Now()); err == nil && net.ParseIP(name) == nil {
			t.Errorf("the default certificate is taken for %q", name)
		}
	}
}

func TestTrustIsAskedOfOtherNamesAlone(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	l := newLocal(t, certs.LocalOptions{Names: []string{"berth.example"}, Trusts: func(host string) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, host)
		return false
	}})
	for _, name := range []string{"localhost", "a.localhost", "berth.example", "Other.Example", "123456789012.dkr.ecr.us-east-1.amazonaws.com"} {
		shown(t, l, name)
	}
	want := []string{"other.example", "123456789012.dkr.ecr.us-east-1.amazonaws.com"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked of (-want +got):\n%s", diff)
	}
}

func TestAddressThatTheMachineDoesNotKnow(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{})
	for _, ip := range []string{"192.0.2.99", "2001:db8::99"} {
		c, err := l.Certificate(&tls.ClientHelloInfo{Conn: hidden{ip: ip}})
		if err != nil {
			t.Fatal(err)
		}
		if err := vouches(l, c.Leaf, ip, time.Now()); err != nil {
			t.Errorf("who comes to %s: %v", ip, err)
		}
	}
	if leaf := shown(t, l, ""); vouches(l, leaf, "192.0.2.99", time.Now()) == nil {
		t.Errorf("the default certificate is for %v", leaf.IPAddresses)
	}
}

func TestNamesAreReplaced(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{Names: []string{"one.example", "192.0.2.1"}})
	l.SetNames([]string{"two.example", "192.0.2.2"})
	leaf := shown(t, l, "")
	for name, want := range map[string]bool{"one.example": false, "192.0.2.1": false, "two.example": true, "192.0.2.2": true, "localhost": true} {
		if err := vouches(l, leaf, name, time.Now()); (err == nil) != want {
			t.Errorf("%s: %v, want it covered: %v", name, err, want)
		}
	}
}

func TestAccountsOfARegionShareACertificate(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{})
	one := shown(t, l, "111111111111.dkr.ecr.us-east-1.amazonaws.com")
	if two := shown(t, l, "222222222222.dkr.ecr.us-east-1.amazonaws.com"); !one.Equal(two) {
		t.Error("two accounts have two certificates")
	}
	if other := shown(t, l, "111111111111.dkr.ecr.us-east-2.amazonaws.com"); one.Equal(other) {
		t.Error("two regions share a certificate")
	}
}

func TestLeavesAreRenewedBeforeTheyEnd(t *testing.T) {
	c := newClock()
	l := newLocal(t, certs.LocalOptions{Now: c.Now})
	first := shown(t, l, "localhost")
	if life := first.NotAfter.Sub(c.Now()).Round(time.Hour); life != 90*24*time.Hour {
		t.Errorf("it is for %v", life)
	}
	c.turn(59 * 24 * time.Hour)
	if !shown(t, l, "localhost").Equal(first) {
		t.Error("made anew after 59 days")
	}
	c.turn(24 * time.Hour)
	second := shown(t, l, "localhost")
	if second.Equal(first) {
		t.Error("not made anew after 60 days")
	}
	if err := vouches(l, second, "localhost", c.Now()); err != nil {
		t.Error(err)
	}
	c.turn(-60 * 24 * time.Hour) // the clock was wrong and is set right
	if err := vouches(l, shown(t, l, "localhost"), "localhost", c.Now()); err != nil {
		t.Error(err)
	}
}

func TestLeafDoesNotOutlastTheAuthority(t *testing.T) {
	c := newClock()
	l := newLocal(t, certs.LocalOptions{Now: c.Now})
	c.turn(l.Authority().NotAfter.Sub(c.Now()) - 24*time.Hour)
	leaf := shown(t, l, "localhost")
	if !leaf.NotAfter.Equal(l.Authority().NotAfter) {
		t.Errorf("the leaf ends at %v, the authority at %v", leaf.NotAfter, l.Authority().NotAfter)
	}
}

func TestFewLeavesAreKept(t *testing.T) {
	c := newClock()
	l := newLocal(t, certs.LocalOptions{Now: c.Now})
	usual := shown(t, l, "usual.localhost")
	rare := shown(t, l, "rare.localhost")
	for i := range certs.MaxLeaves {
		c.turn(time.Second)
		shown(t, l, fmt.Sprintf("flood-%d.localhost", i))
		if !shown(t, l, "usual.localhost").Equal(usual) {
			t.Fatalf("what is in use was forgotten after %d others", i)
		}
	}
	if shown(t, l, "rare.localhost").Equal(rare) {
		t.Errorf("more than %d are kept", certs.MaxLeaves)
	}
}

func TestAuthorityIsForLeavesAlone(t *testing.T) {
	c := newClock()
	a := newLocal(t, certs.LocalOptions{Now: c.Now}).Authority()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if want := "Berth local CA " + host; a.Subject.CommonName != want[:min(len(want), 64)] {
		t.Errorf("it is called %q", a.Subject.CommonName)
	}
	if !a.IsCA || a.MaxPathLen != 0 || !a.MaxPathLenZero || a.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("IsCA %v, path length %d, %v, usage %b", a.IsCA, a.MaxPathLen, a.MaxPathLenZero, a.KeyUsage)
	}
	if ends := c.Now().AddDate(10, 0, 0).Sub(a.NotAfter).Abs(); ends > time.Minute {
		t.Errorf("it ends at %v", a.NotAfter)
	}
	if a.PublicKeyAlgorithm != x509.ECDSA || a.SerialNumber.BitLen() < 64 {
		t.Errorf("key %v, serial number %v", a.PublicKeyAlgorithm, a.SerialNumber)
	}
}

func TestAuthorityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "tls")
	first := openLocal(t, dir, certs.LocalOptions{})
	crt, key := read(t, dir, "ca.crt"), read(t, dir, "ca.key")
	second := openLocal(t, dir, certs.LocalOptions{})
	if err := vouches(first, shown(t, second, "localhost"), "localhost", time.Now()); err != nil {
		t.Errorf("who trusts the first does not take the second's certificate: %v", err)
	}
	if !slices.Equal(crt, read(t, dir, "ca.crt")) || !slices.Equal(key, read(t, dir, "ca.key")) {
		t.Error("the second start changed the files")
	}
	if got, err := certs.ReadAuthority(dir); err != nil || !slices.Equal(got, crt) {
		t.Errorf("ReadAuthority: %v\n%s", err, got)
	}
}

func TestAuthorityIsForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	openLocal(t, dir, certs.LocalOptions{})
	check := func() {
		t.Helper()
		got := map[string]fs.FileMode{}
		for _, name := range []string{".", "ca.crt", "ca.key"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = info.Mode().Perm()
		}
		if diff := cmp.Diff(map[string]fs.FileMode{".": 0o700, "ca.crt": 0o600, "ca.key": 0o600}, got); diff != "" {
			t.Errorf("modes (-want +got):\n%s", diff)
		}
	}
	check()
	for name, mode := range map[string]fs.FileMode{dir: 0o755, filepath.Join(dir, "ca.key"): 0o644} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	openLocal(t, dir, certs.LocalOptions{})
	check()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestInterruptedFirstStartIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	openLocal(t, dir, certs.LocalOptions{})
	key := read(t, dir, "ca.key")
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.crt.new"), []byte("half"))
	l := openLocal(t, dir, certs.LocalOptions{})
	if !slices.Equal(key, read(t, dir, "ca.key")) {
		t.Error("the key was made anew")
	}
	if err := vouches(l, shown(t, l, "localhost"), "localhost", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestDamagedAuthorityIsRefused(t *testing.T) {
	other := t.TempDir()
	openLocal(t, other, certs.LocalOptions{})
	leaf, leafKey := newPair(t, "x.example", time.Now(), time.Now().Add(time.Hour))
	tests := []struct {
		name, file string
		content    []byte // nil removes it
		want       string
	}{
		{"no certificate in it", "ca.crt", []byte("hello"), "ca.crt is damaged: it holds no certificate"},
		{"an empty certificate", "ca.crt", []byte{}, "ca.crt is damaged"},
		{"a leaf", "ca.crt", leaf, "ca.crt is damaged: it does not hold one certificate of a CA"},
		{"an empty key", "ca.key", []byte{}, "ca.key is damaged: it does not hold one key"},
		{"a certificate as key", "ca.key", leaf, "ca.key is damaged"},
		{"another key", "ca.key", leafKey, "ca.key is not the key of ca.crt"},
		{"another certificate", "ca.crt", read(t, other, "ca.crt"), "ca.key is not the key of ca.crt"},
		{"no key", "ca.key", nil, "ca.key is missing beside ca.crt; bring it back from a backup"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		openLocal(t, dir, certs.LocalOptions{})
		if tt.content == nil {
			if err := os.Remove(filepath.Join(dir, tt.file)); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, filepath.Join(dir, tt.file), tt.content)
		}
		if _, err := certs.OpenLocal(dir, certs.LocalOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		if got, err := os.ReadFile(filepath.Join(dir, tt.file)); tt.content != nil && (err != nil || !slices.Equal(got, tt.content)) {
			t.Errorf("%s: the file was changed", tt.name)
		}
	}
}

func TestExpiredAuthorityIsRefused(t *testing.T) {
	dir := t.TempDir()
	openLocal(t, dir, certs.LocalOptions{})
	_, err := certs.OpenLocal(dir, certs.LocalOptions{Now: func() time.Time { return time.Now().AddDate(10, 0, 1) }})
	if err == nil || !strings.Contains(err.Error(), "expired at") || !strings.Contains(err.Error(), "remove ca.crt and ca.key to have a new one") {
		t.Errorf("error %v", err)
	}
}

func TestReadAuthority(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.ReadAuthority(filepath.Join(dir, "absent")); !errors.Is(err, certs.ErrNoAuthority) {
		t.Errorf("error %v, want ErrNoAuthority", err)
	}
	write(t, filepath.Join(dir, "ca.crt"), []byte("hello"))
	if _, err := certs.ReadAuthority(dir); err == nil || errors.Is(err, certs.ErrNoAuthority) || !strings.Contains(err.Error(), "ca.crt is damaged") {
		t.Errorf("error %v, want one of damage", err)
	}
}

func TestHandshakesByManyNamesAtOnce(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{})
	addr := serveTLS(t, l)
	roots := pool(l)
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			name := fmt.Sprintf("123456789012.dkr.ecr.us-east-%d.amazonaws.com", i%4)
			if _, err := shake(t, addr, &tls.Config{RootCAs: roots, ServerName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if i%4 == 0 {
				l.SetNames([]string{"berth.example"})
			}
		})
	}
	clients.Wait()
}

func TestClientThatTrustsTheAuthorityIsServed(t *testing.T) {
	l := newLocal(t, certs.LocalOptions{})
	addr := serveTLS(t, l)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(l)}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("served by %s", res.Proto)
	}
	if _, err := http.Get("https://" + addr); err == nil {
		t.Error("who does not trust the authority is served, too")
	}
}

// Whatever a stranger names, there is a certificate, and never one for a host
// that is not the server's.
func FuzzServerName(f *testing.F) {
	l := newLocal(f, certs.LocalOptions{})
	own := shown(f, l, "")
	for _, name := range []string{"", "localhost", "a.localhost.", "bank.example", "*.localhost", "::1", "123456789012.dkr-ecr.us-east-1.on.aws", "sts.eu-west-1.x", "a\x00.localhost"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if shown(t, l, name).VerifyHostname(name) != nil || own.VerifyHostname(name) == nil {
			return
		}
		host := strings.ToLower(strings.TrimSuffix(name, "."))
		if !strings.HasSuffix(host, ".localhost") && endpoint.ParseHost(host).Kind == endpoint.Other {
			t.Errorf("there is a certificate for %q", name)
		}
	})
}
