package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/seed-78150930/berth/registry/scan"
)

// Inventory finds out what is installed in an image, in this process.
func Inventory(t testing.TB, img scan.Image, limits Limits) (scan.Inventory, []scan.Problem, error) {
	t.Helper()
	work := task{Layers: slices.Clone(img.Layers), SystemOnly: img.SystemOnly, Limits: limits.orDefaults()}
	slices.Reverse(work.Layers)
	var in bytes.Buffer
	for _, l := range work.Layers {
		r, err := img.Open(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeLength(&in, l.Size); err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
	}
	return work.take(&in, &spool{file: tempFile(t), limit: work.Limits.Kept})
}

func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "spool")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Read has the reader of a kind read a file of a name.
func Read(t testing.TB, kind, name string, body []byte) ([]scan.Package, error) {
	t.Helper()
	file := tempFile(t)
	limits := Limits{Unpacked: 64 << 20, Kept: 64 << 20, File: 16 << 20}.orDefaults()
	s := &spool{file: file, limit: limits.Kept}
	if err := s.write(body, 0); err != nil {
		t.Fatal(err)
	}
	s.end = int64(len(body))
	f := newFlat(limits, s, languageWants(readers()))
	in := &input{name, s.section(0, s.end), f}
	switch kind {
	case "dpkg":
		return readDpkg(in)
	case "apk":
		return readApk(in)
	case "os-release":
		sys, err := readRelease(in)
		return []scan.Package{{Ecosystem: sys.Ecosystem, Name: sys.ID, Version: sys.VersionID}}, err
	case "binary":
		return readBinary(in)
	}
	for _, r := range readers() {
		if r.wants(name) {
			return r.read(in)
		}
	}
	t.Fatalf("nobody reads %s", name)
	return nil, nil
}

// EcosystemOf is what OSV calls a release.
func EcosystemOf(id, version string) string { return ecosystemOf(id, version) }

// Wanted says whether a reader of languages wants a name.
func Wanted(name string) bool { return languageWants(readers()).read(name) }

// GoRelease is a version of Go's as advisories have it.
func GoRelease(s string) (string, bool) { return goRelease(s) }

// Frame is a task with the bytes of its layers, as it is sent.
func Frame(t testing.TB, layers []scan.Layer, bodies ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	err := writeHeader(&out, task{Layers: layers, Limits: Defaults()})
	for i, b := range bodies {
		err = errors.Join(err, writeLength(&out, layers[i].Size))
		out.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ErrFrame says that what came is no frame.
var ErrFrame = errFrame

// ReadFrame reads a frame: its layers, each to its end.
func ReadFrame(r io.Reader) (layers [][]byte, err error) {
	t, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	for _, l := range t.Layers {
		packed, err := readLayer(r, l)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(packed)
		if err != nil {
			return nil, err
		}
		layers = append(layers, b)
	}
	return layers, nil
}

// ReadAnswer reads what a child wrote, and writes it again.
func ReadAnswer(b []byte) (again []byte, finished bool, err error) {
	a, err := readAnswer(b)
	if err != nil {
		return nil, false, err
	}
	again, err = json.Marshal(a)
	return again, a.Report != nil && len(a.Report.Problems) == 0, err
}
