package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/backups"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/storage/backup"
)

// backupFlags are those of a command that makes a backup.
type backupFlags struct {
	src             config.Sources
	at              *reach
	box             boxFlags
	records, rehash bool
	json, withKeys  bool
	keep            int
	recipients      []string
	scratch         string
}

func newBackup() *cobra.Command {
	f := &backupFlags{}
	c := &cobra.Command{
		Use:   "backup DIR|s3://BUCKET/PREFIX",
		Short: "Back up the store, beside a running server or while it is stopped",
		Long: `Back up the store: a state of the index that existed, and every layer that it names.
What the target has of earlier backups is not copied again, and each layer is held
against its digest on the way.

The changes since the backup before are kept beside it, so that each state in between
can be restored. "berth backup --records" does nothing else: it takes little time and
can be run every few minutes.

The master key, under which secrets in the index are sealed, and the private keys in
tls/ are left out unless --with-keys is given; then they are encrypted. Keep the file
"keys" of the data folder in a safe place: without it no backup can be restored.
Configuration files are not in a backup, nor are uploads under way, the audit trail
and logs.

The exit code is 0 if all was backed up; 3 if the backup was made but some layers are
damaged in the store and lack in it, which are named; 1 if there is no backup.`,
		Example: "  berth backup /mnt/backup/berth --keep 14\n  berth backup s3://backups/berth --with-keys --recipient age1…",
		Args:    withUsage(cobra.ExactArgs(1)),
	}
	c.Flags().BoolVar(&f.records, "records", false, "only put the changes since the last backup beside it")
	c.Flags().BoolVar(&f.withKeys, "with-keys", false, "put the master key and the private keys in tls/ in too, encrypted")
	c.Flags().StringArrayVar(&f.recipients, "recipient", nil, "public key of age to encrypt them for, instead of a passphrase; may be given again")
	f.box.add(c)
	c.Flags().IntVar(&f.keep, "keep", 0, "then remove all but so many backups (0: remove none)")
	c.Flags().BoolVar(&f.rehash, "verify", false, "read what the target has of earlier backups, and copy anew what is damaged")
	c.Flags().StringVar(&f.scratch, "scratch", "", "folder for what is on its way (default: DIR, or that for temporary files)")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	f.at = addReach(c)
	f.src = addPlace(c)
	c.RunE = func(c *cobra.Command, args []string) error { return f.run(c, args[0]) }
	c.AddCommand(newBackupList(), newBackupVerify(), newBackupPrune())
	return c
}

// interruptible is the context of a command that takes long: it ends with a signal.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
}

func (f *backupFlags) run(c *cobra.Command, to string) error {
	ctx, stop := interruptible(c)
	defer stop()
	at, err := config.Locate(f.src)
	if err != nil {
		return err
	}
	if at.Data == config.Memory {
		return errors.New("a server that keeps its data in memory leaves nothing to back up")
	}
	job, err := f.job(c)
	if err != nil {
		return err
	}
	target, err := f.at.open(ctx, to, true)
	if err != nil {
		return err
	}
	defer target.Close()
	job.Target = target
	if job.Scratch == "" {
		job.Scratch = target.scratch
	}
	var r backup.Report
	err = withKeeper(ctx, f.src, func(k admin.Keeper, _ bool) (err error) {
		r, err = backups.Make(ctx, backups.Store{Keeper: k, Data: at.Data, Berth: thisVersion()}, job)
		return err
	})
	if err == nil {
		err = f.print(c.OutOrStdout(), target, r)
	}
	if err == nil && f.keep > 0 && len(r.Lacks) == 0 {
		_, err = backup.Prune(ctx, target, f.keep)
	}
	if err == nil && len(r.Lacks) > 0 {
		err = lacks(r.Lacks, r.Total.Damaged)
	}
	return err
}

func (f *backupFlags) job(c *cobra.Command) (j backups.Job, err error) {
	if f.keep < 0 {
		return j, usageError{errors.New("--keep: want a number of backups, 1 at least")}
	}
	if f.records && f.withKeys {
		return j, usageError{errors.New("--records: keys go in with a whole backup")}
	}
	if !f.withKeys && (len(f.recipients) > 0 || f.box.passphraseFile != "") {
		return j, usageError{errors.New("--recipient and --passphrase-file say how keys are encrypted: with --with-keys")}
	}
	j = backups.Job{RecordsOnly: f.records, Rehash: f.rehash, Scratch: f.scratch, Progress: progress(c.ErrOrStderr())}
	if f.withKeys {
		j.Lock, err = f.box.lock(c, f.recipients)
	}
	return j, err
}

