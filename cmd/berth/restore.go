package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/backups"
	"github.com/seed-78150930/berth/cmd/internal/keybox"
	"github.com/seed-78150930/berth/storage/backup"
)

func newRestore() *cobra.Command {
	var at, keys string
	var asJSON bool
	var o backups.Order
	var box boxFlags
	c := leaf(2, "restore DIR|s3://BUCKET/PREFIX FOLDER", "Make a data folder of a backup",
		"berth restore /mnt/backup/berth ./data --keys ./keys\n  berth restore s3://backups/berth ./data --at 2026-01-02T15:04:05Z --identity key.txt")
	c.Long = `Make a data folder of a backup. The folder must be empty or absent; it is there when
all that belongs in it was read and held against its checksums, and until then nothing
is. A backup that is truncated, changed, of a newer version or none at all is refused.

By default it is the last state that was backed up; --at and --number name an earlier
one, as far as the changes between backups were kept.

Secrets in the index are sealed under the store's master key: --keys names the file
"keys" of the old data folder, or a copy of it. A backup made --with-keys has the key,
for which the passphrase is asked, or --identity names the private key.

Uploads that were under way are not in a backup: their clients begin anew. What was
revoked or deleted after the state that is restored is as it was before.`
	c.Flags().StringVar(&o.Wanted.ID, "backup", "", "id of the backup (default: the last one)")
	c.Flags().StringVar(&at, "at", "", "time whose state is restored, such as 2026-01-02T15:04:05Z")
	c.Flags().Uint64Var(&o.Wanted.Number, "number", 0, "number of the last change that the state has")
	c.Flags().StringVar(&keys, "keys", "", "file with the store's master key")
	box.add(c)
	c.Flags().StringVar(&box.identityFile, "identity", "", "file with a private key of age, for a backup that has the keys")
	c.Flags().BoolVar(&o.Lacking, "lacking", false, "restore a backup that lacks damaged layers: what needs them cannot be pulled")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	from := addReach(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		ctx, stop := interruptible(c)
		defer stop()
		if o.Wanted.At, err = parseTime(at); err != nil {
			return err
		}
		if o.Key, err = readKeyFile(keys); err != nil {
			return err
		}
		target, err := from.open(ctx, args[0], false)
		if err != nil {
			return err
		}
		defer target.Close()
		o.From, o.Folder, o.Progress = target, args[1], progress(c.ErrOrStderr())
		o.Open = func() (keybox.Opener, error) { return box.opener(c) }
		r, err := backups.Restore(ctx, o)
		switch {
		case errors.Is(err, backup.ErrLacking):
			return fmt.Errorf("%w\nwith --lacking all else is restored", err)
		case err != nil:
			return err
		case asJSON:
			return printJSON(c.OutOrStdout(), r)
		}
		return printRestored(c.OutOrStdout(), r)
	}
	return c
}

func printRestored(w io.Writer, r backups.Result) error {
	_, err := fmt.Fprintf(w, "restored %s: state %d of backup %s, %d layers of %s\n", r.Folder, r.Number, r.Backup, r.Blobs, bytesText(r.Bytes))
	if err == nil && len(r.Lacks) > 0 {
		_, err = fmt.Fprintf(w, "%d layers are missing; see berth fsck\n", len(r.Lacks))
	}
	return err
}

// parseTime reads a point in time; "" is none.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, usageError{fmt.Errorf("--at: %.40q is no time such as 2026-01-02T15:04:05Z", text)}
	}
	return t, nil
}

// readKeyFile reads a file with a master key; "" is none.
func readKeyFile(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestInput))
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	return text, nil
}
