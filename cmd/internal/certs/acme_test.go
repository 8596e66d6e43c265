package certs_test

import (
	"crypto/tls"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/certs"
)

// newACME is a server for hosts whose certificates an authority makes.
func newACME(t testing.TB, authority *acmeServer, cache string, hosts ...string) (addr string) {
	t.Helper()
	src, err := certs.NewACME(certs.ACMEOptions{
		Hosts: hosts, Email: "ops@berth.example", Directory: authority.directory(), CacheDir: cache, Client: authority.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	addr = serveTLS(t, src)
	authority.leadTo(addr)
	return addr
}

func TestACMEGetsACertificate(t *testing.T) {
	authority := newACMEServer(t)
	addr := newACME(t, authority, "", "berth.example", "Registry.Berth.Example")
	for _, host := range []string{"registry.berth.example", "berth.example", "BERTH.example"} {
		if _, err := shake(t, addr, &tls.Config{RootCAs: authority.pool(), ServerName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if diff := cmp.Diff([]string{"registry.berth.example", "berth.example"}, authority.ordered()); diff != "" {
		t.Errorf("ordered (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"mailto:ops@berth.example"}, authority.contact); diff != "" {
		t.Errorf("contact (-want +got):\n%s", diff)
	}
}

func TestACMEAsksOnceForManyClients(t *testing.T) {
	authority := newACMEServer(t)
	addr := newACME(t, authority, "", "berth.example")
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			if _, err := shake(t, addr, &tls.Config{RootCAs: authority.pool(), ServerName: "berth.example"}); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	if got := authority.ordered(); len(got) != 1 {
		t.Errorf("ordered for %v", got)
	}
}

func TestACMEKeepsCertificatesForTheOwnerAlone(t *testing.T) {
	authority := newACMEServer(t)
	cache := filepath.Join(t.TempDir(), "tls", "acme")
	for range 2 {
		addr := newACME(t, authority, cache, "berth.example")
		if _, err := shake(t, addr, &tls.Config{RootCAs: authority.pool(), ServerName: "berth.example"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := authority.ordered(); len(got) != 1 {
		t.Errorf("after a new start ordered for %v", got)
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(filepath.Dir(cache), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		got[filepath.Base(name)] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"tls": 0o700, "acme": 0o700, "acme_account+key": 0o600, "berth.example": 0o600}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}

func TestACMEGivesTheFirstHostsToWhoNamesNone(t *testing.T) {
	authority := newACMEServer(t)
	addr := newACME(t, authority, "", "berth.example", "other.example")
	st, err := shake(t, addr, &tls.Config{InsecureSkipVerify: true}) // as a health check by address does
	if err != nil {
		t.Fatal(err)
	}
	if got := st.PeerCertificates[0].DNSNames; !slices.Equal(got, []string{"berth.example"}) {
		t.Errorf("the certificate is for %v", got)
	}
}

func TestACMERefusesOtherHosts(t *testing.T) {
	authority := newACMEServer(t)
	src, err := certs.NewACME(certs.ACMEOptions{Hosts: []string{"berth.example"}, Directory: authority.directory(), Client: authority.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"bank.example", "a.berth.example", "*.example", "127.0.0.1", "localhost", "bérth.example"} {
		for _, protos := range [][]string{{"h2"}, {"acme-tls/1"}} {
			_, err := src.Certificate(&tls.ClientHelloInfo{ServerName: host, SupportedProtos: protos})
			if err == nil || !strings.Contains(err.Error(), "it is not among the hosts set for ACME (berth.example)") {
				t.Errorf("%q with %v: error %v", host, protos, err)
			}
		}
	}
	if got := authority.ordered(); got != nil {
		t.Errorf("ordered for %v", got)
	}
}

func TestACMESaysWhyThereIsNoCertificate(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	log, authority := &journal{}, newACMEServer(t)
	authority.leadTo(nobody.Addr().String())
	src, err := certs.NewACME(certs.ACMEOptions{Hosts: []string{"berth.example"}, Directory: authority.directory(), Client: authority.Client(), Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Certificate(&tls.ClientHelloInfo{ServerName: "berth.example", SupportedProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("there is an answer to a challenge that nobody made")
	}
	_, err = src.Certificate(&tls.ClientHelloInfo{ServerName: "berth.example"})
	_, again := src.Certificate(&tls.ClientHelloInfo{ServerName: "Berth.example"})
	want := `TLS certificate for "berth.example" by ACME, whose authority must reach port 443 of that host: `
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if again == nil {
		t.Error("the second client got a certificate")
	}
	if text := log.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "host=berth.example") {
		t.Errorf("logged, for two clients:\n%s", text)
	}
	if got := authority.ordered(); len(got) == 0 {
		t.Error("nothing was ordered")
	}
}

func TestNewACMEChecksItsHosts(t *testing.T) {
	tests := []struct {
		hosts []string
		wrong string
	}{
		{[]string{"berth.example"}, ""},
		{nil, "needs the host names"},
		{[]string{"berth.example", "192.0.2.1"}, `"192.0.2.1" is not a public host name`},
		{[]string{"*.example.com"}, `"*.example.com" is not`},
		{[]string{"localhost"}, `"localhost" is not`},
		{[]string{"a.localhost"}, `"a.localhost" is not`},
		{[]string{"berth"}, `"berth" is not`},
		{[]string{"berth.example:443"}, `"berth.example:443" is not`},
		{[]string{"https://berth.example"}, `is not a public host name`},
		{[]string{""}, `"" is not`},
	}
	for _, tt := range tests {
		_, err := certs.NewACME(certs.ACMEOptions{Hosts: tt.hosts})
		if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("hosts %q: error %v, want %q", tt.hosts, err, tt.wrong)
		}
	}
}

func TestACMENeedsItsFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.NewACME(certs.ACMEOptions{Hosts: []string{"berth.example"}, CacheDir: file}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// What is renewed in the background fails in the background: only the end's
// coming near tells of it.
func TestLateRenewalIsNoted(t *testing.T) {
	log := &journal{}
	src, err := certs.NewACME(certs.ACMEOptions{Hosts: []string{"berth.example"}, Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	made := time.Now()
	for _, step := range []struct {
		after time.Duration
		warns bool
	}{
		{0, false}, {60 * day, false}, {74 * day, false}, {76 * day, true}, {76*day + time.Hour, false}, {77*day + time.Hour, true}, {91 * day, true},
	} {
		certs.NoteLate(src, made, made.Add(90*day), made.Add(step.after))
		if text := log.take(); strings.Contains(text, "has not been renewed") != step.warns {
			t.Errorf("after %v logged %q, want a warning: %v", step.after, text, step.warns)
		}
	}
}
