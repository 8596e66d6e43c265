package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mountNames puts files of the tests' own in place of some of the machine's,
// in a mount namespace that was made for this process: /etc/hosts, how it is
// read, and the folder that dockerd takes authorities from.
func mountNames() error {
	// What is mounted from here on must not spread to where this one came from.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := mountText(hostsFile(), "/etc/hosts"); err != nil {
		return err
	}
	// dockerd makes the folder on every machine where it has run.
	if err := os.MkdirAll("/etc/docker", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/etc/docker", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount a folder at /etc/docker: %w", err)
	}
	conf, err := os.ReadFile("/etc/nsswitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // without one, files come first
	}
	if err != nil {
		return err
	}
	return mountText(hostsAlone(string(conf)), "/etc/nsswitch.conf")
}

// mountText has programs read text at path. The file that is mounted there
// loses its own name at once, so that none is left behind.
func mountText(text, path string) error {
	f, err := os.CreateTemp("", "berth-interop")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := unix.Mount(f.Name(), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a file at %s: %w", path, err)
	}
	return nil
}

// hostsFile is an /etc/hosts with Names, Elsewhere and the machine's own name.
func hostsFile() string {
	names := append(Names(), "localhost")
	if self, err := os.Hostname(); err == nil {
		names = append(names, self)
	}
	return ElsewhereAddress + " " + Elsewhere + "\n::1 localhost\n127.0.0.1 " + strings.Join(names, "\n127.0.0.1 ") + "\n"
}

// hostsAlone is an /etc/nsswitch.conf by which programs look for hosts in
// /etc/hosts and nowhere else; the rest of it is as the machine has it.
func hostsAlone(conf string) string {
	var b strings.Builder
	for line := range strings.Lines(conf) {
		if !strings.HasPrefix(strings.TrimSpace(line), "hosts:") {
			b.WriteString(line)
		}
	}
	return strings.TrimSuffix(b.String(), "\n") + "\nhosts: files\n"
}
