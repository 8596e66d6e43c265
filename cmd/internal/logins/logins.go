// Package logins keeps what `berth login` remembers: for each host, where and as
// whom its passwords are asked for. None of it is secret. Beside it is a cache
// of passwords, which are.
package logins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// Login says how a password of a host is asked for.
type Login struct {
	Registry string `json:"registry"` // URL of the host, such as "https://registry.example:5000"
	Endpoint string `json:"endpoint"` // URL that is asked by GetAuthorizationToken
	Region   string `json:"region"`
	// Profile names credentials in AWS's configuration; "" means those that
	// every AWS tool would take.
	Profile    string `json:"profile,omitempty"`
	RegistryID string `json:"registryId,omitempty"` // account whose registry is meant; "" for the caller's
	// CA is the path of a file of certificates that are trusted beside the
	// system's; "" for none.
	CA string `json:"ca,omitempty"`
	// Server is set where the key is that of a server on this machine.
	Server *Server `json:"server,omitempty"`
}

// Server is how a server on this machine is found.
type Server struct {
	Data   string `json:"data"`
	Listen string `json:"listen,omitempty"` // of one that keeps nothing
}

// Store is the file of remembered logins.
type Store struct{ path string }

// Open returns the store of this user, which is in the folder berth of
// XDG_CONFIG_HOME, else of .config in the home folder.
func Open() (Store, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // a relative one is to be ignored (XDG Base Directory Specification)
		home, err := os.UserHomeDir()
		if err != nil {
			return Store{}, fmt.Errorf("the folder of logins: %w", err)
		}
		dir = filepath.Join(home, ".config")
	}
	return Store{filepath.Join(dir, "berth", "logins.json")}, nil
}

// Path is the file's own.
func (s Store) Path() string { return s.path }

// All are the logins by host. Where there is no file there are none.
func (s Store) All() (map[string]Login, error) {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Login{}, nil
	}
	if err != nil {
		return nil, err
	}
	file := stored{Hosts: map[string]Login{}}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s does not hold logins: %w", s.path, err)
	}
	return file.Hosts, nil
}

type stored struct {
	Hosts map[string]Login `json:"hosts"`
}

// Of is the login of a host, if one is remembered.
func (s Store) Of(host string) (Login, bool, error) {
	all, err := s.All()
	l, ok := all[host]
	return l, ok, err
}

// Put remembers a login.
func (s Store) Put(host string, l Login) error {
	all, err := s.All()
	if err != nil {
		return err
	}
	all[host] = l
	return s.write(all)
}

// Forget drops a login, and says whether there was one.
func (s Store) Forget(host string) (bool, error) {
	all, err := s.All()
	if _, ok := all[host]; err != nil || !ok {
		return false, err
	}
	delete(all, host)
	return true, s.write(all)
}

func (s Store) write(all map[string]Login) error {
	text, err := json.MarshalIndent(stored{all}, "", "  ")
	if err != nil {
		return err
	}
	return privatefile.Write(s.path, append(text, '\n'))
}

// Host is a host and port as the names of images have them, of an address that
// a program may have given a scheme, a path or capital letters.
func Host(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	host, _, _ := strings.Cut(address, "/")
	return strings.ToLower(host)
}
