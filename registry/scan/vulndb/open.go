package vulndb

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// DB is an open database. It is for one goroutine at a time.
type DB struct {
	db    *bolt.DB
	info  Info
	codec *codec
	// The records of the block that was read last: those of a package are often of one.
	block   []byte // its lines
	blockNo uint32
	held    bool
}

// Open opens a database, of which nothing is read but through the file, from which
// it is never changed. It has the file from then on, also when it fails, and Close closes it. An error wraps one of those
// above if the file is not a complete database of this format. Not each byte is looked at:
// see Verify.
func Open(f *os.File) (db *DB, err error) {
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	_, info, err := readSeal(f)
	if err != nil {
		return nil, err
	}
	code, err := newCodec()
	if err != nil {
		return nil, err
	}
	db = &DB{info: info, codec: code}
	err = guarded(func() (err error) {
		db.db, err = bolt.Open(f.Name(), 0, &bolt.Options{
			ReadOnly: true, NoStatistics: true, Timeout: time.Second,
			OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
		})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	})
	if err != nil {
		code.close()
		return nil, err
	}
	return db, nil
}

// Info says what the database is.
func (db *DB) Info() Info { return db.info }

// Close closes the database and its file.
func (db *DB) Close() error {
	db.codec.close()
	return db.db.Close()
}

// guarded calls a function that reads what bbolt has mapped. Damage makes bbolt panic,
// and so do bytes that the disk does not give.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

// affecting calls a function with what affects a package of that name, in no order.
func (db *DB) affecting(tx *bolt.Tx, ecosystem, name string, fn func(*affected) error) error {
	prefix := []byte(keyOf(ecosystem, name))
	rows := tx.Bucket(affectedBucket)
	if rows == nil {
		return ErrDamaged
	}
	c := rows.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) != len(prefix)+4 { // only where the name is none
			continue
		}
		lines, err := db.codec.unpack(v)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(lines) {
			a := new(affected)
			if err := readLine(line, a); err != nil {
				return err
			}
			if err := fn(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// record reads a record.
func (db *DB) record(tx *bolt.Tx, at ref) (r record, err error) {
	if !db.held || db.blockNo != at.Block {
		blocks := tx.Bucket(blocksBucket)
		if blocks == nil {
			return r, ErrDamaged
		}
		db.held = false
		lines, err := db.codec.unpack(blocks.Get(numbered("", at.Block)))
		if err != nil {
			return r, err
		}
		db.block = append(db.block[:0], lines...)
		db.held, db.blockNo = true, at.Block
	}
	return r, readLine(lineAt(db.block, at.Place), &r)
}
