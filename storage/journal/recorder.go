package journal

import (
	"errors"

	"github.com/seed-78150930/berth/storage"
)

// recorder is a storage.Tx that writes down what is done by it.
type recorder struct {
	storage.Tx
	number uint64
	frame  []byte // of the record, its head left free
}

// begin makes it ready for a run of an update.
func (r *recorder) begin(tx storage.Tx) {
	r.Tx, r.number = tx, tx.(storage.Numbering).Number()
	r.frame = append(r.frame[:0], make([]byte, frameHead+recordHead)...)
}

// wrote says whether the update gets a number.
func (r *recorder) wrote() bool { return len(r.frame) > frameHead+recordHead }

// Number implements storage.Numbering.
func (r *recorder) Number() uint64 { return r.number }

// Put implements storage.Tx.
func (r *recorder) Put(key string, value []byte) error {
	if err := r.Tx.Put(key, value); err != nil {
		return err
	}
	r.frame = appendPut(r.frame, key, value)
	return nil
}

// Delete implements storage.Tx. An update that deletes nothing but what is not
// there writes nothing and gets no number.
func (r *recorder) Delete(key string) error {
	if !r.wrote() {
		_, err := r.Get(key)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := r.Tx.Delete(key); err != nil {
		return err
	}
	r.frame = appendDelete(r.frame, key)
	return nil
}
