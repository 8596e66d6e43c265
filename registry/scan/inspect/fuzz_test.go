package inspect_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// small are limits that a fuzzer reaches without taking all of the machine.
var small = inspect.Limits{Unpacked: 4 << 20, Kept: 1 << 20, File: 256 << 10, Entries: 500, Window: 1 << 20}

// FuzzFlatten lays two layers over each other, of any bytes. Whatever they are, an image
// without problems has a system and packages of it, and whoever looks twice sees the same.
func FuzzFlatten(f *testing.F) {
	for _, img := range []scantest.Image{scantest.Debian("12"), scantest.Distroless(), scantest.Languages(), {Layers: append(scantest.Alpine("3.18.4").Layers, scantest.Plain(
		scantest.File{Name: ".wh.lib"}, scantest.File{Name: "usr/.wh..wh..opq"}, scantest.Hardlink("a.jar", "lib"), scantest.Symlink("etc", "../x"),
	))}} {
		for i := range len(img.Layers) - 1 {
			f.Add(img.Layers[i].Bytes, img.Layers[i+1].Bytes)
			f.Add(scantest.Plain().Bytes, img.Layers[i].Bytes)
		}
	}
	f.Add(sparse("x", 1<<20), []byte(strings.Repeat("\x00", 1024)))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		img := scantest.Image{Layers: []scantest.Layer{scantest.Raw(lower, ""), scantest.Raw(upper, "")}}.Scan()
		inv, problems, err := inspect.Inventory(t, img, small)
		again, problems2, err2 := inspect.Inventory(t, img, small)
		if (err == nil) != (err2 == nil) || len(problems) != len(problems2) || len(inv.Packages) != len(again.Packages) {
			t.Fatalf("%v, %v, %v and then %v, %v, %v", inv, problems, err, again, problems2, err2)
		}
		var p *scan.Problem
		switch {
		case err != nil && (!errors.As(err, &p) || p.Text == "" || p.Kind == ""):
			t.Fatalf("%v, which is no problem", err)
		case err == nil && len(problems) == 0 && (inv.System.Ecosystem == "" || len(inv.Packages) == 0):
			t.Fatalf("it looks clean: %+v", inv)
		}
		for _, q := range inv.Packages {
			if q.Name == "" || q.Version == "" || q.Ecosystem == "" || q.Manager == "" || q.Layer.IsZero() {
				t.Fatalf("half a package: %+v", q)
			}
			if strings.HasPrefix(q.Path, "/") || strings.HasPrefix(q.Path, "../") || q.Path == "" {
				t.Fatalf("a package at %q", q.Path)
			}
		}
	})
}

// FuzzFrame reads frames of any bytes.
func FuzzFrame(f *testing.F) {
	body := []byte("bytes of a layer")
	layer := scan.Layer{Digest: digest.FromBytes(digest.SHA256, body), Size: int64(len(body))}
	whole := inspect.Frame(f, []scan.Layer{layer, layer}, body, body)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(inspect.Frame(f, nil))
	f.Add(bytes.Replace(whole, []byte(`"Size":16`), []byte(`"Size":-6`), 1))
	f.Add([]byte("berth-scan-1\n\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		layers, err := inspect.ReadFrame(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, inspect.ErrFrame) {
				t.Fatalf("%v, want that it is no frame", err)
			}
			return
		}
		n := 0
		for _, l := range layers {
			n += len(l)
		}
		if n > len(b) {
			t.Fatalf("%d bytes of layers in a frame of %d", n, len(b))
		}
	})
}

