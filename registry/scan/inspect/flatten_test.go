package inspect_test

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

func npm(dir, name string) scantest.File {
	return scantest.NpmPackage(dir+"/node_modules/"+name, name, "1")
}

func layers(list ...[]scantest.File) (img scantest.Image) {
	for _, files := range list {
		img.Layers = append(img.Layers, scantest.Plain(files...))
	}
	return img
}

type fs = []scantest.File

// pnpmStore is a file of pnpm's store.
var pnpmStore = "root/.local/share/pnpm/store/v10/files/4b/" + strings.Repeat("3c", 63)

// TestFlatten looks at which packages are in sight. Layers are given lowest first.
func TestFlatten(t *testing.T) {
	gobin := func(name string) scantest.File {
		return scantest.File{Name: name, Body: string(scantest.GoBinary("go1.20", "m"))}
	}
	for _, tt := range []struct {
		name     string
		image    scantest.Image
		want     []string // paths
		problems []string // words of each
	}{
		{"one layer", layers(fs{npm("a", "x"), npm("b", "y")}), []string{"a/node_modules/x/package.json", "b/node_modules/y/package.json"}, nil},
		{"a file over a file", layers(fs{npm("a", "x")}, fs{{Name: "a/node_modules/x/package.json", Body: "{}"}}), nil, nil},
		{"the same again", layers(fs{npm("a", "x")}, fs{npm("a", "x")}), []string{"a/node_modules/x/package.json"}, nil},
		{"a file over its folder", layers(fs{npm("a", "x")}, fs{{Name: "a"}}), nil, nil},
		{"a folder over a file", layers(fs{{Name: "a.jar", Body: string(scantest.MavenJar("g", "a", "1"))}}, fs{scantest.Dir("a.jar")}), nil, nil},
		{"an implied folder over a file", layers(fs{{Name: "a.jar", Body: string(scantest.MavenJar("g", "a", "1"))}}, fs{{Name: "a.jar/x"}}), nil, nil},
		{"a link over its folder", layers(fs{npm("a", "x")}, fs{scantest.Symlink("a", "elsewhere")}), nil, nil},
		{"a device over it", layers(fs{npm("a", "x")}, fs{{Name: "a", Type: tar.TypeFifo}}), nil, nil},
		{"a folder over its folder", layers(fs{npm("a", "x")}, fs{scantest.Dir("a"), scantest.Dir("a/node_modules")}), []string{"a/node_modules/x/package.json"}, nil},
		{"whiteout", layers(fs{npm("a", "x"), npm("a", "y")}, fs{{Name: "a/node_modules/x/.wh.package.json"}}), []string{"a/node_modules/y/package.json"}, nil},
		{"whiteout of a folder", layers(fs{npm("a", "x"), npm("b", "y")}, fs{{Name: ".wh.a"}}), []string{"b/node_modules/y/package.json"}, nil},
		{"whiteout of what is there below and in its own layer", layers(fs{npm("a", "x")}, fs{{Name: ".wh.a"}, npm("a", "y")}), []string{"a/node_modules/y/package.json"}, nil},
		{"whiteout behind what is in its own layer", layers(fs{npm("a", "x")}, fs{npm("a", "y"), {Name: ".wh.a"}}), []string{"a/node_modules/y/package.json"}, nil},
		{"whiteout below what came back", layers(fs{npm("a", "x")}, fs{{Name: ".wh.a"}}, fs{npm("a", "y")}), []string{"a/node_modules/y/package.json"}, nil},
		{"whiteout of what is only above", layers(fs{{Name: ".wh.a"}}, fs{npm("a", "y")}), []string{"a/node_modules/y/package.json"}, nil},
		{"opaque", layers(fs{npm("a", "x"), npm("b", "z")}, fs{{Name: "a/.wh..wh..opq"}, npm("a", "y")}), []string{"a/node_modules/y/package.json", "b/node_modules/z/package.json"}, nil},
		{"opaque behind what is in its own layer", layers(fs{npm("a", "x")}, fs{npm("a", "y"), {Name: "a/.wh..wh..opq"}}), []string{"a/node_modules/y/package.json"}, nil},
		{"opaque folder above", layers(fs{npm("a", "x")}, fs{{Name: "a/.wh..wh..opq"}}, fs{scantest.Dir("a")}), nil, nil},
		{"opaque root", layers(fs{npm("a", "x")}, fs{{Name: ".wh..wh..opq"}}), nil, nil},
		{"other marks of AUFS", layers(fs{npm("a", "x")}, fs{{Name: ".wh..wh.aufs"}, scantest.Dir(".wh..wh.plnk"), {Name: "a/.wh."}, {Name: "a/.wh..."}}), []string{"a/node_modules/x/package.json"}, nil},
		{"the later of two entries", layers(fs{npm("a", "x"), {Name: "a/node_modules/x/package.json", Body: "{}"}}), nil, nil},
		{"names with points", layers(fs{npm("./a", "x"), npm("/b", "y"), npm("../../c", "z"), npm("d/../e", "w")}), []string{
			"a/node_modules/x/package.json", "b/node_modules/y/package.json", "c/node_modules/z/package.json", "e/node_modules/w/package.json",
		}, nil},
		{"whiteouts with points", layers(fs{npm("a", "x")}, fs{{Name: "./x/../.wh.a"}}), nil, nil},
		{"programs", layers(fs{gobin("bin/a"), {Name: "bin/b", Body: "\x7fELF and nothing else"}, {Name: "c", Body: "\x7fE"}, {Name: "d"}}), []string{"bin/a"}, nil},
		{"hard link to a program", layers(fs{gobin("bin/a"), scantest.Hardlink("bin/b", "bin/a")}), []string{"bin/a", "bin/b"}, nil},
		{"hard link to what is hidden", layers(fs{gobin("bin/a"), scantest.Hardlink("bin/b", "bin/a")}, fs{{Name: "bin/.wh.a"}}), []string{"bin/b"}, nil},
		{"hard link to what is hidden and not wanted", layers(fs{{Name: "bin/a", Body: "perl"}, scantest.Hardlink("bin/b", "bin/a")}, fs{{Name: "bin/.wh.a"}}), nil, nil},
		{"hard link that is hidden", layers(fs{gobin("bin/a"), scantest.Hardlink("bin/b", "bin/a")}, fs{{Name: "bin/.wh.b"}}), []string{"bin/a"}, nil},
		{"hard link to a file that is not kept", layers(fs{{Name: "store/1", Body: "{}"}, scantest.Hardlink("node_modules/x/package.json", "store/1")}), nil, []string{"node_modules/x/package.json"}},
		{"hard link to pnpm's store", layers(fs{
			{Name: pnpmStore, Body: `{"name": "x", "version": "1"}`}, scantest.Hardlink("node_modules/.pnpm/x@1/node_modules/x/package.json", pnpmStore),
			scantest.Symlink("node_modules/x", ".pnpm/x@1/node_modules/x"),
		}), []string{"node_modules/.pnpm/x@1/node_modules/x/package.json"}, nil},
		{"hard link to another layer", layers(fs{npm("a", "x")}, fs{scantest.Hardlink("node_modules/y/package.json", "a/node_modules/x/package.json")}), []string{"a/node_modules/x/package.json"}, nil},
		{"hard link to nothing", layers(fs{scantest.Hardlink("a", "b")}), nil, []string{`"a"`}},
		{"hard link to itself", layers(fs{scantest.Hardlink("a.jar", "a.jar")}), nil, []string{`"a.jar"`}},
		{"hard links in a ring", layers(fs{scantest.Hardlink("a.jar", "b.jar"), scantest.Hardlink("b.jar", "a.jar")}), nil, []string{`"a.jar"`, `"b.jar"`}},
		{"link to what is read under its own name", layers(fs{npm("a", "x"), scantest.Symlink("node_modules/x/package.json", "../../a/node_modules/x/package.json")}), []string{"a/node_modules/x/package.json"}, nil},
		{"link to what is kept for something else", layers(fs{{Name: "status", Body: `{"name": "x", "version": "1"}`}, scantest.Symlink("node_modules/x/package.json", "/status")}), []string{"node_modules/x/package.json"}, nil},
		{"link to what is not kept", layers(fs{{Name: "store/1", Body: "{}"}, scantest.Symlink("node_modules/x/package.json", "../../store/1")}), nil, []string{"node_modules/x/package.json"}},
		{"link to a folder", layers(fs{scantest.Dir("x"), scantest.Symlink("y.jar", "x")}), nil, nil},
		{"link to nothing", layers(fs{scantest.Symlink("y.jar", "x")}), nil, nil},
		{"link to itself", layers(fs{scantest.Symlink("y.jar", "y.jar"), scantest.Symlink("a", "a/b/c")}), nil, nil},
		{"links in a ring", layers(fs{scantest.Symlink("y.jar", "z.jar"), scantest.Symlink("z.jar", "y.jar")}), nil, []string{"y.jar", "z.jar"}},
		{"links that grow", layers(fs{scantest.Symlink("y.jar", "a/y.jar"), scantest.Symlink("a", "b/c"), scantest.Symlink("b", "a/a/a")}), nil, []string{"y.jar"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv, problems, err := inspect.Inventory(t, tt.image.Scan(), inspect.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range inv.Packages {
				got = append(got, p.Path)
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			// The image has no system, which is one of the problems.
			problems = slices.DeleteFunc(problems, func(p scan.Problem) bool { return p.Kind == scan.UnknownSystem })
			var texts []string
			for _, p := range problems {
				if p.Kind != scan.Unreadable {
					t.Errorf("problem %+v", p)
				}
				texts = append(texts, p.Text)
			}
			slices.Sort(texts)
			if len(texts) != len(tt.problems) {
				t.Fatalf("problems %q, want %q", texts, tt.problems)
			}
			for i, w := range tt.problems {
				if !strings.Contains(texts[i], w) {
					t.Errorf("%q does not name %s", texts[i], w)
				}
			}
		})
	}
}

// Which layer a package is of is that of the file in sight.
func TestPackagesAreOfTheirLayer(t *testing.T) {
	img := layers(fs{npm("a", "x")}, fs{npm("a", "x"), npm("a", "y")}, fs{npm("a", "y")})
	inv, _, err := inspect.Inventory(t, img.Scan(), inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range inv.Packages {
		if want := img.Layers[i+1].Digest; p.Layer != want {
			t.Errorf("%s is of %s, want %s", p.Name, p.Layer, want)
		}
	}
}

// Whoever asks for packages of the system alone has files looked at by name alone.
func TestLinksToSystemFiles(t *testing.T) {
	release := scantest.AlpineRelease("3.18.4").Body
	installed := scantest.Installed(scantest.Apk{Name: "zlib", Origin: "zlib", Version: "1.2.13-r1"})
	status := scantest.Paragraphs(scantest.Deb{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Arch: "amd64"})
	debian := scantest.DebianRelease("12").Body
	chain := func(n int) (files fs) {
		for i := range n {
			files = append(files, scantest.Symlink(fmt.Sprintf("l%d", i), fmt.Sprintf("/l%d", i+1)))
		}
		return append(files, scantest.Dir(fmt.Sprintf("l%d", n)), scantest.File{Name: fmt.Sprintf("l%d/os-release", n), Body: release})
	}
	apk := scantest.File{Name: "lib/apk/db/installed", Body: installed}
	for _, tt := range []struct {
		name  string
		image scantest.Image
		kinds []scan.ProblemKind
	}{
		{"straight", layers(fs{{Name: "etc/os-release", Body: release}, apk}), nil},
		{"lib is a link", layers(fs{{Name: "etc/os-release", Body: release}, scantest.Symlink("lib", "usr/lib"), {Name: "usr/lib/apk/db/installed", Body: installed}}), nil},
		{"lib is a link of a layer below", layers(fs{scantest.Symlink("lib", "usr/lib")}, fs{{Name: "etc/os-release", Body: release}, {Name: "usr/lib/apk/db/installed", Body: installed}}), nil},
		{"packed through a link", layers(fs{scantest.Symlink("lib", "usr/lib"), scantest.Symlink("etc/os-release", "../lib/os-release"), {Name: "usr/lib/os-release", Body: release}}, fs{apk}), nil},
		{"os-release is a link", layers(fs{scantest.Symlink("etc/os-release", "../usr/lib/os-release"), {Name: "usr/lib/os-release", Body: release}, apk}), nil},
		{"only usr/lib has it", layers(fs{{Name: "usr/lib/os-release", Body: release}, apk}), nil},
		{"a hard link", layers(fs{{Name: "usr/lib/os-release", Body: release}, scantest.Hardlink("etc/os-release", "usr/lib/os-release"), apk}), nil},
		{"links beyond the root", layers(fs{scantest.Symlink("etc/os-release", "../../../../x/os-release"), {Name: "x/os-release", Body: release}, apk}), nil},
		{"six steps", layers(append(chain(5), scantest.Symlink("etc", "l0"), apk)), nil},
		{"seven steps", layers(append(chain(6), scantest.Symlink("etc", "l0"), apk)), []scan.ProblemKind{scan.Unreadable, scan.UnknownSystem}},
		{"a ring", layers(fs{scantest.Symlink("etc/os-release", "x"), scantest.Symlink("etc/x", "os-release"), apk}), []scan.ProblemKind{scan.Unreadable, scan.UnknownSystem}},
		{"to what is not kept", layers(fs{scantest.Symlink("etc/os-release", "/opt/release"), {Name: "opt/release", Body: release}, apk}), []scan.ProblemKind{scan.Unreadable, scan.UnknownSystem}},
		{"var/lib/dpkg is a link", layers(fs{{Name: "etc/os-release", Body: debian}, scantest.Symlink("var/lib/dpkg", "/usr/share/dpkg"), {Name: "usr/share/dpkg/status", Body: status}}), nil},
		{"status.d behind a link", layers(fs{{Name: "etc/os-release", Body: debian}, scantest.Symlink("var", "data"), {Name: "data/lib/dpkg/status.d/zlib1g", Body: strings.TrimSpace(status)}}), nil},
		{"status.d is a link", layers(fs{{Name: "etc/os-release", Body: debian}, scantest.Symlink("var/lib/dpkg/status.d", "parts"), {Name: "var/lib/dpkg/parts/zlib1g", Body: status}}), []scan.ProblemKind{scan.Unreadable, scan.UnknownSystem}},
		{"a link in status.d", layers(fs{{Name: "etc/os-release", Body: debian}, scantest.Symlink("var/lib/dpkg/status.d/zlib1g", "/x/status"), {Name: "x/status", Body: status}}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := tt.image.Scan()
			img.SystemOnly = true
			inv, problems, err := inspect.Inventory(t, img, inspect.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var kinds []scan.ProblemKind
			for _, p := range problems {
				kinds = append(kinds, p.Kind)
			}
			if d := cmp.Diff(tt.kinds, kinds); d != "" {
				t.Errorf("problems %+v, -want +got:\n%s", problems, d)
			}
			if tt.kinds == nil && (len(inv.Packages) != 1 || inv.Packages[0].Name == "") {
				t.Errorf("packages %v", told(inv.Packages))
			}
		})
	}
}
