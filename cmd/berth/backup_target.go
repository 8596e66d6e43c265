package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/bucket"
	"github.com/seed-78150930/berth/cmd/internal/keybox"
	"github.com/seed-78150930/berth/storage/backup"
)

// reach says how targets are reached that are no folders.
type reach struct{ endpoint, region string }

// addReach gives a command the flags by which buckets are reached.
func addReach(c *cobra.Command) *reach {
	r := &reach{}
	c.Flags().StringVar(&r.endpoint, "s3-endpoint", "", "address of a service that speaks S3's protocol (default: Amazon's)")
	c.Flags().StringVar(&r.region, "s3-region", "", "region of the bucket (default: that of AWS's configuration)")
	return r
}

// opened is a target, and what belongs to it.
type opened struct {
	backup.Target
	io.Closer
	scratch string // a good folder for what is on its way, "" for that of the system
}

// open opens a target, and makes a folder that is absent if that is wanted.
func (p *reach) open(ctx context.Context, name string, create bool) (*opened, error) {
	if bucket.Is(name) {
		t, err := bucket.Open(ctx, bucket.Options{URL: name, Endpoint: p.endpoint, Region: p.region})
		if err != nil {
			return nil, usageError{err}
		}
		return &opened{t, t, ""}, nil
	}
	open := backup.OpenFolder
	if create {
		open = backup.MakeFolder
	}
	f, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not there", backup.ErrNone, name)
	}
	if err != nil {
		return nil, err
	}
	return &opened{f, f, name}, nil
}

// boxFlags say how keys in a backup are encrypted.
type boxFlags struct{ passphraseFile, identityFile string }

func (b *boxFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&b.passphraseFile, "passphrase-file", "", "file with the passphrase for the keys in the backup, with - the standard input (default: it is asked for)")
}

// lock is what keys are encrypted with.
func (b *boxFlags) lock(c *cobra.Command, recipients []string) (*keybox.Lock, error) {
	if len(recipients) > 0 {
		if b.passphraseFile != "" {
			return nil, usageError{errors.New("--recipient and --passphrase-file: one of them")}
		}
		l, err := keybox.Recipients(recipients...)
		if err != nil {
			return nil, usageError{err}
		}
		return &l, nil
	}
	text, err := b.passphrase(c, askPassword)
	if err != nil {
		return nil, err
	}
	l, err := keybox.Passphrase(text)
	return &l, err
}

// opener is what they are decrypted with.
func (b *boxFlags) opener(c *cobra.Command) (keybox.Opener, error) {
	if b.identityFile != "" {
		text, err := os.ReadFile(b.identityFile)
		if err != nil {
			return keybox.Opener{}, fmt.Errorf("--identity: %w", err)
		}
		return keybox.Identities(accounts.NewSecret(string(text)))
	}
	text, err := b.passphrase(c, askOnce)
	if err != nil {
		return keybox.Opener{}, err
	}
	return keybox.ByPassphrase(text)
}

// passphrase reads a passphrase from the file that was named, or asks for it.
func (b *boxFlags) passphrase(c *cobra.Command, ask func(io.Reader, io.Writer) (accounts.Secret, error)) (accounts.Secret, error) {
	var in io.Reader
	switch b.passphraseFile {
	case "":
		text, err := ask(c.InOrStdin(), c.ErrOrStderr())
		var usage usageError
		if errors.As(err, &usage) {
			err = usageError{errors.New("there is no terminal to ask for the passphrase on: give it by --passphrase-file, or a key of age")}
		}
		return text, err
	case "-":
		in = c.InOrStdin()
	default:
		f, err := os.Open(b.passphraseFile)
		if err != nil {
			return accounts.Secret{}, fmt.Errorf("--passphrase-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, longestInput))
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); err == nil && line == "" {
		err = errors.New("there is none")
	}
	if err != nil {
		return accounts.Secret{}, fmt.Errorf("--passphrase-file: %w", err)
	}
	return accounts.NewSecret(line), nil
}

// askOnce asks for a passphrase that opens something: a wrong one does no harm.
func askOnce(in io.Reader, out io.Writer) (accounts.Secret, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return accounts.Secret{}, usageError{errors.New("no terminal")}
	}
	fmt.Fprint(out, "Passphrase: ")
	text, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(out)
	return accounts.NewSecret(string(text)), err
}

// progressPause is between two lines of progress.
const progressPause = 5 * time.Second

// progress tells people how far something came: what is begun at once, the rest now and
// then.
func progress(w io.Writer) func(backup.Progress) {
	var doing string
	var last time.Time
	return func(p backup.Progress) {
		if p.Doing == doing && time.Since(last) < progressPause {
			return
		}
		doing, last = p.Doing, time.Now()
		if p.Of == 0 {
			fmt.Fprintf(w, "%s\n", p.Doing)
			return
		}
		fmt.Fprintf(w, "%s: %d of %d, %s\n", p.Doing, p.Blobs, p.Of, bytesText(p.Bytes))
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	unit, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for len(units) > 1 && unit >= 1024 {
		unit, units = unit/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", unit, units[0])
}
