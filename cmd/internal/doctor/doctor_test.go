package doctor_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/doctor"
)

const (
	account  = "000000000000"
	region   = "us-east-1"
	ownName  = account + ".dkr.ecr." + region + ".localhost"
	awsName  = account + ".dkr.ecr." + region + ".amazonaws.com"
	otherIP  = "192.0.2.7"
	hostsURL = "http://localhost:5000"
)

var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// world is a machine that is made of tables.
type world struct {
	files    fstest.MapFS
	env      map[string]string
	programs map[string]string          // what they print, by their names and arguments
	names    map[string]string          // addresses by name
	libc     map[string]string          // those that the C library knows; nil for no getent
	servers  map[string]func() net.Conn // by the address that is dialled
	volume   doctor.Volume
	syncs    time.Duration
	locks    error
	limit    uint64
	os       string
	roots    *x509.CertPool
	subject  doctor.Subject
}

// healthy is a machine on which everything is right, and a server on it.
func healthy(t *testing.T) *world {
	t.Helper()
	w := &world{
		files: fstest.MapFS{"srv/data/tmp": {Mode: fs.ModeDir | 0o700}, "srv/data/index.db": {}},
		env:   map[string]string{"AWS_ENDPOINT_URL": hostsURL, "AWS_REGION": region}, programs: map[string]string{},
		names:   map[string]string{"localhost": "127.0.0.1", ownName: "127.0.0.1", awsName: otherIP},
		servers: map[string]func() net.Conn{},
		volume:  doctor.Volume{Free: 1 << 40, Size: 2 << 40, FreeFiles: 1 << 20, Files: 1 << 20},
		syncs:   time.Millisecond, limit: 1 << 20, os: "linux", roots: x509.NewCertPool(),
	}
	w.subject = doctor.Subject{
		Data: "/srv/data",
		Status: &admin.Status{
			PID: 42, Version: "1", Ready: true, Account: account, Region: region, URL: "http://127.0.0.1:5000",
			Listeners: []admin.Listener{{Address: "127.0.0.1:5000", URL: "http://127.0.0.1:5000"}},
		},
		Config:           doctor.Config{Listen: []string{"127.0.0.1:5000"}, TLS: []bool{false}, Account: account, Region: region, Connections: 10000},
		Token:            func(context.Context, string, string, string) error { return nil },
		KnowsEndpointURL: func(version string) bool { return !strings.Contains(version, "aws-cli/1.20") },
	}
	w.serve(t, registry(0), "localhost:5000", "127.0.0.1:5000")
	w.files["home/me/.docker/config.json"] = &fstest.MapFile{Data: []byte(`{"auths": {"localhost:5000": {"auth": "QVdTOng="}}}`)}
	return w
}

// registry answers as the server does, with a clock that is off.
func registry(off time.Duration) http.Handler {
	return challenging(off, `Basic realm="http://localhost:5000/",service="ecr.amazonaws.com"`)
}

func challenging(off time.Duration, how string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", now.Add(off).Format(http.TimeFormat))
		w.Header().Set("Www-Authenticate", how)
		w.WriteHeader(http.StatusUnauthorized)
	})
}

// serve has a handler answer at addresses.
func (w *world) serve(t *testing.T, h http.Handler, addrs ...string) {
	t.Helper()
	w.at(t, httptest.NewServer(h), addrs...)
}

func (w *world) at(t *testing.T, s *httptest.Server, addrs ...string) {
	t.Helper()
	t.Cleanup(s.Close)
	for _, a := range addrs {
		w.servers[a] = func() net.Conn {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				return nil
			}
			return conn
		}
	}
}

var errRefused = errors.New("connection refused")

func (w *world) machine() doctor.Machine {
	return doctor.Machine{
		OS: w.os, Home: "/home/me", Files: w.files, Env: func(name string) string { return w.env[name] },
		Look: w.look, Run: w.run, Resolve: w.resolve, Roots: w.roots, Now: func() time.Time { return now },
		Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			if open, ok := w.servers[addr]; ok {
				return open(), nil
			}
			return nil, errRefused
		},
		Volume:       func(string) (doctor.Volume, error) { return w.volume, nil },
		MaxOpenFiles: func() (uint64, error) { return w.limit, nil },
		Append: func(context.Context, string, int) ([]time.Duration, error) {
			return slices.Repeat([]time.Duration{w.syncs}, 10), nil
		},
		Locks: func(string) error { return w.locks },
	}
}

func (w *world) look(program string) (string, error) {
	if program == "getent" && w.libc != nil {
		return program, nil
	}
	for command := range w.programs {
		if first, _, _ := strings.Cut(command, " "); first == program {
			return program, nil
		}
	}
	return "", fs.ErrNotExist
}

func (w *world) run(_ context.Context, path string, args ...string) (string, error) {
	if path == "getent" {
		if ip, ok := w.libc[args[1]]; ok {
			return ip + " STREAM " + args[1] + "\n", nil
		}
		return "", errors.New("exit status 2")
	}
	out, ok := w.programs[strings.Join(append([]string{path}, args...), " ")]
	if !ok {
		return "", errors.New("exit status 1")
	}
	return out, nil
}

func (w *world) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	if ip, ok := w.names[host]; ok {
		return []netip.Addr{netip.MustParseAddr(ip)}, nil
	}
	return nil, errors.New("no such host")
}

func (w *world) examine(t *testing.T) []doctor.Finding {
	t.Helper()
	return doctor.Examine(t.Context(), w.machine(), w.subject, 0)
}

