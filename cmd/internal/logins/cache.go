package logins

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// Password is a password and its end.
type Password struct {
	User    string
	Secret  accounts.Secret
	Expires time.Time
}

// margin is how long before its end a password is no longer given away: long
// enough for the push that was begun with it.
const margin = 30 * time.Minute

// Cache keeps one password of each host, each in a file that only its owner
// can read. The zero value keeps nothing.
type Cache struct{ dir string }

// OpenCache returns the cache of this user, in the folder berth of the system's
// folder of caches. Where there is none, it keeps nothing.
func OpenCache() Cache {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Cache{}
	}
	return Cache{filepath.Join(dir, "berth")}
}

type cached struct {
	Login   string    `json:"login"` // fingerprint of what was asked
	By      string    `json:"by"`    // and of who asked
	User    string    `json:"user"`
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

// Of is the password of a host, if one is kept that was asked for in the same
// way, by who asks now, and holds for a while yet.
func (c Cache) Of(host string, l Login, now time.Time) (Password, bool) {
	p, ok := c.read(host, l, now)
	return Password{p.User, accounts.NewSecret(p.Secret), p.Expires}, ok && p.By == asker()
}

// Last is Of for whoever asked: for use where nothing says who asks now.
func (c Cache) Last(host string, l Login, now time.Time) (Password, bool) {
	p, ok := c.read(host, l, now)
	return Password{p.User, accounts.NewSecret(p.Secret), p.Expires}, ok
}

func (c Cache) read(host string, l Login, now time.Time) (p cached, ok bool) {
	if c.dir == "" {
		return cached{}, false
	}
	text, err := os.ReadFile(c.path(host))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Login != fingerprint(host, l) || now.After(p.Expires.Add(-margin)) {
		return cached{}, false
	}
	return p, true
}

// Keep keeps a password in the place of an older one.
func (c Cache) Keep(host string, l Login, p Password) error {
	if c.dir == "" {
		return nil
	}
	text, err := json.Marshal(cached{fingerprint(host, l), asker(), p.User, p.Secret.Reveal(), p.Expires})
	if err != nil {
		return err
	}
	return privatefile.Write(c.path(host), text)
}

// Forget drops the password of a host.
func (c Cache) Forget(host string) error {
	if c.dir == "" {
		return nil
	}
	if err := os.Remove(c.path(host)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c Cache) path(host string) string {
	sum := sha256.Sum256([]byte(host)) // a colon is no part of a file's name everywhere
	return filepath.Join(c.dir, "password-"+hex.EncodeToString(sum[:8])+".json")
}

// identity are the variables that say whose credentials AWS's tools take.
var identity = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
}

// fingerprint tells logins apart.
func fingerprint(host string, l Login) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(l) // a hash takes all
	fmt.Fprintf(h, "%q\n", host)
	return hex.EncodeToString(h.Sum(nil))
}

// asker tells apart who asks, so that nobody is given the password of a key
// that he no longer uses.
func asker() string {
	h := sha256.New()
	for _, name := range identity {
		fmt.Fprintf(h, "%s=%q\n", name, os.Getenv(name))
	}
	for _, path := range sharedFiles() {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sharedFiles are those of AWS's profiles.
func sharedFiles() []string {
	files := []string{os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE")}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".aws", "config"), filepath.Join(home, ".aws", "credentials"))
	}
	return files
}
