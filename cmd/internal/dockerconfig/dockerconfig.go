// Package dockerconfig reads and changes Docker's configuration of a user,
// config.json, where docker, podman, skopeo and others look for passwords. It
// knows the members that say how a host is logged in to, and leaves every
// other one as it is.
package dockerconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// Path is where the configuration is: in the folder that DOCKER_CONFIG names,
// else in .docker of the home folder.
func Path() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("docker's configuration: %w", err)
	}
	return filepath.Join(home, ".docker", "config.json"), nil
}

// File is a configuration that was read. Changes are kept by Save. It is not
// for several goroutines.
type File struct {
	path    string
	members map[string]json.RawMessage
	auths   map[string]json.RawMessage
	helpers map[string]string
	store   string
	changed bool
}

// The members that this package knows.
const (
	authsMember   = "auths"
	helpersMember = "credHelpers"
	storeMember   = "credsStore"
)

// Open reads a configuration; an absent or empty file is an empty one.
func Open(path string) (*File, error) {
	f := &File{path: path, members: map[string]json.RawMessage{}}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &f.members); err != nil {
			return nil, unreadable(path, err)
		}
	}
	if f.members == nil { // "null"
		f.members = map[string]json.RawMessage{}
	}
	for name, into := range map[string]any{authsMember: &f.auths, helpersMember: &f.helpers, storeMember: &f.store} {
		if raw, ok := f.members[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, unreadable(path, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	return f, nil
}

func unreadable(path string, err error) error {
	return fmt.Errorf("%s is not a configuration of Docker's: %w", path, err)
}

// Path is the file's own.
func (f *File) Path() string { return f.path }

// Helper is the credential helper of a host, without "docker-credential-"; ""
// if it has none of its own.
func (f *File) Helper(host string) string { return f.helpers[host] }

// Store is the credential helper of every host that has none of its own; "" if
// passwords are in the file itself.
func (f *File) Store() string { return f.store }

// HasPassword says whether the file itself has a password of a host.
func (f *File) HasPassword(host string) bool {
	var entry struct{ Auth string }
	return json.Unmarshal(f.auths[host], &entry) == nil && entry.Auth != ""
}

// SetHelper has a credential helper asked for a host, and for nothing else. A
// password of the host that is in the file is dropped.
func (f *File) SetHelper(host, name string) {
	f.Forget(host)
	if f.helpers == nil {
		f.helpers = map[string]string{}
	}
	f.helpers[host], f.changed = name, true
}

// SetPassword puts a password of a host into the file, in the place of a helper
// of its own.
func (f *File) SetPassword(host, user, password string) {
	f.Forget(host)
	if f.auths == nil {
		f.auths = map[string]json.RawMessage{}
	}
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	f.auths[host], f.changed = json.RawMessage(`{"auth":"`+auth+`"}`), true
}

// Forget drops what the file says of a host, and says whether there was
// anything.
func (f *File) Forget(host string) bool {
	_, auth := f.auths[host]
	_, helper := f.helpers[host]
	delete(f.auths, host)
	delete(f.helpers, host)
	f.changed = f.changed || auth || helper
	return auth || helper
}

// Save writes the file, with mode 0600, if anything was changed.
func (f *File) Save() error {
	if !f.changed {
		return nil
	}
	if err := errors.Join(put(f.members, authsMember, f.auths), put(f.members, helpersMember, f.helpers)); err != nil {
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // other members stay as their writer wrote them
	enc.SetIndent("", "\t")  // as docker does
	if err := enc.Encode(f.members); err != nil {
		return err
	}
	f.changed = false
	return privatefile.Write(f.path, b.Bytes())
}

// put sets a member, or takes it out where nothing is left of it.
func put[V any](members map[string]json.RawMessage, name string, value map[string]V) error {
	if len(value) == 0 {
		delete(members, name)
		return nil
	}
	raw, err := json.Marshal(value)
	members[name] = raw
	return err
}

// SetElsewhere notes that the helper of all hosts has the password of one, as
// docker itself does after a login.
func (f *File) SetElsewhere(host string) {
	f.Forget(host)
	if f.auths == nil {
		f.auths = map[string]json.RawMessage{}
	}
	f.auths[host], f.changed = json.RawMessage(`{}`), true
}
