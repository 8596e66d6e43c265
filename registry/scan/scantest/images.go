package scantest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Debian is an image of a Debian release, "11" or "12", with packages of dpkg: openssl is
// affected, zlib is newer than all fixes.
func Debian(release string) Image {
	versions := map[string][2]string{"11": {"1.1.1n-0+deb11u4", "1:1.2.11.dfsg-2+deb11u2"}, "12": {"3.0.8-1", "1:1.2.13.dfsg-1"}}
	v := versions[release]
	return Image{[]Layer{
		Gzip(DebianRelease(release), File{Name: "var/lib/dpkg/status", Body: Paragraphs(
			Deb{Name: "libssl3", Source: "openssl", Version: v[0], Arch: "amd64"},
			Deb{Name: "openssl", Version: v[0], Arch: "amd64"},
			Deb{Name: "zlib1g", Source: "zlib (" + v[1] + ")", Version: v[1], Arch: "amd64"},
			Deb{Name: "tar-data", Version: "1.0", Status: "deinstall ok config-files"},
		)}),
		Gzip(File{Name: "app/readme", Body: "an application"}),
	}}
}

// DebianRelease is the os-release of a Debian release.
func DebianRelease(release string) File {
	return File{Name: "etc/os-release", Body: fmt.Sprintf("PRETTY_NAME=\"Debian GNU/Linux %s\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%s\"\nID=debian\n", release, release)}
}

// Deb is a package of dpkg.
type Deb struct{ Name, Source, Version, Arch, Status string }

// Paragraphs writes packages as dpkg's status file has them.
func Paragraphs(list ...Deb) string {
	var b strings.Builder
	for _, d := range list {
		status := d.Status
		if status == "" {
			status = "install ok installed"
		}
		fmt.Fprintf(&b, "Package: %s\nStatus: %s\n%s\n", d.Name, status, d.paragraph())
	}
	return b.String()
}

func (d Deb) paragraph() string {
	s := "Priority: optional\nVersion: " + d.Version + "\nArchitecture: " + d.Arch + "\n"
	if d.Source != "" {
		s += "Source: " + d.Source + "\n"
	}
	return s + "Description: a package\n that has some more lines\n .\n of words: and colons\n"
}

// Distroless is an image of Debian 12 that keeps a file for each package.
func Distroless() Image {
	openssl := Deb{Source: "openssl", Version: "3.0.8-1", Arch: "amd64"}
	return Image{[]Layer{
		Gzip(DebianRelease("12")),
		Gzip(Dir("var/lib/dpkg/status.d"),
			File{Name: "var/lib/dpkg/status.d/libssl3", Body: "Package: libssl3\n" + openssl.paragraph()},
			File{Name: "var/lib/dpkg/status.d/libssl3.md5sums", Body: "d41d8cd98f00b204e9800998ecf8427e  usr/lib/libssl.so.3\n"},
		),
	}}
}

// Apk is a package of apk.
type Apk struct{ Name, Origin, Version string }

// Alpine is an image of an Alpine release, such as "3.18.4", whose /lib is a link: openssl
// and busybox are affected, zlib is fixed.
func Alpine(release string) Image {
	return Image{[]Layer{Zstd(
		Symlink("lib", "usr/lib"),
		Symlink("etc/os-release", "../usr/lib/os-release"),
		AlpineRelease(release),
		File{Name: "usr/lib/apk/db/installed", Body: Installed(
			Apk{"libcrypto3", "openssl", "3.1.3-r0"}, Apk{"libssl3", "openssl", "3.1.3-r0"},
			Apk{"busybox", "busybox", "1.36.1-r0"}, Apk{"zlib", "zlib", "1.2.13-r1"},
		)},
	)}}
}

// AlpineRelease is the os-release of an Alpine release.
func AlpineRelease(release string) File {
	return File{Name: "usr/lib/os-release", Body: "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=" + release + "\nPRETTY_NAME=\"Alpine Linux v" + release + "\"\n"}
}

// Installed writes packages as apk's database has them.
func Installed(list ...Apk) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "C:Q1tSkotDoyvjtBnXlZSLAvwmUDOeQ=\nP:%s\nV:%s\nA:x86_64\nS:1\nI:1\nT:a package\no:%s\nF:usr/lib\nR:%s.so\na:0:0:755\nZ:Q1tSkotDoyvjtBnXlZSLAvwmUDOeQ=\n\n", a.Name, a.Version, a.Origin, a.Name)
	}
	return b.String()
}

