package inspect

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry/scan"
)

// What the server sends to the child is
//
//	frameMagic
//	the length of the header in 4 bytes, the header: a task in JSON
//	for each layer of the task, in its order: its length in 8 bytes, its bytes
//
// with the highest byte of a number first, and nothing behind it. What the child answers
// is one answer in JSON.
const frameMagic = "berth-scan-1\n"

const (
	// maxHeader bounds the header, in which the packages that are known may be: some
	// hundred bytes each.
	maxHeader = 256 << 20
	maxLayers = 100_000
)

// errFrame says that what came is not of this form.
var errFrame = errors.New("the task is not in the form that is known here")

// task is what a child is to do.
type task struct {
	Layers     []scan.Layer // the top one first
	SystemOnly bool
	Known      *scan.Inventory `json:",omitempty"`
	Limits     Limits
}

// answer is what comes of it: one of the three.
type answer struct {
	Report  *scan.Report  `json:",omitempty"`
	Problem *scan.Problem `json:",omitempty"`
	// Fault is what went wrong without the image having to do with it.
	Fault string `json:",omitempty"`
}

// writeHeader begins a frame. Its layers are the caller's to send, each after writeLength.
func writeHeader(w io.Writer, t task) error {
	body, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write a task: %w", err)
	}
	if len(body) > maxHeader {
		return fmt.Errorf("%w: its header has %d bytes", errFrame, len(body))
	}
	head := binary.BigEndian.AppendUint32([]byte(frameMagic), uint32(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

func writeLength(w io.Writer, n int64) error {
	_, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return err
}

// readHeader reads what writeHeader wrote. The error wraps errFrame if it is something else.
func readHeader(r io.Reader) (t task, err error) {
	head := make([]byte, len(frameMagic)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return t, fmt.Errorf("%w: %w", errFrame, err)
	}
	n := binary.BigEndian.Uint32(head[len(frameMagic):])
	if string(head[:len(frameMagic)]) != frameMagic || n > maxHeader {
		return t, errFrame
	}
	// Not all at once: whoever lies about the length would have as much memory for it.
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return t, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(body) != int(n) {
		return t, fmt.Errorf("%w: its header ends early", errFrame)
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, fmt.Errorf("%w: %w", errFrame, err)
	}
	return t, t.check()
}

func (t task) check() error {
	if len(t.Layers) > maxLayers {
		return fmt.Errorf("%w: %d layers", errFrame, len(t.Layers))
	}
	for _, l := range t.Layers {
		if l.Size < 0 || l.Digest.IsZero() {
			return fmt.Errorf("%w: a layer without size or digest", errFrame)
		}
	}
	return nil
}

// readLayer gives the bytes of the next layer, which must be as many as the task says.
// They must be read to the end before the next one.
func readLayer(r io.Reader, l scan.Layer) (io.Reader, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if n := binary.BigEndian.Uint64(head[:]); n != uint64(l.Size) {
		return nil, fmt.Errorf("%w: a layer of %d bytes comes with %d", errFrame, l.Size, n)
	}
	return &whole{io.LimitedReader{R: r, N: l.Size}}, nil
}

// whole reads as many bytes as were promised. If there are fewer the server is to blame,
// not the layer.
type whole struct{ io.LimitedReader }

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.LimitedReader.Read(p)
	if err == io.EOF && w.N > 0 {
		err = fmt.Errorf("%w: a layer ends early", errFrame)
	}
	return n, err
}
