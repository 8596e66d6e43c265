// Package backups makes backups of a store, beside the server that has it or while none
// runs, and data folders of them. What a backup is, package storage/backup says.
package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/keybox"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/backup"
)

// How long a hold on deleted layers lasts and how often it is renewed. A backup that died
// keeps them for as long as it lasts.
const (
	holdLasts  = 4 * time.Minute
	renewEvery = 45 * time.Second
)

// Store is the store that is backed up.
type Store struct {
	Keeper admin.Keeper // who has it
	Data   string       // its data folder
	Berth  string       // version of this program
}

// Job is a backup to be made.
type Job struct {
	Target backup.Target
	// RecordsOnly puts the changes since the last backup beside it, and nothing else.
	RecordsOnly bool
	// Lock closes the box with the store's keys; nil leaves them out.
	Lock     *keybox.Lock
	Rehash   bool
	Scratch  string
	Progress func(backup.Progress)
}

// Make makes a backup.
func Make(ctx context.Context, s Store, j Job) (backup.Report, error) {
	o, err := s.options(j)
	if err != nil {
		return backup.Report{}, err
	}
	hold, err := admin.BeginBackup.Ask(ctx, s.Keeper, admin.BackupHold{By: fmt.Sprintf("backup, process %d", os.Getpid()), Lasts: holdLasts})
	if err != nil {
		return backup.Report{}, fmt.Errorf("keep what is copied from being deleted: %w", err)
	}
	o.Lineage = hold.Lineage
	held, release := s.keep(ctx, hold)
	work := backup.Make
	if j.RecordsOnly {
		work = backup.MakeRecords
	}
	r, err := work(held, o)
	if cause := context.Cause(held); err != nil && cause != nil && ctx.Err() == nil {
		err = cause
	}
	return r, errors.Join(err, release())
}

// options are what package backup is told.
func (s Store) options(j Job) (backup.Options, error) {
	key, err := datadir.ReadKey(s.Data)
	if err != nil {
		return backup.Options{}, err
	}
	format, err := datadir.FormatIn(s.Data)
	if err != nil {
		return backup.Options{}, err
	}
	blobs, err := server.OpenBlobs(s.Data)
	if err != nil {
		return backup.Options{}, err
	}
	o := backup.Options{
		Source: source{s.Keeper, blobs}, Target: j.Target, Contents: server.Contents, Berth: s.Berth, DataFormat: format,
		Key: key.ID(), Sign: signing(key), Rehash: j.Rehash, Scratch: j.Scratch, Progress: j.Progress,
	}
	if j.Lock == nil {
		return o, nil
	}
	files, err := readKeys(s.Data)
	if err == nil {
		o.Secrets, err = j.Lock.Seal(files)
	}
	return o, err
}

// signing is the key under which manifests are authenticated.
func signing(key datadir.Key) []byte { return key.Derive("backups") }

// source is a store as a backup reads it.
type source struct {
	admin.Copied
	blobs storage.Blobs
}

// Open implements backup.Source.
func (s source) Open(ctx context.Context, blob string) (io.ReadCloser, error) {
	return registry.OpenContent(ctx, s.blobs, blob)
}

// keep renews a hold until it is released. held ends if that fails.
func (s Store) keep(ctx context.Context, hold admin.BackupHold) (held context.Context, release func() error) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		renew := time.NewTicker(renewEvery)
		defer renew.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-renew.C:
			}
			if _, err := admin.RenewBackup.Ask(held, s.Keeper, hold); err != nil {
				cancel(fmt.Errorf("keep what is copied from being deleted: %w", err))
			}
		}
	}()
	return held, func() error {
		cancel(nil)
		<-ended
		_, err := admin.EndBackup.Ask(context.WithoutCancel(ctx), s.Keeper, hold)
		if err != nil {
			return fmt.Errorf("let deleted layers go again: %w", err)
		}
		return nil
	}
}

// readKeys reads what goes into a box: the master key, and the folder for certificates.
func readKeys(data string) (keybox.Files, error) {
	files := keybox.Files{}
	text, err := os.ReadFile(datadir.KeysIn(data))
	if err != nil {
		return nil, err
	}
	files[keysName] = text
	root := datadir.TLSIn(data)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil {
			files[tlsName+filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	})
	return files, err
}

// The names in a box.
const (
	keysName = "keys"
	tlsName  = "tls/"
)

// isTLS is the path of a file of the folder for certificates in it.
func isTLS(name string) (string, bool) { return strings.CutPrefix(name, tlsName) }
