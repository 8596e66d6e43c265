package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

const (
	helperTime = 30 * time.Second // that a program may take
	helperLife = 5 * time.Minute  // that its answer is kept
)

// Helper are credentials from one of docker's credential helpers: the program
// docker-credential-NAME on the PATH, asked for the URL of a registry. What it gives
// is kept for some minutes, unless the registry does not take it.
// (https://github.com/docker/docker-credential-helpers describes the protocol.)
func Helper(name, registry string) (Credentials, error) {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return nil, fmt.Errorf("%.80q is no name of a credential helper", name)
	}
	program := "docker-credential-" + name
	get := func(ctx context.Context) (login, error) { return runHelper(ctx, program, registry) }
	return &kept{get: get, now: time.Now}, nil
}

func runHelper(ctx context.Context, program, registry string) (login, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(registry)
	cmd.WaitDelay = time.Second
	out := &short{}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return login{}, fmt.Errorf("%s gives none: %w", program, err)
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out.Bytes(), &said) != nil || said.Username == "" || said.Secret == "" {
		return login{}, fmt.Errorf("%s gives none that can be read", program)
	}
	return login{said.Username, accounts.NewSecret(said.Secret), time.Now().Add(helperLife)}, nil
}

// short takes no more than credentials need.
type short struct{ bytes.Buffer }

func (s *short) Write(p []byte) (int, error) {
	if s.Len()+len(p) > maxCredentials {
		return 0, errors.New("too long")
	}
	return s.Buffer.Write(p)
}

// login is a user and his secret, until a time.
type login struct {
	user   string
	secret accounts.Secret
	until  time.Time
}

// kept are credentials that are kept until they end. Of those who want them side by
// side one gets them.
type kept struct {
	get func(context.Context) (login, error)
	now func() time.Time

	mu   sync.Mutex
	last login
	busy chan struct{} // closed when whoever gets them is done; nil when nobody does
}

// Login implements Credentials.
func (k *kept) Login(ctx context.Context) (string, accounts.Secret, error) {
	for {
		k.mu.Lock()
		if k.now().Before(k.last.until) {
			defer k.mu.Unlock()
			return k.last.user, k.last.secret, nil
		}
		if k.busy == nil {
			k.busy = make(chan struct{})
			k.mu.Unlock()
			return k.renew(ctx)
		}
		busy := k.busy
		k.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return "", accounts.Secret{}, ctx.Err()
		}
	}
}

func (k *kept) renew(ctx context.Context) (string, accounts.Secret, error) {
	got, err := k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.busy)
	k.busy = nil
	if err != nil {
		return "", accounts.Secret{}, err
	}
	k.last = got
	return got.user, got.secret, nil
}

// Forget has the next who logs in get them anew.
func (k *kept) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = login{}
}
