package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// debianWith is an image of Debian with layers over it.
func debianWith(layers ...scantest.Layer) scantest.Image {
	return scantest.Image{Layers: append(scantest.Debian("12").Layers, layers...)}
}

// wantProblem holds a problem against its kind and words of its text.
func wantProblem(t *testing.T, p scan.Problem, kind scan.ProblemKind, words ...string) {
	t.Helper()
	if p.Kind != kind {
		t.Errorf("problem %+v, want kind %s", p, kind)
	}
	for _, w := range words {
		if !strings.Contains(p.Text, w) {
			t.Errorf("%q does not say %q", p.Text, w)
		}
	}
}

func TestDamagedLayers(t *testing.T) {
	s := newScanner(t, nil)
	whole := scantest.Debian("12").Layers[0]
	flipped := bytes.Clone(whole.Bytes)
	flipped[len(flipped)/2] ^= 4
	tail := bytes.Clone(whole.Bytes)
	tail[len(tail)-3] ^= 1 // of the length behind the archive
	archive := scantest.Tar(scantest.DebianRelease("12"))
	broken := scantest.Tar(scantest.File{Name: "a", Body: strings.Repeat("a", 5000)}, scantest.File{Name: "b"})
	for _, tt := range []struct {
		name  string
		bytes []byte // in place of the layer's; its digest stays
		own   bool   // the bytes have their own digest, and are damaged all the same
	}{
		{"cut", whole.Bytes[:len(whole.Bytes)/2], false},
		{"cut at its end", whole.Bytes[:len(whole.Bytes)-1], false},
		{"nothing of it", nil, false},
		{"longer", append(bytes.Clone(whole.Bytes), 0), false},
		{"flipped", flipped, false},
		{"flipped at its end", tail, false},
		{"another one", scantest.Debian("11").Layers[0].Bytes, false},
		{"cut, and pushed so", whole.Bytes[:len(whole.Bytes)-9], true},
		{"an archive that is cut", scantest.Raw(archive[:530], "").Bytes, true},
		{"an archive with another header", append(broken[:512+5120:512+5120], bytes.Repeat([]byte("x"), 1024)...), true},
		{"garbage behind the archive", append(bytes.Clone(archive), "garbage"...), true},
		{"a second archive behind it", append(bytes.Clone(archive), archive...), true},
		{"garbage behind gzip", append(bytes.Clone(whole.Bytes), "garbage"...), true},
		{"no archive", []byte(strings.Repeat("this is no archive ", 100)), true},
		{"gzip of nothing more than its mark", []byte{0x1f, 0x8b}, true},
		{"zstd of nothing more than its mark", []byte{0x28, 0xb5, 0x2f, 0xfd}, true},
		{"a name that is too long", scantest.Plain(scantest.File{Name: strings.Repeat("a/", 4000) + "b"}).Bytes, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := debianWith(scantest.Raw(whole.Bytes, scantest.GzipType)).Scan()
			bad := img.Layers[2]
			if tt.own {
				bad = debianWith(scantest.Raw(tt.bytes, scantest.TarType)).Scan().Layers[2]
			}
			img.Layers[2] = bad
			inner := img.Open
			img.Open = func(ctx context.Context, l scan.Layer) (io.ReadCloser, error) {
				if l == bad {
					return io.NopCloser(bytes.NewReader(tt.bytes)), nil
				}
				return inner(ctx, l)
			}
			wantProblem(t, problem(t, s, img), scan.Damaged, bad.Digest.String())
		})
	}
}

