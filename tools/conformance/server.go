package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// The root key of the server under test, which lives as long as the run.
const (
	keyID     = "AKIACONFORMANCE00000"
	keySecret = "conformance-of-the-distribution-spec"
)

// patience is how long the server may take to be ready.
const patience = 30 * time.Second

// A server is a berth under test.
type server struct {
	url    string
	cmd    *exec.Cmd
	out    bytes.Buffer // what it printed; to be read when it has ended
	exited chan error   // has one value when it has ended
}

// startServer starts berth with a data folder in dir, and waits until it is
// ready. The suite expects that a push makes its repository.
func startServer(ctx context.Context, berth, dir string) (*server, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + listen, exited: make(chan error, 1)}
	s.cmd = exec.Command(berth, "serve", "--listen", listen, "--data", filepath.Join(dir, "data"), "--create-on-push", "always")
	s.cmd.Env = append(os.Environ(), "BERTH_ROOT_ACCESS_KEY_ID="+keyID, "BERTH_ROOT_SECRET_ACCESS_KEY="+keySecret)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait() }()
	return s, s.awaitReady(ctx)
}

func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !s.ready(ctx) {
		select {
		case <-again.C:
		case err := <-s.exited:
			return fmt.Errorf("berth ended before it was ready (%v):\n%s", err, &s.out)
		case <-ctx.Done():
			_ = s.stop()
			return fmt.Errorf("berth was not ready within %v:\n%s", patience, &s.out)
		}
	}
	return nil
}

func (s *server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the server; that it does not end cleanly is an error.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-s.exited; err != nil {
		return fmt.Errorf("berth: %w:\n%s", err, &s.out)
	}
	return nil
}

// password is one for the root of the server's own account.
func (s *server) password(ctx context.Context) (string, error) {
	client := ecr.New(ecr.Options{
		BaseEndpoint: aws.String(s.url),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider(keyID, keySecret, ""),
	})
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", err
	}
	plain, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(string(plain), "AWS:"), nil
}

// freeAddress is a port of 127.0.0.1 that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
