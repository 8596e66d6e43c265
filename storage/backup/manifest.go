package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Manifest says what a backup is made of. In a target it is a file of lines of JSON: the
// Manifest, a [Blob] for each blob, a [Total] and a signature over all that came before.
type Manifest struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Serial int    `json:"serial"` // counts the backups of a target, whatever its clocks say
	// Base is the backup that this one goes on from by records alone; "" for one with a
	// snapshot of its own.
	Base string    `json:"base,omitempty"`
	Time time.Time `json:"time"` // of its state
	// Berth is the version of the program that made it, and DataFormat the format of the
	// data folder that it was made of.
	Berth      string `json:"berth"`
	DataFormat int    `json:"dataFormat"`
	Key        string `json:"key"` // id of the master key under which its secrets are sealed
	// Lineage tells histories apart that share numbers, as that of a store and that of
	// what was brought back from an older state of it.
	Lineage string `json:"lineage,omitempty"`
	Number  uint64 `json:"number"` // of the last update in its state

	Snapshot *Part  `json:"snapshot,omitempty"`
	Records  *Part  `json:"records,omitempty"` // those after First-1, up to Number
	First    uint64 `json:"first,omitempty"`
	Secrets  *Part  `json:"secrets,omitempty"`
}

// Part is a file of a backup.
type Part struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal digits
}