// The media type may say anything; zeros may follow an archive.
func TestLayersAreKnownByTheirBytes(t *testing.T) {
	s := newScanner(t, nil)
	files := []scantest.File{{Name: "app/node_modules/lodash/package.json", Body: `{"name": "lodash", "version": "4.17.20"}`}}
	padded := append(scantest.Tar(files...), make([]byte, 100_000)...)
	var members bytes.Buffer
	for _, part := range [][]byte{padded[:700], padded[700:]} {
		w := gzip.NewWriter(&members)
		_, _ = w.Write(part)
		_ = w.Close()
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	skipped := append([]byte{0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}, w.EncodeAll(padded, nil)...)
	for name, l := range map[string]scantest.Layer{
		"plain": scantest.Plain(files...), "gzip": scantest.Gzip(files...), "zstd": scantest.Zstd(files...),
		"padded": scantest.Raw(padded, ""), "gzip in two members": scantest.Raw(members.Bytes(), ""),
		"zstd behind a frame that is skipped": scantest.Raw(skipped, ""),
	} {
		l.MediaType = "application/octet-stream"
		r := scanIt(t, s, debianWith(l).Scan())
		if len(r.Problems) > 0 || len(r.Inventory.Packages) != 3 {
			t.Errorf("%s: problems %v, packages %v", name, r.Problems, told(r.Inventory.Packages))
		}
	}
}

func TestForeignLayerIsNeverFetched(t *testing.T) {
	img := debianWith(scantest.Plain()).Scan()
	img.Layers[1].Foreign = true
	img.Open = func(context.Context, scan.Layer) (io.ReadCloser, error) {
		t.Error("a layer was opened")
		return nil, errors.New("no")
	}
	s := newScanner(t, nil)
	wantProblem(t, problem(t, s, img), scan.NotHere, img.Layers[1].Digest.String(), "not in this registry")
}

func TestLayersThatCannotBeOpened(t *testing.T) {
	s := newScanner(t, nil)
	img := scantest.Debian("12").Scan()
	gone := scan.NewProblem(scan.NotHere, "it is gone")
	img.Open = func(context.Context, scan.Layer) (io.ReadCloser, error) { return nil, gone }
	wantProblem(t, problem(t, s, img), scan.NotHere, "it is gone")

	fault := errors.New("the disk is on fire")
	img.Open = func(context.Context, scan.Layer) (io.ReadCloser, error) { return nil, fault }
	if _, err := s.Scan(context.Background(), img); !errors.Is(err, fault) || errors.As(err, new(*scan.Problem)) {
		t.Errorf("a fault on opening: %v", err)
	}
	img.Open = func(context.Context, scan.Layer) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("\x1f\x8b"), failing{fault})), nil
	}
	if _, err := s.Scan(context.Background(), img); !errors.Is(err, fault) || errors.As(err, new(*scan.Problem)) {
		t.Errorf("a fault on reading: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// made is a layer that is not kept in memory: it is written twice, once to be hashed.
type made struct {
	write func(io.Writer) error
	layer scan.Layer
}

func makeLayer(t testing.TB, write func(io.Writer) error) made {
	t.Helper()
	m := made{write: write}
	h, n := digest.SHA256.New(), counter(0)
	if err := write(io.MultiWriter(h, &n)); err != nil {
		t.Fatal(err)
	}
	m.layer = scan.Layer{Digest: digest.FromHash(digest.SHA256, h), MediaType: scantest.GzipType, Size: int64(n)}
	return m
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

func (m made) over(img scan.Image) scan.Image {
	img.Layers = append(img.Layers, m.layer)
	inner := img.Open
	img.Open = func(ctx context.Context, l scan.Layer) (io.ReadCloser, error) {
		if l != m.layer {
			return inner(ctx, l)
		}
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(m.write(w)) }()
		return r, nil
	}
	return img
}

// zeros writes an archive with one file of so many zeros, by what packs a run of them
// once and repeats that.
func zeros(size int64, pack func([]byte) ([]byte, error)) func(io.Writer) error {
	return func(w io.Writer) error {
		head := binaryHeader(size)
		first, err := pack(head)
		if err != nil {
			return err
		}
		const run = 16 << 20
		packed, err := pack(make([]byte, run))
		if err != nil {
			return err
		}
		if _, err := w.Write(first); err != nil {
			return err
		}
		for range size / run {
			if _, err := w.Write(packed); err != nil {
				return err
			}
		}
		_, err = w.Write(packed) // the end of the archive
		return err
	}
}

// binaryHeader is the header of a file of an archive, alone.
func binaryHeader(size int64) []byte {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: size, Format: tar.FormatGNU}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

func zstandard(b []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	return w.EncodeAll(b, nil), nil
}

func TestOverLimits(t *testing.T) {
	database := scantest.Database(t)
	limited := func(change func(*inspect.Limits)) *inspect.Scanner {
		return newScanner(t, func(o *inspect.Options) {
			o.Database = func() (*os.File, error) { return os.Open(database) }
			if change != nil {
				change(&o.Limits)
			}
		})
	}
	small := func(l *inspect.Limits) { l.Unpacked = 8 << 20 }
	big := strings.Repeat("x", 100_000)
	jar := scantest.MavenJar("g", "a", "1")
	for range 3 {
		jar = scantest.Jar(scantest.Entry{Name: "inner.jar", Body: string(jar)})
	}
	for _, tt := range []struct {
		name  string
		limit func(*inspect.Limits)
		image scan.Image
		words []string
	}{
		{"gzip bomb", small, makeLayer(t, zeros(64<<20, gzipped)).over(scantest.Debian("12").Scan()), []string{"scanning.limits.unpacked", "8MiB"}},
		{"zstd bomb", small, makeLayer(t, zeros(64<<20, zstandard)).over(scantest.Debian("12").Scan()), []string{"scanning.limits.unpacked", "8MiB"}},
		{"zeros behind the archive", small, makeLayer(t, zeros(0, func(b []byte) ([]byte, error) { return gzipped(append(make([]byte, 10<<20), b...)) })).over(scantest.Debian("12").Scan()), []string{"scanning.limits.unpacked", "8MiB"}},
		{"bomb in a jar", small, debianWith(scantest.Gzip(scantest.File{Name: "a.jar", Body: string(scantest.Jar(scantest.Entry{Name: "b.jar", Body: strings.Repeat("\x00", 10<<20)}))})).Scan(), []string{"scanning.limits.unpacked", "8MiB"}},
		{"bomb in a manifest", small, debianWith(scantest.Gzip(scantest.File{Name: "a.jar", Body: string(scantest.Jar(scantest.Entry{Name: "META-INF/MANIFEST.MF", Body: strings.Repeat("a: b\n", 3<<20)}))})).Scan(), []string{"scanning.limits.unpacked", "8MiB"}},
		{"archive in archive in archive in archive", nil, debianWith(scantest.Gzip(scantest.File{Name: "a.jar", Body: string(jar)})).Scan(), []string{"scanning.limits.nested", "2", "a.jar/inner.jar/inner.jar/inner.jar"}},
		{"entries", func(l *inspect.Limits) { l.Entries = 100 }, debianWith(manyEntries(100)).Scan(), []string{"scanning.limits.entries", "100"}},
		{"folders that names speak of", func(l *inspect.Limits) { l.Entries = 100 }, debianWith(scantest.Plain(scantest.File{Name: strings.Repeat("a/", 1000) + "b"})).Scan(), []string{"scanning.limits.entries", "100"}},
		{"names", func(l *inspect.Limits) { l.Entries = 20 }, debianWith(scantest.Plain(scantest.Symlink("a", strings.Repeat("b", 4000)))).Scan(), []string{"scanning.limits.entries", "20"}},
		{"a million entries", nil, makeLayer(t, aMillion).over(scantest.Debian("12").Scan()), []string{"scanning.limits.entries", "1000000"}},
		{"a file that is wanted", func(l *inspect.Limits) { l.File = 99_999 }, debianWith(scantest.Gzip(scantest.File{Name: "x/package.json", Body: big})).Scan(), []string{"scanning.limits.file", "99999", "x/package.json"}},
		{"a program of Go", func(l *inspect.Limits) { l.File = 99_999 }, debianWith(scantest.Gzip(scantest.File{Name: "bin/x", Body: string(scantest.GoBinary("go1.20", "m")) + big})).Scan(), []string{"scanning.limits.file", "99999", "bin/x"}},
		{"files that are wanted", func(l *inspect.Limits) { l.Kept = 150_000 }, debianWith(scantest.Gzip(scantest.File{Name: "x/package.json", Body: big}, scantest.File{Name: "y/package.json", Body: big})).Scan(), []string{"scanning.limits.kept", "150000"}},
		{"window", nil, debianWith(scantest.Raw(widely(t), scantest.ZstdType)).Scan(), []string{"scanning.limits.zstd-window", "8MiB"}},
		{"sparse file", nil, debianWith(scantest.Raw(sparse("other", 1<<40), "")).Scan(), []string{"scanning.limits.unpacked", "8GiB"}},
		{"sparse file in the newer form", nil, debianWith(scantest.Raw(newlySparse("other", 1<<40), "")).Scan(), []string{"scanning.limits.unpacked", "8GiB"}},
		{"sparse file that is wanted", nil, debianWith(scantest.Raw(sparse("x/package.json", 1<<30), "")).Scan(), []string{"scanning.limits.file", "512MiB"}},
		{"headers without end", small, makeLayer(t, headers).over(scantest.Debian("12").Scan()), []string{"scanning.limits.unpacked", "8MiB"}},
		{"answer", func(l *inspect.Limits) { l.Answer = 100 }, scantest.Debian("12").Scan(), []string{"scanning.limits.answer", "100"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, problem(t, limited(tt.limit), tt.image), scan.OverLimit, tt.words...)
		})
	}
}

// What is long and of no use is no reason to give up: only what would be kept counts.
func TestLongFilesThatNobodyWants(t *testing.T) {
	s := newScanner(t, func(o *inspect.Options) { o.Limits.File, o.Limits.Kept = 2000, 3000 })
	r := scanIt(t, s, debianWith(scantest.Gzip(
		scantest.File{Name: "usr/lib/libtorch.so", Body: "\x7fELF" + strings.Repeat("x", 1<<20)},
		scantest.File{Name: "data", Body: strings.Repeat("y", 1<<20)},
	)).Scan())
	if len(r.Problems) > 0 || len(r.Findings) != 1 {
		t.Errorf("problems %v, findings %v", r.Problems, names(r.Findings))
	}
}

func manyEntries(n int) scantest.Layer {
	var files []scantest.File
	for i := range n {
		files = append(files, scantest.File{Name: strconv.Itoa(i)})
	}
	return scantest.Zstd(files...)
}

// aMillion writes ten thousand entries a hundred times.
func aMillion(w io.Writer) error {
	var archive bytes.Buffer
	a := tar.NewWriter(&archive)
	for i := range 10_000 {
		if err := a.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/f%d", i/1000, i), Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
			return err
		}
	}
	packed, err := gzipped(archive.Bytes())
	if err != nil {
		return err
	}
	for range 100 {
		if _, err := w.Write(packed); err != nil {
			return err
		}
	}
	end, err := gzipped(make([]byte, 1024))
	if err == nil {
		_, err = w.Write(end)
	}
	return err
}

