package backups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/keybox"
	"github.com/seed-78150930/berth/cmd/internal/privatefile"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/storage/backup"
)

// ErrNoKey says that a backup has no keys in it and none were given.
var ErrNoKey = errors.New("the store's master key is needed")

// Order is a restore to be made.
type Order struct {
	From   backup.Target
	Wanted backup.Wanted
	Folder string // absent or empty
	// Key is the text of the store's key file; nil takes the one in the backup, which Open
	// opens.
	Key  []byte
	Open func() (keybox.Opener, error)
	// Lacking takes a backup that lacks layers: what needs them cannot be pulled.
	Lacking  bool
	Progress func(backup.Progress)
}

// Result is what a restore came to.
type Result struct {
	backup.Restored
	Backup string `json:"backup"` // its id
	Number uint64 `json:"number"` // of the last update in the state
	Folder string `json:"folder"`
	TLS    int    `json:"tls"` // files of certificates and their keys
}

// Restore makes a data folder of a backup. The folder is there when all is in it and was
// held against its checksums; before that there is only a draft beside it, and after an
// error nothing.
func Restore(ctx context.Context, o Order) (Result, error) {
	if err := checkEmpty(o.Folder); err != nil {
		return Result{}, err
	}
	b, err := backup.Find(ctx, o.From, o.Wanted, nil)
	if err != nil {
		return Result{}, err
	}
	if b.Full.DataFormat > datadir.Format {
		return Result{}, fmt.Errorf("%w: backup %s is of a data folder of format %d, by Berth %.40s; this one knows formats up to %d",
			backup.ErrNewer, b.Full.ID, b.Full.DataFormat, b.Full.Berth, datadir.Format)
	}
	key, tls, err := o.keys(ctx, b)
	if err != nil {
		return Result{}, err
	}
	if b, err = backup.Find(ctx, o.From, o.Wanted, signing(key)); err != nil {
		return Result{}, err
	}
	o.Progress(backup.Progress{Doing: "check the backup"})
	if err := b.Check(ctx); err != nil {
		return Result{}, fmt.Errorf("backup %s: %w", b.Manifest.ID, err)
	}
	return o.write(ctx, b, key, tls)
}

// keys are the store's key, and the files of its certificates if the backup has them.
func (o Order) keys(ctx context.Context, b *backup.Backup) (key datadir.Key, tls keybox.Files, err error) {
	text := o.Key
	if text == nil {
		files, err := o.openBox(ctx, b)
		if err != nil {
			return key, nil, err
		}
		text, tls = files[keysName], files
	}
	if key, err = datadir.ParseKey(text); err != nil {
		return key, nil, fmt.Errorf("the key file: %w", err)
	}
	if key.ID() != b.Full.Key {
		return key, nil, fmt.Errorf("the key file has the key %s; the backup is of the store with the key %s", key.ID(), b.Full.Key)
	}
	return key, tls, nil
}

func (o Order) openBox(ctx context.Context, b *backup.Backup) (keybox.Files, error) {
	box, err := b.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	if box == nil {
		return nil, fmt.Errorf("%w: backup %s was made without --with-keys; name the file %q of its data folder, whose key has the id %s",
			ErrNoKey, b.Full.ID, keysName, b.Full.Key)
	}
	opener, err := o.Open()
	if err != nil {
		return nil, err
	}
	return opener.Open(box)
}

// write writes the data folder as a draft and gives it its name.
func (o Order) write(ctx context.Context, b *backup.Backup, key datadir.Key, tls keybox.Files) (res Result, err error) {
	d, err := newDraft(o.Folder)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, d.remove()) }()
	res = Result{Backup: b.Manifest.ID, Folder: d.final}
	dir, err := datadir.Lay(d.path, key)
	if err != nil {
		return res, err
	}
	err = o.fill(ctx, b, dir, &res)
	if err == nil {
		res.TLS, err = writeTLS(dir, tls)
	}
	if err == nil {
		err = dir.Finish(b.Full.DataFormat)
	}
	if err := errors.Join(err, dir.Close()); err != nil {
		return res, err
	}
	return res, d.publish()
}

// fill writes rows and layers.
func (o Order) fill(ctx context.Context, b *backup.Backup, dir *datadir.Dir, res *Result) (err error) {
	r, err := server.OpenRefilled(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	o.Progress(backup.Progress{Doing: "write the index"})
	if res.Number, err = b.Load(ctx, r.Index); err != nil {
		return fmt.Errorf("backup %s: %w", b.Manifest.ID, err)
	}
	res.Restored, err = b.Fill(ctx, r.Index, r.Blobs, backup.Filling{Contents: server.Contents, Lacking: o.Lacking, Progress: o.Progress})
	if err != nil {
		return fmt.Errorf("backup %s: %w", b.Manifest.ID, err)
	}
	return r.Settle(ctx)
}

// writeTLS writes the files of certificates and their keys.
func writeTLS(dir *datadir.Dir, files keybox.Files) (n int, err error) {
	for name, text := range files {
		name, ok := isTLS(name)
		if !ok {
			continue
		}
		path := filepath.Join(dir.TLS(), filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return n, err
		}
		if err := privatefile.WriteDurably(path, text); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
