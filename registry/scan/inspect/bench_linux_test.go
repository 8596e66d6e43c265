package inspect_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// BenchmarkScan scans an image of about 100 MB packed in three layers: a base like
// Debian's with 400 packages, packages of npm, PyPI and Java, programs of Go, and files
// that compress as those of images do. It says what the child took and
// what this process did, which has the time for watching it too.
func BenchmarkScan(b *testing.B) {
	for _, how := range []string{"gzip", "zstd"} {
		b.Run(how, func(b *testing.B) {
			img := bigImage(b, how)
			measure(b, img, func(r scan.Report, err error) {
				if err != nil || len(r.Problems) > 0 || len(r.Inventory.Packages) < 1000 || len(r.Findings) == 0 {
					b.Fatalf("%d packages, %d findings, %v, %v", len(r.Inventory.Packages), len(r.Findings), r.Problems, err)
				}
			})
		})
	}
}

// BenchmarkBomb scans an image that unpacks to 12 GiB, as far as the limit.
func BenchmarkBomb(b *testing.B) {
	for name, pack := range map[string]func([]byte) ([]byte, error){"gzip": gzipped, "zstd": zstandard} {
		b.Run(name, func(b *testing.B) {
			img := makeLayer(b, zeros(12<<30, pack)).over(scantest.Debian("12").Scan())
			measure(b, img, func(_ scan.Report, err error) {
				if p := new(scan.Problem); !errors.As(err, &p) || !strings.Contains(p.Text, "scanning.limits.unpacked") {
					b.Fatal(err)
				}
			})
		})
	}
}

func measure(b *testing.B, img scan.Image, check func(scan.Report, error)) {
	s := newScanner(b, nil)
	var packed int64
	for _, l := range img.Layers {
		packed += l.Size
	}
	debug.FreeOSMemory()
	// Makes what is there now the peak (proc_pid_clear_refs(5)).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
	before := peak("self")
	server, child := used(b, syscall.RUSAGE_SELF), used(b, syscall.RUSAGE_CHILDREN)
	highest := watchChildren(b)
	begun := time.Now()
	for b.Loop() {
		check(s.Scan(context.Background(), img))
	}
	n := float64(b.N)
	b.ReportMetric(float64(packed)/1e6, "MB-packed")
	b.ReportMetric(time.Since(begun).Seconds()/n, "s-wall")
	b.ReportMetric((used(b, syscall.RUSAGE_SELF)-server).Seconds()/n, "s-cpu-server")
	b.ReportMetric((used(b, syscall.RUSAGE_CHILDREN)-child).Seconds()/n, "s-cpu-child")
	b.ReportMetric(highest(), "MiB-peak-child")
	b.ReportMetric(peak("self")-before, "MiB-more-server")
}

func used(b *testing.B, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that a process had resident, in MiB; 0 if there is none.
func peak(pid string) float64 {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(text, &kib)
	return kib / 1024
}

// watchChildren looks for children again and again, and says what the most was that one
// had, once they have gone. (What the kernel says of children that have ended begins with
// what their parent had.)
func watchChildren(b *testing.B) (highest func() float64) {
	stop, most := make(chan struct{}), make(chan float64)
	mine := fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())
	go func() {
		var high float64
		child := ""
		for wait := time.Duration(0); ; wait = 10 * time.Millisecond {
			select {
			case <-stop:
				most <- high
				return
			case <-time.After(wait):
			}
			now := peak(child)
			if child == "" || now == 0 {
				child = findChild(mine)
			}
			high = max(high, now)
		}
	}()
	return func() float64 { close(stop); return <-most }
}

// bigImage is written to files, and read from them.
func bigImage(b *testing.B, how string) scan.Image {
	b.Helper()
	dir := b.TempDir()
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	img := scan.Image{Platform: scan.Platform{OS: "linux", Architecture: "amd64"}}
	paths := map[digest.Digest]string{}
	for i, write := range []func(*tarFile){baseFiles, languageFiles, programFiles} {
		path := filepath.Join(dir, fmt.Sprint(i))
		l := writeLayer(b, path, how, random, write)
		img.Layers = append(img.Layers, l)
		paths[l.Digest] = path
	}
	img.Open = func(_ context.Context, l scan.Layer) (io.ReadCloser, error) { return os.Open(paths[l.Digest]) }
	return img
}

func writeLayer(b *testing.B, path, how string, random *rand.Rand, write func(*tarFile)) scan.Layer {
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	h, n := digest.SHA256.New(), counter(0)
	out := io.MultiWriter(file, h, &n)
	var z io.WriteCloser = gzip.NewWriter(out)
	if how == "zstd" {
		if z, err = zstd.NewWriter(out); err != nil {
			b.Fatal(err)
		}
	}
	t := &tarFile{b: b, w: tar.NewWriter(z), random: random}
	write(t)
	if err := errors.Join(t.w.Close(), z.Close(), file.Close()); err != nil {
		b.Fatal(err)
	}
	return scan.Layer{Digest: digest.FromHash(digest.SHA256, h), Size: int64(n)}
}