// Blob is a layer's bytes in a backup.
type Blob struct {
	ID     string        `json:"id"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	SHA256 string        `json:"sha256,omitempty"`
	// Damaged is why it could not be copied; then the backup does not have it.
	Damaged string `json:"damaged,omitempty"`
}

// Total sums up the blobs of a backup.
type Total struct {
	Blobs   int   `json:"blobs"`
	Bytes   int64 `json:"bytes"`
	Damaged int   `json:"damaged,omitempty"` // blobs that it lacks
}

type totalLine struct {
	Total Total `json:"total"`
}

// signature ends a manifest. The checksum tells what chance has done to it; the
// authentication code, under a key of the store's, what people have.
type signature struct {
	SHA256 string `json:"sha256"`
	HMAC   string `json:"hmac"`
}

// maxLine bounds a line of a manifest.
const maxLine = 64 << 10

var hexSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

func manifestName(id string) string { return path.Join(manifestsDir, id) }

// sealer writes a manifest.
type sealer struct {
	w         *bufio.Writer
	sum, code interface {
		io.Writer
		Sum([]byte) []byte
	}
	total Total
}

// newSealer begins a manifest, which is authenticated under a key.
func newSealer(w io.Writer, m Manifest, key []byte) (*sealer, error) {
	s := &sealer{sum: sha256.New(), code: hmac.New(sha256.New, key)}
	s.w = bufio.NewWriter(io.MultiWriter(w, s.sum, s.code))
	return s, s.line(m)
}

func (s *sealer) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.w.Write(append(text, '\n'))
	return err
}

func (s *sealer) blob(b Blob) error {
	if b.Damaged != "" {
		s.total.Damaged++
	} else {
		s.total.Blobs++
		s.total.Bytes += b.Size
	}
	return s.line(b)
}

// seal ends the manifest.
func (s *sealer) seal() error {
	if err := errors.Join(s.line(totalLine{s.total}), s.w.Flush()); err != nil {
		return err
	}
	if err := s.line(signature{hex.EncodeToString(s.sum.Sum(nil)), hex.EncodeToString(s.code.Sum(nil))}); err != nil {
		return err
	}
	return s.w.Flush()
}

// readManifest reads the manifest of a backup and calls blob with each of its blobs. What
// it calls blob with is to be believed once it has returned without an error. With a key
// it checks who wrote it.
func readManifest(ctx context.Context, t Target, id string, key []byte, blob func(Blob) error) (Manifest, Total, error) {
	if err := CheckID(id); err != nil {
		return Manifest{}, Total{}, err
	}
	r, err := t.Open(ctx, manifestName(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, Total{}, fmt.Errorf("%w: %s has none with the id %s", ErrNone, t, id)
	}
	if err != nil {
		return Manifest{}, Total{}, err
	}
	defer r.Close()
	m, total, err := parseManifest(r, key, blob)
	if err == nil && m.ID != id {
		err = fmt.Errorf("%w: it is that of %s", ErrDamaged, m.ID)
	}
	if err != nil {
		err = fmt.Errorf("manifest of backup %s: %w", id, err)
	}
	return m, total, err
}

// unsealer reads a manifest line by line.
type unsealer struct {
	lines     *bufio.Scanner
	sum, code interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func parseManifest(r io.Reader, key []byte, blob func(Blob) error) (m Manifest, total Total, err error) {
	u := unsealer{lines: bufio.NewScanner(r), sum: sha256.New(), code: hmac.New(sha256.New, key)}
	u.lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	if err := u.next(&m); err != nil {
		return m, total, err
	}
	if err := m.check(); err != nil {
		return m, total, err
	}
	var counted Total
	for {
		var line struct {
			Blob
			Total *Total `json:"total"`
		}
		if err := u.next(&line); err != nil {
			return m, total, err
		}
		if line.Total != nil {
			total = *line.Total
			break
		}
		if err := line.Blob.check(); err != nil {
			return m, total, err
		}
		counted = counted.with(line.Blob)
		if err := blob(line.Blob); err != nil {
			return m, total, err
		}
	}
	if total != counted {
		return m, total, fmt.Errorf("%w: it counts %d blobs, has %d", ErrDamaged, total.Blobs, counted.Blobs)
	}
	return m, total, u.verify(key)
}

func (t Total) with(b Blob) Total {
	if b.Damaged != "" {
		t.Damaged++
		return t
	}
	t.Blobs++
	t.Bytes += b.Size
	return t
}

// next reads a line, which the signature covers.
func (u unsealer) next(into any) error {
	if !u.lines.Scan() {
		if err := u.lines.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return fmt.Errorf("%w: it ends in the middle", ErrDamaged)
	}
	for _, w := range []io.Writer{u.sum, u.code} { // a hash does not fail
		_, _ = w.Write(u.lines.Bytes())
		_, _ = w.Write([]byte{'\n'})
	}
	if err := json.Unmarshal(u.lines.Bytes(), into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// verify reads the signature.
func (u unsealer) verify(key []byte) error {
	sum, code := hex.EncodeToString(u.sum.Sum(nil)), hex.EncodeToString(u.code.Sum(nil))
	var s signature
	if err := u.next(&s); err != nil {
		return err
	}
	switch {
	case s.SHA256 != sum:
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	case key != nil && !hmac.Equal([]byte(s.HMAC), []byte(code)):
		return fmt.Errorf("%w: it was not written with this store's key", ErrDamaged)
	case u.lines.Scan():
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	return u.lines.Err()
}

// check refuses what could not have been written by this version.
func (m Manifest) check() error {
	switch {
	case m.Format > Format:
		return fmt.Errorf("%w: it has format %d, by Berth %.40s; this one knows formats up to %d", ErrNewer, m.Format, m.Berth, Format)
	case m.Format < 1:
		return fmt.Errorf("%w: it has no format", ErrDamaged)
	case m.Serial < 1, (m.Snapshot == nil) == (m.Base == ""), m.Base != "" && m.Records == nil, CheckID(m.ID) != nil, m.Base != "" && CheckID(m.Base) != nil:
		return fmt.Errorf("%w: it is not that of a backup", ErrDamaged)
	}
	for _, p := range []*Part{m.Snapshot, m.Records, m.Secrets} {
		if p != nil && (p.Size < 0 || !hexSum.MatchString(p.SHA256)) {
			return fmt.Errorf("%w: a part of it has no size or checksum", ErrDamaged)
		}
	}
	return nil
}

func (b Blob) check() error {
	if err := storage.CheckID(b.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if b.Damaged == "" && (b.Size < 0 || !hexSum.MatchString(b.SHA256)) {
		return fmt.Errorf("%w: blob %s has no size or checksum", ErrDamaged, b.ID)
	}
	return nil
}

// mark is the content of markFile.
type mark struct {
	Format int    `json:"format"`
	Key    string `json:"key"`
}

// readMark says of what format a target is and of which store. The error is ErrNone where
// nothing is, ErrForeign where something else is.
func readMark(ctx context.Context, t Target) (mark, error) {
	r, err := t.Open(ctx, markFile)
	if errors.Is(err, fs.ErrNotExist) {
		for f, err := range t.List(ctx, "") {
			if err != nil {
				return mark{}, err
			}
			return mark{}, fmt.Errorf("%s: %w: it holds %q", t, ErrForeign, f.Name)
		}
		return mark{}, fmt.Errorf("%w: %s is empty", ErrNone, t)
	}
	if err != nil {
		return mark{}, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxLine))
	var m mark
	if err == nil {
		err = json.Unmarshal(bytes.TrimSpace(text), &m)
	}
	switch {
	case err != nil || m.Format < 1:
		return m, fmt.Errorf("%s: %w: %s says nothing that is known", t, ErrForeign, markFile)
	case m.Format > Format:
		return m, fmt.Errorf("%s: %w: it has format %d; this one knows formats up to %d", t, ErrNewer, m.Format, Format)
	}
	return m, nil
}