// headers are of the kind that says something of the next one (pax(1)), again and again.
func headers(w io.Writer) error {
	var b bytes.Buffer
	a := tar.NewWriter(&b)
	if err := a.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"BERTH.x": strings.Repeat("x", 900_000)}}); err != nil {
		return err
	}
	again := b.Bytes()[:b.Len()-512] // without the header of the file
	packed, err := gzipped(bytes.Repeat(again, 10))
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := w.Write(packed); err != nil {
			return err
		}
	}
	return nil
}

// widely is an archive that is packed with a window of 128 MiB.
func widely(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(128<<20))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(scantest.Tar(scantest.File{Name: "x", Body: strings.Repeat("x", 1<<20)}))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sparse is an archive with a file of so many bytes of which none is there, in GNU's old
// form (tar, "Storing Sparse Files").
func sparse(name string, size int64) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[124:], "00000000000\x00") // bytes that follow
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	// One piece, of no bytes, at the end; then the size, as numbers of base 256.
	binary.BigEndian.PutUint64(b[386+4:], uint64(size))
	b[386] = 0x80
	b[398] = 0x80
	binary.BigEndian.PutUint64(b[483+4:], uint64(size))
	b[483] = 0x80
	sum := int64(8 * ' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b, make([]byte, 1024)...)
}