type tarFile struct {
	b      *testing.B
	w      *tar.Writer
	random *rand.Rand
}

func (t *tarFile) add(f scantest.File) {
	if err := t.w.WriteHeader(&tar.Header{Name: f.Name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.Body))}); err != nil {
		t.b.Fatal(err)
	}
	if _, err := io.WriteString(t.w, f.Body); err != nil {
		t.b.Fatal(err)
	}
}

// body is of n bytes that compress to about two fifths: words, and bytes of no order.
func (t *tarFile) body(n int) string {
	var out strings.Builder
	for out.Len() < n {
		for range 20 {
			fmt.Fprintf(&out, "%s_%d ", []string{"load", "store", "return", "package", "handle", "module", "value", "string"}[t.random.IntN(8)], t.random.IntN(5000))
		}
		for range 4 {
			word := t.random.Uint64()
			out.Write([]byte{byte(word), byte(word >> 8), byte(word >> 16), byte(word >> 24), byte(word >> 32), byte(word >> 40)})
		}
	}
	return out.String()[:n]
}

func (t *tarFile) bulk(dir string, files, size int) {
	for i := range files {
		t.add(scantest.File{Name: fmt.Sprintf("%s/%d/file-%d", dir, i/100, i), Body: t.body(size)})
	}
}

func baseFiles(t *tarFile) {
	t.add(scantest.DebianRelease("12"))
	list := []scantest.Deb{{Name: "libssl3", Source: "openssl", Version: "3.0.8-1", Arch: "amd64"}}
	for i := range 400 {
		list = append(list, scantest.Deb{Name: fmt.Sprintf("package-%d", i), Source: fmt.Sprintf("source-%d", i/2), Version: fmt.Sprintf("1:%d.2.3-%d+deb12u1", i/2, i/2), Arch: "amd64"})
	}
	t.add(scantest.File{Name: "var/lib/dpkg/status", Body: scantest.Paragraphs(list...)})
	t.bulk("usr/share", 8000, 8<<10)
	for i := range 320 {
		t.add(scantest.File{Name: fmt.Sprintf("usr/lib/lib%d.so", i), Body: "\x7fELF" + t.body(300<<10)})
	}
}

func languageFiles(t *tarFile) {
	for i := range 600 {
		t.add(scantest.NpmPackage(fmt.Sprintf("app/node_modules/module-%d", i), fmt.Sprintf("module-%d", i), "1.2.3"))
		t.bulk(fmt.Sprintf("app/node_modules/module-%d/dist", i), 10, 6<<10)
	}
	t.add(scantest.NpmPackage("app/node_modules/lodash", "lodash", "4.17.20"))
	for i := range 100 {
		t.add(scantest.WheelMetadata(fmt.Sprintf("usr/lib/python3/site-packages/wheel_%d-2.0.dist-info", i), fmt.Sprintf("wheel-%d", i), "2.0"))
		t.bulk(fmt.Sprintf("usr/lib/python3/site-packages/wheel_%d", i), 20, 10<<10)
	}
	for i := range 100 {
		t.add(scantest.File{Name: fmt.Sprintf("srv/lib/artifact-%d.jar", i), Body: string(scantest.Jar(
			scantest.Entry{Name: fmt.Sprintf("META-INF/maven/org.example/artifact-%d/pom.properties", i), Body: fmt.Sprintf("groupId=org.example\nartifactId=artifact-%d\nversion=1.0\n", i)},
			scantest.Entry{Name: "org/example/Code.class", Body: t.body(200 << 10)},
		))})
	}
}

func programFiles(t *tarFile) {
	self, err := os.Executable()
	if err != nil {
		t.b.Fatal(err)
	}
	body, err := os.ReadFile(self)
	if err != nil {
		t.b.Fatal(err)
	}
	for i := range 2 {
		t.add(scantest.File{Name: fmt.Sprintf("usr/bin/program-%d", i), Body: string(body)})
	}
	t.add(scantest.File{Name: "usr/bin/tool", Body: string(scantest.GoBinary("go1.20", "m", "golang.org/x/net v0.5.0"))})
}

// findChild is the child whose status says who its parent is, "" if there is none yet.
func findChild(parent string) string {
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		if status, err := os.ReadFile(path); err != nil || !strings.Contains(string(status), parent) {
			continue
		}
		line, err := os.ReadFile(filepath.Dir(path) + "/cmdline")
		if err == nil && strings.HasPrefix(string(line), "berth\x00") {
			return filepath.Base(filepath.Dir(path))
		}
	}
	return ""
}
