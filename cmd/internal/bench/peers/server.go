package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/bench"
	"github.com/seed-78150930/berth/cmd/internal/bench/least"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

// The key of servers that ask for one. They listen on this machine alone, as long
// as they are measured.
const (
	keyID  = "AKIDPEERS"
	secret = "secret-of-the-peers"
	region = "us-east-1"

	keyVariable    = "BERTH_ROOT_ACCESS_KEY_ID"
	secretVariable = "BERTH_ROOT_SECRET_ACCESS_KEY"
)

// programs are paths of what is started.
type programs struct{ self, berth, distribution string }

// peer is a server that can be started.
type peer struct {
	name string
	ecr  bool // it has ECR's API, and asks for a password that comes from there
	// command is what starts it, in a folder of its own and at an address.
	command func(p programs, dir, at string) (*exec.Cmd, error)
}

// The names of servers. Whatever the yardstick differs by from itself is the
// machine's doing.
const (
	theLeast     = "least"
	leastAgain   = "least-again"
	berth        = "berth"
	distribution = "distribution"
)

var peers = []peer{
	{theLeast, true, startLeast},
	{berth, true, startBerth},
	{distribution, false, startDistribution},
	{leastAgain, true, startLeast},
}

func startLeast(p programs, dir, at string) (*exec.Cmd, error) {
	return withKey(exec.Command(p.self, "least", "-listen", at, "-data", filepath.Join(dir, "data"))), nil
}

func startBerth(p programs, dir, at string) (*exec.Cmd, error) {
	cmd := withKey(exec.Command(p.berth, "serve", "--listen", at, "--data", filepath.Join(dir, "data"), "--create-on-push", "always"))
	return cmd, nil
}

func withKey(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), keyVariable+"="+keyID, secretVariable+"="+secret)
	return cmd
}

// distributionConfig keeps it from writing what Berth's log at its default does not
// cost less than, and leaves all else as it comes.
const distributionConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: %s
http:
  addr: %s
  secret: peers
catalog:
  maxentries: 1000
`

func startDistribution(p programs, dir, at string) (*exec.Cmd, error) {
	conf := filepath.Join(dir, "config.yml")
	err := os.WriteFile(conf, fmt.Appendf(nil, distributionConfig, filepath.Join(dir, "data"), at), 0o600)
	cmd := exec.Command(p.distribution, "serve", conf)
	// It would tell of its traces otherwise, to nobody.
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	return cmd, err
}

// server is one that runs.
type server struct {
	peer
	cmd   *exec.Cmd
	dir   string
	url   string
	ended chan struct{}
}

// start starts a server on a fresh folder and waits until it answers.
func (p peer) start(ctx context.Context, from programs) (*server, error) {
	dir, err := os.MkdirTemp("", "berth-peers-")
	if err != nil {
		return nil, err
	}
	at, err := freeAddress()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{peer: p, dir: dir, url: "http://" + at, ended: make(chan struct{})}
	if s.cmd, err = p.command(from, dir, at); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	log, err := os.Create(filepath.Join(dir, "log.txt"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w%s", p.name, err, s.lastWords()), s.stop())
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// startTime is how long a start may take.
const startTime = 30 * time.Second

// await waits until the server answers anything.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v2/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-again.C:
		case <-s.ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastWords are the end of the server's log.
func (s *server) lastWords() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log.txt"))
	if err != nil {
		return ""
	}
	return "; its log ends:\n" + string(text[max(len(text)-2000, 0):])
}

// stop ends the server, removes its folder, and has the disk come to rest so that
// the next one does not pay for this one.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is waited for below
	select {
	case <-s.ended:
	case <-time.After(startTime):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	err := os.RemoveAll(s.dir)
	syscall.Sync()
	return err
}

// target is how the server is spoken to.
func (s *server) target(ctx context.Context) (bench.Target, error) {
	t := bench.Target{Registry: s.url, CPU: bench.CPUOf(s.cmd.Process.Pid)}
	if !s.ecr {
		return t, nil
	}
	t.API = s.url
	t.Signer = ecrlogin.Signer{Credentials: ecrlogin.Static(keyID, accounts.NewSecret(secret)), Region: region}
	client, err := ecrlogin.NewClient("")
	if err != nil {
		return t, err
	}
	token, err := client.Token(ctx, ecrlogin.Ask{Endpoint: s.url, Region: region, Credentials: t.Signer.Credentials, Now: time.Now()})
	t.User, t.Password = token.User, token.Password
	return t, err
}

// serveLeast is the yardstick as a program.
func serveLeast(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("peers least", flag.ContinueOnError)
	at, data := f.String("listen", "127.0.0.1:5001", "address"), f.String("data", "", "folder, which must be empty or absent")
	if err := parse(f, args); err != nil {
		return err
	}
	id, secret := os.Getenv(keyVariable), os.Getenv(secretVariable)
	if id == "" || secret == "" || strings.TrimSpace(*data) == "" {
		return fmt.Errorf("least needs -data and a key in %s and %s", keyVariable, secretVariable)
	}
	s, err := least.New(*data, least.Key{ID: id, Secret: accounts.NewSecret(secret)})
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: *at, Handler: s, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = srv.Shutdown(context.Background()) })
	defer stop()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, s.Close())
	}
	return s.Close()
}
