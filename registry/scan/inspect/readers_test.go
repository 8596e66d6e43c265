package inspect_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// crates is a list of crates as cargo-auditable packs it.
func crates(text string) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func short(list []scan.Package) (out []string) {
	for _, p := range list {
		out = append(out, p.Ecosystem+" "+p.Name+" "+p.Version)
	}
	return out
}

// TestReaders has each reader read what it knows, and what it cannot read: an error that
// says what is wrong.
func TestReaders(t *testing.T) {
	wheel := "Metadata-Version: 2.1\r\nName: Zope.Interface\r\nVersion: 5.4.0\r\nLicense: a\r\n  and: more\r\n\r\nName: of the text\r\n"
	jar := string(scantest.MavenJar("org.example", "lib", "1.0"))
	for _, tt := range []struct {
		name, kind, file, body string
		want                   []string
		wrong                  string // a word of the error
	}{
		{"dpkg", "dpkg", "status", "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok half-configured\nVersion: 2\nSource: s (3)\n\n" +
			"Package: c\nStatus: deinstall ok config-files\nVersion: 3\n\nPackage: d\nStatus: purge ok not-installed\n\nPackage: e\nVersion: 1:2-3\nsource: f\n", []string{" a 1", " s 3", " f 1:2-3"}, ""},
		{"dpkg of nothing", "dpkg", "status", "\n\n", nil, ""},
		{"dpkg without an end", "dpkg", "status", "Package: a\nVersion: 1", []string{" a 1"}, ""},
		{"dpkg without a version", "dpkg", "status", "Package: a\nStatus: install ok installed\n\nPackage: b\nVersion: 1\n", nil, `"a"`},
		{"dpkg without a name", "dpkg", "status", "Version: 1\n", nil, "no name"},
		{"dpkg with another source", "dpkg", "status", "Package: a\nVersion: 1\nSource: b 1)\n", nil, "source"},
		{"dpkg of garbage", "dpkg", "status", "\x00\x01\x02", nil, "field"},
		{"dpkg in a line", "dpkg", "status", strings.Repeat("a", 5<<20), nil, "4MiB"},

		{"apk", "apk", "installed", scantest.Installed(scantest.Apk{Name: "a", Origin: "o", Version: "1-r0"}) + "P:b\nV:2\n", []string{" o 1-r0", " b 2"}, ""},
		{"apk without a version", "apk", "installed", "P:a\nV:1\n\nP:b\n\n", []string{" a 1"}, `"b"`},
		{"apk of garbage", "apk", "installed", "{}", nil, "field"},

		{"os-release", "os-release", "os-release", "# ID=x\nNAME='Debian GNU/Linux'\nID=debian\nVERSION_ID=\"12\"\n", []string{"Debian:12 debian 12"}, ""},
		{"os-release, escaped", "os-release", "os-release", "ID=\"deb\\ian\"\nVERSION_ID='12'\r\n", []string{"Debian:12 debian 12"}, ""},
		{"os-release, not quoted to its end", "os-release", "os-release", "ID=\"debian\n", []string{"  "}, "quoted"},

		{"Go", "binary", "x", string(scantest.GoBinary("go1.22.3", "m", "golang.org/x/net v0.17.0", "a v1.0.0+incompatible")), []string{"Go stdlib 1.22.3", "Go golang.org/x/net 0.17.0", "Go a 1.0.0+incompatible"}, ""},
		{"Go of no release", "binary", "x", string(scantest.GoBinary("devel +abc", "m", "b v1.0.0")), []string{"Go b 1.0.0"}, "devel"},
		{"Go without a version", "binary", "x", string(scantest.GoBinary("go1.22", "m", "b ")), []string{"Go stdlib 1.22.0"}, `"b"`},
		{"Go that is cut", "binary", "x", string(scantest.GoBinary("go1.22", "m"))[:180], nil, "unrecognized"},
		{"Rust", "binary", "x", string(scantest.CargoBinary(crates(`{"packages":[{"name":"serde","version":"1.0.1","source":"crates.io"},{"name":"own","version":"0.1.0","source":"local","root":true},{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}]}`))), []string{"crates.io serde 1.0.1"}, ""},
		{"Rust of garbage", "binary", "x", string(scantest.CargoBinary([]byte("garbage"))), nil, "crates"},
		{"Rust of no JSON", "binary", "x", string(scantest.CargoBinary(crates("["))), nil, "crates"},
		{"Rust bomb", "binary", "x", string(scantest.CargoBinary(crates(strings.Repeat(" ", 9<<20)))), nil, "8MiB"},
		{"a program that speaks of both", "binary", "x", "\x7fELF \xff Go buildinf: .dep-v0", nil, "unrecognized"},

		{"npm", "", "node_modules/a/package.json", "\xef\xbb\xbf" + `{"name": "@s/a", "version": "v1.2.3", "private": true, "dependencies": {"x": "1"}}`, []string{"npm @s/a 1.2.3"}, ""},
		{"an application", "", "app/package.json", `{"name": "app", "version": "1.2.3", "private": true}`, nil, ""},
		{"a tool", "", "opt/yarn/package.json", `{"name": "yarn", "version": "1.22.0"}`, []string{"npm yarn 1.22.0"}, ""},
		{"no name", "", "app/package.json", `{"type": "module"}`, nil, ""},
		{"npm of garbage", "", "node_modules/a/package.json", `{"name": `, nil, "EOF"},
		{"npm with more behind", "", "node_modules/a/package.json", `{}{}`, nil, "behind"},
		{"npm with another kind", "", "node_modules/a/package.json", `[]`, nil, "array"},
		{"lock 1", "", "package-lock.json", `{"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0", "requires": {"b": "1"}, "dependencies": {"b": {"version": "2.0.0"}}}, "c": {"version": "3.0.0", "dev": true}, "d": {"version": "git+ssh://git@example.com/d.git#abc"}, "e": {"version": "npm:@s/f@4.0.0"}, "b": {"version": "2.0.0"}}}`,
			[]string{"npm a 1.0.0", "npm b 2.0.0", "npm @s/f 4.0.0"}, ""},
		{"lock 3", "", "npm-shrinkwrap.json", `{"lockfileVersion": 3, "packages": {"": {"name": "app", "version": "9.0.0"}, "node_modules/a": {"version": "1.0.0", "dependencies": {"b": "^2"}}, "node_modules/a/node_modules/@s/b": {"version": "2.0.0"}, "node_modules/w": {"resolved": "packages/w", "link": true}, "packages/w": {"version": "5.0.0"}, "node_modules/al": {"name": "real", "version": "6.0.0"}}}`,
			[]string{"npm a 1.0.0", "npm @s/b 2.0.0", "npm real 6.0.0"}, ""},
		{"lock within lock", "", "package-lock.json", `{"dependencies": {"a": {"version": "1", "dependencies": {"b": "x"}}}}`, []string{"npm a 1"}, `"a"`},
		{"deep lock", "", "package-lock.json", `{"dependencies":` + strings.Repeat(`{"a":{"dependencies":`, 2000) + `{}` + strings.Repeat(`}}`, 2000) + `}`, nil, "deep"},

		{"wheel", "", "x.dist-info/METADATA", wheel, []string{"PyPI zope-interface 5.4.0"}, ""},
		{"egg-info", "", "x.egg-info", wheel, []string{"PyPI zope-interface 5.4.0"}, ""},
		{"wheel without a version", "", "x.dist-info/METADATA", "Name: x\n\nVersion: 1\n", nil, "version"},
		{"packed wheel", "", "x.whl", string(scantest.Jar(scantest.Entry{Name: "x.dist-info/METADATA", Body: wheel}, scantest.Entry{Name: "x.py", Body: "Name: x"})), []string{"PyPI zope-interface 5.4.0"}, ""},
		{"packed wheel of garbage", "", "x.egg", "PK", nil, "zip"},

		{"jar", "", "a.jar", jar, []string{"Maven org.example:lib 1.0"}, ""},
		{"jar in war", "", "a.war", string(scantest.Jar(scantest.Entry{Name: "WEB-INF/lib/x.jar", Body: jar}, scantest.Entry{Name: "META-INF/maven/g/w/pom.properties", Body: "groupId = g\r\nartifactId=w\r\nversion=2\r\n"})), []string{"Maven org.example:lib 1.0", "Maven g:w 2"}, ""},
		{"jar by its manifest", "", "commons-io-2.6.jar", string(scantest.Jar(scantest.Entry{Name: "META-INF/MANIFEST.MF", Body: "Bundle-SymbolicName: org.apache.commons.commons-io;singleton:=true\n"})), []string{"Maven org.apache.commons:commons-io 2.6"}, ""},
		{"jar by its name", "", "commons-io-2.6.jar", string(scantest.Jar()), []string{"Maven commons-io:commons-io 2.6"}, ""},
		{"jar by its manifest's version", "", "tool.jar", string(scantest.Jar(scantest.Entry{Name: "META-INF/MANIFEST.MF", Body: "Implementation-Version: 3.1\nImplementation-Vendor-Id: com.example\n"})), []string{"Maven com.example:tool 3.1"}, ""},
		{"jar that cannot be named", "", "tool.jar", string(scantest.Jar(scantest.Entry{Name: "x.class", Body: "x"})), nil, ""},
		{"jar of nothing", "", "tool.jar", "", nil, ""},
		{"jar of garbage", "", "tool.jar", "garbage", nil, "tool.jar"},
		{"jar in jar that is garbage", "", "a.jar", string(scantest.Jar(scantest.Entry{Name: "b.jar", Body: "garbage"}, scantest.Entry{Name: "META-INF/maven/g/w/pom.properties", Body: "groupId=g\nartifactId=w\nversion=2\n"})), []string{"Maven g:w 2"}, "a.jar/b.jar"},
		{"jar with half a pom", "", "a.jar", string(scantest.Jar(scantest.Entry{Name: "META-INF/maven/g/w/pom.properties", Body: "groupId=g\n"})), nil, "pom.properties"},
		{"jar whose version was not filled in", "", "a.jar", string(scantest.MavenJar("g", "a", "${revision}")), nil, "pom.properties"},
		{"jar whose bytes are wrong", "", "a.jar", strings.Replace(stored("META-INF/maven/g/w/pom.properties", "groupId=g\nartifactId=w\nversion=2\n"), "artifactId=w", "artifactId=v", 1), nil, "checksum"},

		{"gem", "", "specifications/rack-2.2.3.gemspec", "# -*- encoding: utf-8 -*-\nGem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = \"2.2.3\"\n  s.required_ruby_version = \"1\"\nend\n", []string{"RubyGems rack 2.2.3"}, ""},
		{"gem, by class", "", "specifications/default/x.gemspec", "Gem::Specification.new do |s|\n  s.name = 'x'\n  s.version = Gem::Version.new(\"1.0.pre\")\n", []string{"RubyGems x 1.0.pre"}, ""},
		{"gem that must be run", "", "specifications/x.gemspec", "s.name = \"x\"\ns.version = X::VERSION\n", nil, "version"},

		{"Cargo.lock", "", "Cargo.lock", "version = 3\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\n \"serde\",\n]\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\n[metadata]\nname = \"x\"\n", []string{"crates.io serde 1.0.1"}, ""},
		{"Cargo.lock without a version", "", "Cargo.lock", "[[package]]\nname = \"serde\"\n", nil, "serde"},
		{"Cargo.lock in another form", "", "Cargo.lock", "[[package]]\nname = '''serde'''\n", nil, "Cargo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := inspect.Read(t, tt.kind, tt.file, []byte(tt.body))
			if d := cmp.Diff(tt.want, short(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			switch {
			case tt.wrong == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
				t.Errorf("error %v, want one of %q", err, tt.wrong)
			}
		})
	}
}

// stored is an archive with one file that is not packed.
func stored(name, body string) string {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = w.Write([]byte(body))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return out.String()
}

// A program that Go's own linker made: this test. What go test builds names no modules.
func TestReadThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	img := debianWith(scantest.Plain(scantest.File{Name: "x", Body: string(body)}))
	inv, problems, err := inspect.Inventory(t, img.Scan(), inspect.Limits{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	version, _ := inspect.GoRelease(runtime.Version())
	if got := short(inv.Packages); !slices.Contains(got, "Go stdlib "+version) {
		t.Errorf("%q, which does not have Go %s", got, version)
	}
}

func TestWanted(t *testing.T) {
	for name, want := range map[string]bool{
		"node_modules/a/package.json": true, "x/node_modules/@s/a/package.json": true, "node_modules/a/node_modules/b/package.json": true,
		"node_modules/a/test/package.json": false, "node_modules/@s/package.json": false, "node_modules/@s/a/b/package.json": false,
		"node_modules/package.json": false, "package.json": true, "app/package.json": true, "my_node_modules/a/b/package.json": true,
		"package-lock.json": true, "node_modules/a/package-lock.json": false, "node_modules/.package-lock.json": true, "node_modules/a/.package-lock.json": false,
		"x.dist-info/METADATA": true, "METADATA": false, "EGG-INFO/PKG-INFO": true, "x.egg-info/PKG-INFO": true, "x-1.egg-info": true, "PKG-INFO": false,
		"x.egg": true, "x.whl": true, "x.jar": true, "x.WAR": true, ".jar": false, "x.jars": false,
		"specifications/x.gemspec": true, "specifications/default/x.gemspec": true, "gems/x/x.gemspec": false, "default/x.gemspec": false,
		"Cargo.lock": true, "a/Cargo.lock": true, "Cargo.toml": false, "etc/os-release": false,
	} {
		if got := inspect.Wanted(name); got != want {
			t.Errorf("%s is wanted: %v, want %v", name, got, want)
		}
	}
}

func TestGoReleases(t *testing.T) {
	for s, want := range map[string]string{
		"go1.22.3": "1.22.3", "go1.20": "1.20.0", "go1.23rc1": "1.23.0-rc.1", "go1.5beta2": "1.5.0-beta.2", "go1.22.1 X:nocoverageredesign": "1.22.1",
		"go1.22.5-vendor": "1.22.5", "go1.21.0+auto": "1.21.0", "devel go1.24-abc": "", "unknown": "", "": "", "go1": "", "go1.22x": "",
	} {
		if got, ok := inspect.GoRelease(s); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, want %q", s, got, ok, want)
		}
	}
}

func TestEcosystems(t *testing.T) {
	for _, tt := range [][3]string{
		{"debian", "12", "Debian:12"}, {"debian", "", ""}, {"debian", "12.5", ""}, {"debian", "sid", ""},
		{"ubuntu", "22.04", "Ubuntu:22.04:LTS"}, {"ubuntu", "24.04", "Ubuntu:24.04:LTS"}, {"ubuntu", "23.10", "Ubuntu:23.10"}, {"ubuntu", "23.04", "Ubuntu:23.04"}, {"ubuntu", "24.10", "Ubuntu:24.10"}, {"ubuntu", "24", ""},
		{"alpine", "3.20.3", "Alpine:v3.20"}, {"alpine", "3.20", "Alpine:v3.20"}, {"alpine", "3.21_alpha20240807", ""}, {"alpine", "3", ""},
		{"alpaquita", "23", "Alpaquita:23"}, {"alpaquita", "stream", "Alpaquita:stream"}, {"bellsoft-hardened-containers", "25", "BellSoft Hardened Containers:25"},
		{"wolfi", "20230201", "Wolfi"}, {"chainguard", "", "Chainguard"}, {"minimos", "20241031", "MinimOS"},
		{"rhel", "9.4", ""}, {"amzn", "2023", ""}, {"fedora", "40", ""}, {"raspbian", "12", ""}, {"", "", ""}, {"Debian", "12", ""}, {"debian", "12\nx", ""},
	} {
		if got := inspect.EcosystemOf(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s %q is %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

// TestUnknownSystems is of images whose packages nobody can compare. None looks clean.
func TestUnknownSystems(t *testing.T) {
	status := scantest.File{Name: "var/lib/dpkg/status", Body: scantest.Paragraphs(scantest.Deb{Name: "a", Version: "1"})}
	other := func(text string) scantest.File { return scantest.File{Name: "etc/os-release", Body: text} }
	s := newScanner(t, nil)
	for _, tt := range []struct {
		name  string
		image scantest.Image
		kind  scan.ProblemKind
		word  string
	}{
		{"no layers", scantest.Image{}, scan.UnknownSystem, "no distribution"},
		{"an empty layer", layers(fs{}), scan.UnknownSystem, "no distribution"},
		{"a layer of no bytes", scantest.Image{Layers: []scantest.Layer{scantest.Raw(nil, "")}}, scan.UnknownSystem, "no distribution"},
		{"scratch with a program", layers(fs{{Name: "x", Body: "x"}}), scan.UnknownSystem, "no distribution"},
		{"no os-release", layers(fs{status}), scan.UnknownSystem, "no distribution"},
		{"an empty os-release", layers(fs{status, other("")}), scan.UnknownSystem, "no distribution"},
		{"rpm", layers(fs{other("ID=\"rhel\"\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.4\"\n"), {Name: "var/lib/rpm/rpmdb.sqlite", Body: "x"}}), scan.UnknownSystem, "Red Hat"},
		{"Amazon Linux", layers(fs{other("ID=amzn\nVERSION_ID=2023\n")}), scan.UnknownSystem, "amzn 2023"},
		{"Debian without a release", layers(fs{status, other("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\n")}), scan.UnknownSystem, "sid"},
		{"one that takes after Debian", layers(fs{status, other("ID=mine\nID_LIKE=debian\nVERSION_ID=12\n")}), scan.UnknownSystem, "mine 12"},
		{"no list of packages", layers(fs{scantest.DebianRelease("12")}), scan.UnknownSystem, "no list of the packages"},
		{"that of another one", layers(fs{scantest.AlpineRelease("3.18.4"), status}), scan.UnknownSystem, "no list of the packages"},
		{"a list that was taken away", layers(fs{scantest.DebianRelease("12"), status}, fs{{Name: "var/lib/dpkg/.wh.status"}}), scan.UnknownSystem, "no list of the packages"},
		{"a list of nothing", layers(fs{scantest.DebianRelease("12"), {Name: "var/lib/dpkg/status"}}), scan.Unreadable, "var/lib/dpkg/status"},
		{"a list of what was removed", layers(fs{scantest.DebianRelease("12"), {Name: "var/lib/dpkg/status", Body: "Package: a\nVersion: 1\nStatus: deinstall ok config-files\n"}}), scan.Unreadable, "var/lib/dpkg/status"},
		{"lists of two", layers(fs{scantest.DebianRelease("12"), status, {Name: "lib/apk/db/installed", Body: "P:a\nV:1\n"}}), scan.UnknownSystem, "two"},
		{"a file that cannot be read", layers(fs{scantest.DebianRelease("12"), status, {Name: "node_modules/x/package.json", Body: "{"}}), scan.Unreadable, "node_modules/x/package.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := s.Scan(t.Context(), tt.image.Scan())
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Problems) == 0 {
				t.Fatal("it looks clean")
			}
			wantProblem(t, r.Problems[0], tt.kind, tt.word)
			if out := scan.Judge(scan.Basic, r, err); out.Status != scan.Failed || out.Finished {
				t.Errorf("it comes to %+v", out)
			}
		})
	}
}
