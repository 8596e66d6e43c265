package dockerconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// StoreIn gives a password to the credential helper with a name.
func StoreIn(ctx context.Context, name, host, user, password string) error {
	say, err := json.Marshal(struct{ ServerURL, Username, Secret string }{host, user, password})
	if err != nil {
		return err
	}
	return tell(ctx, name, "store", say)
}

// EraseFrom has the credential helper with a name drop what it has of a host.
func EraseFrom(ctx context.Context, name, host string) error {
	return tell(ctx, name, "erase", []byte(host))
}

// tell gives a helper a command. What it has to say against that is on its
// standard output.
func tell(ctx context.Context, name, command string, say []byte) error {
	program := "docker-credential-" + name
	cmd := exec.CommandContext(ctx, program, command)
	cmd.Stdin = bytes.NewReader(say)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, command, err, strings.TrimSpace(string(out)))
	}
	return nil
}