// Languages is an image of Debian 12 with packages of Go, npm, PyPI and Maven, each of
// which has some that are affected.
func Languages() Image {
	return Image{append(Debian("12").Layers,
		Gzip(File{Name: "usr/bin/tool", Body: string(GoBinary("go1.20", "example.com/tool", "golang.org/x/net v0.5.0", "golang.org/x/text v0.3.9"))}),
		Gzip(
			NpmPackage("app/node_modules/lodash", "lodash", "4.17.20"),
			NpmPackage("app/node_modules/@scope/fine", "@scope/fine", "1.0.0"),
			File{Name: "app/package-lock.json", Body: `{"lockfileVersion": 3, "packages": {"": {"name": "app"}, "node_modules/minimist": {"version": "1.2.5"}, "node_modules/only-dev": {"version": "1.0.0", "dev": true}}}`},
			WheelMetadata("usr/lib/python3/site-packages/requests-2.30.0.dist-info", "requests", "2.30.0"),
			WheelMetadata("usr/lib/python3/site-packages/Jinja2-3.1.3.dist-info", "Jinja2", "3.1.3"),
			File{Name: "srv/app.jar", Body: string(Jar(
				Entry{"BOOT-INF/lib/log4j-core-2.14.1.jar", string(MavenJar("org.apache.logging.log4j", "log4j-core", "2.14.1"))},
			))},
		),
	)}
}

// NpmPackage is the package.json of an installed package.
func NpmPackage(dir, name, version string) File {
	return File{Name: dir + "/package.json", Body: fmt.Sprintf("{\"name\": %q, \"version\": %q}", name, version)}
}

// WheelMetadata is what an installer leaves of a package of Python's.
func WheelMetadata(dir, name, version string) File {
	return File{Name: dir + "/METADATA", Body: "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n\nName: of the text\n"}
}

// Entry is a file of a zip.
type Entry struct{ Name, Body string }

// Jar makes an archive.
func Jar(entries ...Entry) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		w, err := z.Create(e.Name)
		must(err)
		_, err = w.Write([]byte(e.Body))
		must(err)
	}
	must(z.Close())
	return out.Bytes()
}

// MavenJar makes an archive as Maven does.
func MavenJar(group, artifact, version string) []byte {
	return Jar(
		Entry{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n"},
		Entry{"META-INF/maven/" + group + "/" + artifact + "/pom.properties", "#Generated by Maven\nversion=" + version + "\ngroupId=" + group + "\nartifactId=" + artifact + "\n"},
	)
}

// GoBinary makes a file of ELF with nothing in it but what Go's linker says of the build:
// the version of Go, and modules such as "golang.org/x/net v0.5.0". It cannot be run.
func GoBinary(goVersion, main string, deps ...string) []byte {
	text := "path\t" + main + "\nmod\t" + main + "\t(devel)\t\n"
	for _, d := range deps {
		path, version, _ := strings.Cut(d, " ")
		text += "dep\t" + path + "\t" + version + "\th1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	}
	// debug/buildinfo: the mark, the size of pointers, flags for texts that follow inline,
	// to 32 bytes; then both texts with their lengths. The modules stand between two marks
	// of 16 bytes.
	info := append([]byte("\xff Go buildinf:"), 8, 2)
	info = append(info, make([]byte, 32-len(info))...)
	for _, s := range []string{goVersion, strings.Repeat("\x01", 16) + text + strings.Repeat("\x02", 16)} {
		info = append(binary.AppendUvarint(info, uint64(len(s))), s...)
	}
	return elf(".go.buildinfo", info)
}

// CargoBinary makes a file of ELF with a section as cargo-auditable leaves it.
func CargoBinary(packed []byte) []byte { return elf(".dep-v0", packed) }

// elf makes a file of ELF (64 bits, little endian) with one section of data.
func elf(section string, data []byte) []byte {
	const address, head, names = 0x400000, 64 + 56, 1 + 1
	le := binary.LittleEndian
	text := "\x00" + section + "\x00.shstrtab\x00"
	at := uint64(head)
	textAt := at + uint64(len(data))
	tableAt := textAt + uint64(len(text))
	out := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	for _, v := range []any{
		uint16(2), uint16(62), uint32(1), uint64(address), uint64(64), tableAt, uint32(0), // an executable for x86-64
		uint16(64), uint16(56), uint16(1), uint16(64), uint16(3), uint16(2),
		// One segment, to be read and written, with the section in it.
		uint32(1), uint32(6), at, uint64(address), uint64(address), uint64(len(data)), uint64(len(data)), uint64(16),
	} {
		out, _ = binary.Append(out, le, v)
	}
	out = append(append(out, data...), text...)
	sections := []any{
		[64]byte{},
		uint32(1), uint32(1), uint64(3), uint64(address), at, uint64(len(data)), uint32(0), uint32(0), uint64(16), uint64(0),
		uint32(names + len(section)), uint32(3), uint64(0), uint64(0), textAt, uint64(len(text)), uint32(0), uint32(0), uint64(1), uint64(0),
	}
	for _, v := range sections {
		out, _ = binary.Append(out, le, v)
	}
	return out
}