func (f *backupFlags) print(w io.Writer, to *opened, r backup.Report) error {
	if f.json {
		return printJSON(w, r)
	}
	if r.Blobs == 0 && r.Copied == 0 && f.records && r.Base == "" {
		_, err := fmt.Fprintf(w, "nothing has changed since backup %s\n", r.ID)
		return err
	}
	_, err := fmt.Fprintf(w, "backup %s in %s: state %d, %d layers of %s, %d of them new (%s)\n",
		r.ID, to, r.Number, r.Blobs, bytesText(r.Bytes), r.Copied, bytesText(r.CopiedBytes))
	return err
}

// damagedError says that a backup was made and lacks something.
type damagedError struct{ error }

// lacks names the layers that a backup lacks.
func lacks(list []backup.Blob, all int) error {
	var text strings.Builder
	fmt.Fprintf(&text, "the backup was made without %d damaged layers:", all)
	for _, b := range list {
		fmt.Fprintf(&text, "\n  %s (blob %s): %s", b.Digest, b.ID, b.Damaged)
	}
	return damagedError{errors.New(text.String())}
}

func newBackupList() *cobra.Command {
	var asJSON bool
	c := leaf(1, "list DIR|s3://BUCKET/PREFIX", "List the backups in a target, oldest first", "berth backup list /mnt/backup/berth")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at := addReach(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		target, err := at.open(c.Context(), args[0], false)
		if err != nil {
			return err
		}
		defer target.Close()
		list, err := backup.List(c.Context(), target)
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSON(c.OutOrStdout(), list)
		}
		return table("BACKUP|TIME|STATE|LAYERS|BYTES|KEYS|NOTE", func(l backup.Listed) []string {
			if l.Fault != "" {
				return []string{l.ID, "-", "-", "-", "-", "-", l.Fault}
			}
			keys := "no"
			if l.Secrets != nil {
				keys = "yes"
			}
			return []string{l.ID, l.Time.Format(time.RFC3339), fmt.Sprint(l.Number), fmt.Sprint(l.Blobs), bytesText(l.Bytes), keys, note(l)}
		})(c.OutOrStdout(), list)
	}
	return c
}

// note is what is special about a backup.
func note(l backup.Listed) string {
	var all []string
	if l.Base != "" {
		all = append(all, "changes since "+l.Base)
	}
	if l.Total.Damaged > 0 {
		all = append(all, fmt.Sprintf("lacks %d damaged layers", l.Total.Damaged))
	}
	return strings.Join(all, ", ")
}

func newBackupVerify() *cobra.Command {
	var id string
	c := leaf(1, "verify DIR|s3://BUCKET/PREFIX", "Read a backup whole and hold all of it against its checksums", "berth backup verify /mnt/backup/berth")
	c.Flags().StringVar(&id, "backup", "", "id of the backup (default: the last one)")
	at := addReach(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		target, err := at.open(ctx, args[0], false)
		if err != nil {
			return err
		}
		defer target.Close()
		b, err := backup.Find(ctx, target, backup.Wanted{ID: id}, nil)
		if err == nil {
			err = b.Check(ctx)
		}
		if err == nil {
			err = b.Verify(ctx, progress(c.ErrOrStderr()))
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "backup %s is whole\n", b.Manifest.ID)
		return err
	}
	return c
}

func newBackupPrune() *cobra.Command {
	var keep int
	c := leaf(1, "prune DIR|s3://BUCKET/PREFIX", "Remove all but the newest backups, and the layers that none of them has", "berth backup prune /mnt/backup/berth --keep 14")
	c.Flags().IntVar(&keep, "keep", 0, "how many backups stay, with the changes since each")
	at := addReach(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if keep < 1 {
			return usageError{errors.New("--keep: how many backups stay? 1 at least")}
		}
		ctx, stop := interruptible(c)
		defer stop()
		target, err := at.open(ctx, args[0], false)
		if err != nil {
			return err
		}
		defer target.Close()
		done, err := backup.Prune(ctx, target, keep)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "removed %d backups: %d files, %s\n", len(done.Backups), done.Files, bytesText(done.Bytes))
		return err
	}
	return c
}
