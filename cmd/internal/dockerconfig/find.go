package dockerconfig

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Password is the user and the password of a host, asked of its credential
// helper, of that of all hosts, or read from the file itself, as docker does; the
// user is "" if none is known.
func (f *File) Password(ctx context.Context, host string) (user string, password accounts.Secret, err error) {
	if helper := f.helpers[host]; helper != "" {
		return askHelper(ctx, helper, host)
	}
	if f.store != "" {
		user, password, err := askHelper(ctx, f.store, host)
		if user != "" || err != nil {
			return user, password, err
		}
	}
	for _, name := range []string{host, "https://" + host, "http://" + host} {
		if user, password, ok := readAuth(f.auths[name]); ok {
			return user, password, nil
		}
	}
	return "", accounts.Secret{}, nil
}

// readAuth reads what the file has of a host.
func readAuth(raw json.RawMessage) (user string, password accounts.Secret, ok bool) {
	var entry struct{ Auth string }
	if json.Unmarshal(raw, &entry) != nil {
		return "", password, false
	}
	plain, err := base64.StdEncoding.DecodeString(entry.Auth)
	if err != nil {
		return "", password, false
	}
	user, text, ok := strings.Cut(string(plain), ":")
	return user, accounts.NewSecret(strings.TrimRight(text, "\x00")), ok && user != ""
}

// notFound begins what helpers say of a host that they do not know
// (docker-credential-helpers, errCredentialsNotFoundMessage).
const notFound = "credentials not found"

// identityToken is the user of what is no password but a token that others are
// asked for with (docker-credential-helpers).
const identityToken = "<token>"

// askHelper asks the credential helper with a name for the password of a host.
func askHelper(ctx context.Context, name, host string) (user string, password accounts.Secret, err error) {
	program := "docker-credential-" + name
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(host)
	out, err := cmd.Output()
	if err != nil && bytes.HasPrefix(out, []byte(notFound)) {
		return "", password, nil
	}
	if err != nil {
		return "", password, fmt.Errorf("%s get: %w", program, err) // what it wrote may be secret
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out, &said) != nil {
		return "", password, fmt.Errorf("%s get: the answer is not that of a credential helper", program)
	}
	if said.Username == identityToken {
		return "", password, fmt.Errorf("%s has a token of %s and no password", program, host)
	}
	return said.Username, accounts.NewSecret(said.Secret), nil
}