// newlySparse is sparse in the form that POSIX's archives have (tar, "PAX Format, Version
// 0.1"). archive/tar does not write its records, so they are given their names afterwards.
func newlySparse(name string, size int64) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	end := strconv.FormatInt(size, 10)
	err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{
		"XYZ.sparse.major": "0", "XYZ.sparse.minor": "1", "XYZ.sparse.name": name, "XYZ.sparse.size": end, "XYZ.sparse.numblocks": "1", "XYZ.sparse.map": end + ",0",
	}})
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("XYZ.sparse"), []byte("GNU.sparse"))
}

func TestChildrenThatGoWrong(t *testing.T) {
	img := scantest.Debian("12").Scan()
	for what, word := range map[string]string{
		"kills-itself": "signal: killed", "panics": "of all things", "says-nothing": "answer", "says-garbage": "answer", "says-more": "answer",
		"says-neither": "answer", "says-both": "answer", "says-clean": "without a problem", "says-and-fails": "exit status 3",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newScanner(t, func(o *inspect.Options) { o.Arguments = []string{what} })
			r, err := s.Scan(context.Background(), img)
			if !errors.Is(err, scan.ErrDied) || errors.As(err, new(*scan.Problem)) {
				t.Fatalf("%+v, %v, want that it died", r, err)
			}
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q does not say %q", err, word)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	t.Run("says-too-much", func(t *testing.T) {
		t.Parallel()
		s := newScanner(t, func(o *inspect.Options) { o.Arguments = []string{"says-too-much"} })
		wantProblem(t, problem(t, s, img), scan.OverLimit, "scanning.limits.answer", "128MiB")
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		s := newScanner(t, func(o *inspect.Options) {
			o.Arguments, o.Timeout = []string{"hangs"}, 200*time.Millisecond
		})
		begun := time.Now()
		wantProblem(t, problem(t, s, img), scan.OverLimit, "scanning.timeout", "200ms")
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("it was let go after %v", took)
		}
	})
	t.Run("is called off", func(t *testing.T) {
		t.Parallel()
		s := newScanner(t, func(o *inspect.Options) { o.Arguments = []string{"hangs"} })
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if _, err := s.Scan(ctx, img); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*scan.Problem)) {
			t.Errorf("%v, want the caller's own end", err)
		}
	})
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		s := newScanner(t, func(o *inspect.Options) { o.Executable = "/does/not/exist" })
		if _, err := s.Scan(context.Background(), img); err == nil || errors.Is(err, scan.ErrDied) || errors.As(err, new(*scan.Problem)) {
			t.Errorf("%v, want a fault of the server", err)
		}
	})
}

