package audit

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// headSuffix ends the name of the file that says how far the chain came. Lines
// that are missing behind it have been cut off.
const headSuffix = ".head"

// head is that file: two places of slotSize bytes, written in turn, so that one
// is whole whatever happens. A place holds the number of a record, its hash and,
// with a key, a seal over both.
type head struct {
	f   *os.File
	key []byte
	at  mark
	old int  // the place that does not hold at
	bad bool // it was there, and no place in it was whole
}

const slotSize = 512

// openHead opens the head of a trail for the one process that writes it.
func openHead(file string, key []byte) (*head, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file+headSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process: %w", file, err), f.Close())
	}
	h := &head{f: f, key: key}
	var last int
	if h.at, last, err = readHead(file, key); errors.Is(err, errHead) {
		h.bad, err = true, nil
	}
	h.old = 1 - last
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return h, nil
}

// errHead is of a head that cannot be believed.
var errHead = errors.New("the head is not whole, or sealed by another key")

// readHead reads how far the chain of a trail came, zero if there is no head, and
// in which place that was.
func readHead(file string, key []byte) (at mark, place int, err error) {
	text, err := os.ReadFile(file + headSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return mark{}, 1, nil
	}
	if err != nil {
		return mark{}, 0, err
	}
	for i := range 2 {
		slot := text[min(i*slotSize, len(text)):min((i+1)*slotSize, len(text))]
		m, ok := parseSlot(string(slot), key)
		if ok && m.sequence > at.sequence {
			at, place = m, i
		}
	}
	if at.sequence == 0 {
		return mark{}, 0, errHead
	}
	return at, place, nil
}

// parseSlot reads a place. Where there is no key, its seal is believed.
func parseSlot(text string, key []byte) (m mark, ok bool) {
	part := strings.Fields(text)
	if len(part) != 3 {
		return m, false
	}
	n, err := strconv.ParseUint(part[0], 10, 64)
	m.sequence = n
	if err != nil || !parseSum(&m.hash, part[1]) {
		return m, false
	}
	return m, key == nil || hmac.Equal([]byte(part[2]), []byte(headSeal(m, key)))
}

// headSeal is what proves a head, "-" without a key.
func headSeal(m mark, key []byte) string {
	if key == nil {
		return "-"
	}
	mac := newHMAC(key)
	fmt.Fprintf(mac, "head %d %s", m.sequence, m.hash)
	return fmt.Sprintf("%x", mac.Sum(nil))
}

// set notes durably how far the chain is.
func (h *head) set(at mark) error {
	text := fmt.Sprintf("%d %s %s", at.sequence, at.hash, headSeal(at, h.key))
	slot := fmt.Sprintf("%-*s\n", slotSize-1, text)
	_, err := h.f.WriteAt([]byte(slot), int64(h.old)*slotSize)
	if err == nil {
		err = h.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write head of audit trail: %w", err)
	}
	h.at, h.old = at, 1-h.old
	return nil
}

func (h *head) close() error { return h.f.Close() }