// finding is the worst one of a check.
func finding(all []doctor.Finding, check string) doctor.Finding {
	var worst doctor.Finding
	rank := []doctor.Status{"", doctor.Skipped, doctor.OK, doctor.Warn, doctor.Fail}
	for _, f := range all {
		if f.Check == check && slices.Index(rank, f.Status) > slices.Index(rank, worst.Status) {
			worst = f
		}
	}
	return worst
}

func TestNothingIsWrongWithAHealthyMachine(t *testing.T) {
	bearer := healthy(t)
	bearer.serve(t, challenging(0, `Bearer realm="http://localhost:5000/v2/token",service="localhost:5000"`), "localhost:5000", "127.0.0.1:5000")
	for _, w := range []*world{healthy(t), bearer} {
		for _, f := range w.examine(t) {
			if f.Status == doctor.Warn || f.Status == doctor.Fail {
				t.Errorf("%s: %s: %s", f.Check, f.Status, f.Found)
			}
			if f.Status == doctor.OK && f.Mend != "" {
				t.Errorf("%s is ok, and to be mended by %q", f.Check, f.Mend)
			}
		}
	}
}

// want is what a check is to say: parts of its words.
type want struct {
	check       string
	status      doctor.Status
	found, mend string
}

func (x want) holds(t *testing.T, all []doctor.Finding) {
	t.Helper()
	f := finding(all, x.check)
	if f.Status != x.status || !strings.Contains(f.Found, x.found) || !strings.Contains(f.Mend, x.mend) {
		t.Errorf("%s: got %s: %q, to be mended by %q; want %s: %q by %q", x.check, f.Status, f.Found, f.Mend, x.status, x.found, x.mend)
	}
	if f.Status == doctor.Fail && f.Mend == "" {
		t.Errorf("%s fails, and nothing is said to mend it", x.check)
	}
}

func TestChecks(t *testing.T) {
	for name, tt := range scenarios {
		t.Run(name, func(t *testing.T) {
			w := healthy(t)
			tt.change(t, w)
			all := w.examine(t)
			for _, x := range tt.want {
				x.holds(t, all)
			}
		})
	}
}

func TestFailed(t *testing.T) {
	list := []doctor.Finding{{Check: "a", Status: doctor.OK}, {Check: "b", Status: doctor.Warn}, {Check: "c", Status: doctor.Skipped}}
	if doctor.Failed(list) {
		t.Error("a warning is taken for a failure")
	}
	if !doctor.Failed(append(list, doctor.Finding{Check: "d", Status: doctor.Fail})) {
		t.Error("a failure is none")
	}
}

func TestAnExaminationIsBounded(t *testing.T) {
	w := healthy(t)
	m := w.machine()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	m.Volume = func(string) (doctor.Volume, error) { <-release; return doctor.Volume{}, nil }
	all := doctor.Examine(t.Context(), m, w.subject, time.Second)
	want{"disk.space", doctor.Warn, "did not end within 1s", ""}.holds(t, all)
	want{"disk.fsync", doctor.Warn, "did not end within 1s", ""}.holds(t, all)
	if f := finding(all, "aws.region"); f.Status != doctor.OK {
		t.Errorf("a check beside those that hang: %+v", f)
	}
}

func TestJSONIsAnArrayOfFourMembers(t *testing.T) {
	list := []doctor.Finding{{Check: "a", Status: doctor.Fail, Found: "x > y", Mend: "b && c"}}
	var b bytes.Buffer
	if err := doctor.PrintJSON(&b, list); err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	wanted := []map[string]string{{"check": "a", "status": "fail", "found": "x > y", "mend": "b && c"}}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if !strings.Contains(b.String(), "b && c") {
		t.Errorf("a command is not to be copied from %s", b.String())
	}
	b.Reset()
	if err := doctor.PrintJSON(&b, nil); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("no findings are %q, %v", b.String(), err)
	}
}

func TestPrintAlignsAndTellsWhatMends(t *testing.T) {
	list := []doctor.Finding{
		{Check: "a", Status: doctor.OK, Found: "fine"},
		{Check: "long.name", Status: doctor.Warn, Found: "not so fine", Mend: "one\ntwo"},
	}
	var b bytes.Buffer
	if err := doctor.Print(&b, list); err != nil {
		t.Fatal(err)
	}
	const wanted = `ok       a          fine
warn     long.name  not so fine
                    -> one
                    -> two

0 fail, 1 warn, 1 ok, 0 skipped
`
	if diff := cmp.Diff(wanted, b.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestCommandsFindTheServerAsTheDoctorDid(t *testing.T) {
	w := healthy(t)
	secured(t, w)
	w.subject.Flags = "--data '/srv/my data'"
	clear(w.env)
	w.files["home/me/.docker/config.json"] = file("{}")
	all := w.examine(t)
	want{"aws.endpoint", doctor.Warn, "", `eval "$(berth env --data '/srv/my data')"`}.holds(t, all)
	want{"tls", doctor.Warn, "", "berth ca trust --data '/srv/my data' localhost:5000"}.holds(t, all)
	want{"login.docker", doctor.Warn, "", "berth login --data '/srv/my data' localhost:5000"}.holds(t, all)
}

func TestAProgramThatIsKilledIsAFinding(t *testing.T) {
	w := healthy(t)
	w.programs["crane version"] = "v0.22.1\n"
	m := w.machine()
	m.Run = func(ctx context.Context, _ string, _ ...string) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	all := doctor.Examine(ctx, m, w.subject, time.Minute)
	want{"client.crane", doctor.Warn, "crane does not say its version", ""}.holds(t, all)
}