func TestDatabaseThatCannotBeUsed(t *testing.T) {
	img := scantest.Debian("12").Scan()
	whole, err := os.ReadFile(scantest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "half": whole[:len(whole)/2], "something else": []byte(strings.Repeat("no database ", 10_000))} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/db"
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s := newScanner(t, func(o *inspect.Options) { o.Database = func() (*os.File, error) { return os.Open(path) } })
			p := problem(t, s, img)
			wantProblem(t, p, scan.NoDatabase, "vulnerability database")
			if strings.Contains(p.Text, path) {
				t.Errorf("%q tells where things are", p.Text)
			}
		})
	}
	none := scan.NewProblem(scan.NoDatabase, "there is none")
	s := newScanner(t, func(o *inspect.Options) { o.Database = func() (*os.File, error) { return nil, none } })
	wantProblem(t, problem(t, s, img), scan.NoDatabase, "there is none")
}

// The spool file has no name, so nothing is left of scans, however they end.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	for _, what := range []string{"scan-child", "kills-itself", "says-garbage"} {
		s := newScanner(t, func(o *inspect.Options) { o.Arguments, o.Spool = []string{what}, dir })
		_, _ = s.Scan(context.Background(), scantest.Languages().Scan())
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("the spool folder holds %v, %v", list, err)
	}
}