// FuzzAnswer reads what a child may write. None is a finished report of nothing.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"Problem":{"Kind":"damaged","Text":"it is"}}`))
	f.Add([]byte(`{"Report":{"Inventory":{"System":{"Ecosystem":"Debian:12"},"Packages":null},"Findings":null,"Database":"2024-01-01T00:00:00Z","Problems":null}}`))
	f.Add([]byte(`{"Report":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, finished, err := inspect.ReadAnswer(b)
		if err != nil {
			return
		}
		if _, _, err := inspect.ReadAnswer(again); err != nil {
			t.Fatalf("what was read (%s) is written as %s: %v", b, again, err)
		}
		if finished && !bytes.Contains(again, []byte(`"Ecosystem":`)) {
			t.Fatalf("%s is finished", again)
		}
	})
}

func fuzzReader(f *testing.F, kind, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := inspect.Read(t, kind, name, body)
		for _, p := range list {
			if kind != "os-release" && (p.Name == "" || p.Version == "") {
				t.Fatalf("half a package: %+v (%v)", p, err)
			}
		}
	})
}

func FuzzDpkg(f *testing.F) {
	fuzzReader(f, "dpkg", "status", "Package: a\nStatus: install ok installed\nVersion: 1\nSource: s (3)\n\nPackage: b\nVersion: 2\n", "Source: (1)\nPackage: a\nVersion: 1\n", "\n:\n")
}

func FuzzApk(f *testing.F) {
	fuzzReader(f, "apk", "installed", scantest.Installed(scantest.Apk{Name: "a", Origin: "o", Version: "1-r0"}), "P:\n", "P:a\nV:1")
}

func FuzzRelease(f *testing.F) {
	fuzzReader(f, "os-release", "os-release", "ID=debian\nVERSION_ID=\"12\"\n", "ID='a'\\''b'\n", "A=\"\\\"\n", "=")
}

func FuzzBinary(f *testing.F) {
	fuzzReader(f, "binary", "x", string(scantest.GoBinary("go1.20", "m", "a v1.0.0")),
		string(scantest.CargoBinary(crates(`{"packages":[{"name":"a","version":"1","source":"crates.io"}]}`))), "MZ\xff Go buildinf:", "\xcf\xfa\xed\xfe.dep-v0")
}

func FuzzPackageJSON(f *testing.F) {
	fuzzReader(f, "", "node_modules/a/package.json", `{"name":"a","version":"1"}`, `{"name":1,"version":{}}`, "\xef\xbb\xbf{}", `{"name":"a","version":"v"}`)
}

func FuzzPackageLock(f *testing.F) {
	fuzzReader(f, "", "package-lock.json", `{"dependencies":{"a":{"version":"npm:b@1","dependencies":{"c":{"version":"2"}}}}}`, `{"packages":{"node_modules/a":{"version":"1"},"node_modules/":{"version":"v"}}}`)
}

func FuzzPython(f *testing.F) {
	fuzzReader(f, "", "x.dist-info/METADATA", "Name: A.b\nVersion: 1\n\n", "Name:\nVersion: 1\n", "Name: -\nVersion: 1\n")
}

func FuzzPythonArchive(f *testing.F) {
	fuzzReader(f, "", "x.whl", string(scantest.Jar(scantest.Entry{Name: "x.dist-info/METADATA", Body: "Name: a\nVersion: 1\n"})))
}

func FuzzJar(f *testing.F) {
	jar := scantest.MavenJar("g", "a", "1")
	fuzzReader(f, "", "a-1.0.jar", string(jar), string(scantest.Jar(scantest.Entry{Name: "b.war", Body: string(jar)})),
		string(scantest.Jar(scantest.Entry{Name: "META-INF/MANIFEST.MF", Body: "Bundle-SymbolicName: a.b;x\nBundle-Version: 1\n"})))
}

func FuzzGem(f *testing.F) {
	fuzzReader(f, "", "specifications/x.gemspec", "  s.name = \"rack\".freeze\n  s.version = \"2.2.3\"\n", "s.name = ''\ns.version = ''")
}

func FuzzCargoLock(f *testing.F) {
	fuzzReader(f, "", "Cargo.lock", "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+x\"\n", "[[package]]\n[x]\n")
}

// FuzzLinks has links of any names, to anywhere.
func FuzzLinks(f *testing.F) {
	f.Add("a", "b", "c", "../a", "x/package.json")
	f.Add("lib", "usr/lib", "etc/os-release", "../lib/os-release", "usr/lib/os-release")
	f.Fuzz(func(t *testing.T, name, to, name2, to2, file string) {
		var b []byte
		func() {
			defer func() { _ = recover() }() // names that no archive can have
			b = scantest.Tar(scantest.Symlink(name, to), scantest.Hardlink(name2, to2), scantest.File{Name: file, Body: "ID=debian\n"}, scantest.Symlink(to2, name))
		}()
		if b == nil {
			return
		}
		img := scantest.Image{Layers: []scantest.Layer{scantest.Raw(b, "")}}.Scan()
		if _, problems, err := inspect.Inventory(t, img, small); err == nil && len(problems) == 0 {
			t.Fatal("it looks clean")
		}
	})
}
