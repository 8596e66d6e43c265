package inspect

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"path"
	"strings"
)

// A library in Python that Debian packaged is told of twice: in dpkg's list, and by its own
// METADATA. The distribution fixes it without a new version number, so what advisories of
// PyPI say of that number is wrong; it is the distribution's to tell. Such files are known
// by the checksums that a package manager keeps of what it unpacked: one that somebody has
// put in the place of the distribution's is looked at like any other, and so is all of a
// package without checksums. Programs are looked at in any case, since what was linked into
// them is in no distribution's record of their source.

// owned are checksums of files that the distribution's packages brought, by name.
type owned map[string]sum

// sum is a checksum: one of dpkg's is of MD5, one of apk's of SHA-1.
type sum struct {
	hash  func() hash.Hash
	value string // its bytes
}

// wantsOwned wants dpkg's checksums, a file for each package, beside what wantsSystem does.
func wantsOwned(name string) bool {
	if !strings.HasSuffix(name, ".md5sums") {
		return false
	}
	dir := parent(name)
	return base(dir) == "status.d" || base(dir) == "info" && base(parent(dir)) == "dpkg"
}

// ownedFiles reads the checksums of what readers of languages may read. A list that cannot
// be read owns nothing, which hides nothing.
func (f *flat) ownedFiles(files []kfile) owned {
	all := owned{}
	for _, k := range files {
		var read func(io.Reader, owned) error
		switch {
		case wantsOwned(k.name):
			read = f.readMD5Sums
		case base(k.name) == "installed" && base(parent(k.name)) == "db":
			read = f.readApkSums
		default:
			continue
		}
		some := owned{}
		if read(f.spool.section(k.at, k.n), some) == nil {
			for name, s := range some {
				all[name] = s
			}
		}
	}
	return all
}

// readMD5Sums reads lines of a checksum, two spaces and a name (deb-md5sums(5)).
func (f *flat) readMD5Sums(r io.Reader, into owned) error {
	return lines(r, func(line string) error {
		text, name, ok := strings.Cut(line, "  ")
		value, err := hex.DecodeString(text)
		if name = clean(name); ok && err == nil && len(value) == md5.Size && f.wants.read(name) {
			into[name] = sum{md5.New, string(value)}
		}
		return nil
	})
}

// readApkSums reads of each file "F:" its folder, "R:" its name and "Z:Q1" the checksum in
// base64 (apk-tools, "installed database").
func (f *flat) readApkSums(r io.Reader, into owned) error {
	var dir, name string
	return lines(r, func(line string) error {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "F":
			dir, name = value, ""
		case "R":
			name = clean(path.Join(dir, value))
		case "Z":
			text, ok := strings.CutPrefix(value, "Q1")
			if b, err := base64.StdEncoding.DecodeString(text); ok && err == nil && len(b) == sha1.Size && f.wants.read(name) {
				into[name] = sum{sha1.New, string(b)}
			}
		}
		return nil
	})
}

// has says whether a file is as the distribution brought it.
func (o owned) has(f *flat, k kfile) bool {
	s, ok := o[k.name]
	if !ok {
		return false
	}
	h := s.hash()
	if _, err := io.Copy(h, f.spool.section(k.at, k.n)); err != nil {
		return false
	}
	return string(h.Sum(nil)) == s.value
}
