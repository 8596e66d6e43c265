package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
)

// asker is whose key asks a registry for passwords.
type asker struct {
	ecrlogin.Identity
	server *logins.Server // whose own key it is; nil if it is AWS's tools'
	ca     string         // certificate that vouches for that server
}

// guessTime is how long the machine may take to say that it has a role of its
// own. At Amazon it takes milliseconds, elsewhere nobody answers.
const guessTime = 3 * time.Second

// chooseKey decides whose key asks: that of a server or a profile that is
// named; else the one that every AWS tool would take; and where there is none,
// that of the server on this machine.
func chooseKey(ctx context.Context, src config.Sources, profile string) (asker, error) {
	if len(src.Flags) > 0 {
		if profile != "" {
			return asker{}, usageError{errors.New("--profile names one key, and a server's data folder another")}
		}
		at, err := locate(src)
		if err != nil {
			return asker{}, err
		}
		return keyOfServer(ctx, at)
	}
	id, err := ecrlogin.Identify(ctx, profile)
	if err != nil || !id.Guessed || profile != "" {
		return asker{Identity: id}, err
	}
	at, err := locate(src)
	if err != nil {
		return asker{}, err
	}
	if own, err := keyOfServer(ctx, at); err == nil {
		return own, nil
	}
	if err := tryRole(ctx, id); err != nil {
		return asker{}, fmt.Errorf("%w, and no server of this user runs with the data folder %s (--data names another)", err, at.Data)
	}
	return asker{Identity: id}, nil
}

// keyOf is the key that a remembered login means.
func keyOf(ctx context.Context, l logins.Login) (asker, error) {
	if l.Server != nil {
		return keyOfServer(ctx, *l.Server)
	}
	return chooseKey(ctx, config.Sources{Environ: os.Environ()}, l.Profile)
}

var errNoCredentials = errors.New("no AWS credentials were found, neither in the environment nor in a profile nor as a role of this machine")

func tryRole(ctx context.Context, id ecrlogin.Identity) error {
	ctx, cancel := context.WithTimeout(ctx, guessTime)
	defer cancel()
	if _, err := id.Credentials.Retrieve(ctx); err != nil {
		return errNoCredentials // the rest is of Amazon's own services
	}
	return nil
}

// locate is where the server that the sources mean is found from any folder.
func locate(src config.Sources) (logins.Server, error) {
	at, err := config.Locate(src)
	if err != nil {
		return logins.Server{}, err
	}
	if at.Data == config.Memory {
		return logins.Server{Data: at.Data, Listen: at.Listen}, nil
	}
	data, err := filepath.Abs(at.Data)
	return logins.Server{Data: data}, err
}

// keyOfServer asks a running server of this user for the key that it gives its
// clients.
func keyOfServer(ctx context.Context, at logins.Server) (asker, error) {
	place := admin.InFolder(at.Data)
	if at.Data == config.Memory {
		place = admin.InMemory(at.Listen)
	}
	e, err := admin.NewClient(place).Environment(ctx)
	if err != nil {
		return asker{}, err
	}
	id := ecrlogin.Identity{Credentials: ecrlogin.Static(e.Key.ID, e.Key.Secret), Region: e.Region}
	return asker{id, &at, e.CA}, nil
}

// token asks for a password.
func (a asker) token(ctx context.Context, client *ecrlogin.Client, l logins.Login) (ecrlogin.Token, error) {
	return client.Token(ctx, ecrlogin.Ask{
		Endpoint: l.Endpoint, Region: l.Region, RegistryID: l.RegistryID, Credentials: a.Credentials, Now: time.Now(),
	})
}
