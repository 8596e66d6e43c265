package transfer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

const secret = "what is outside"

// TestMaliciousArchive: a malicious archive given to import (path escape, digest lie,
// 1 TB claim) is refused, and nothing is written outside, nor read from there.
func TestMaliciousArchive(t *testing.T) {
	m := image(nil, "layer")
	good := layout(m)
	secretDigest := sha256Of([]byte(secret))
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte(secret), 0o600))
	for name, path := range map[string]string{
		"a path that goes up":     packed(t, good, tar.Header{Name: "../../escaped", Typeflag: tar.TypeReg}),
		"one that goes up within": packed(t, good, tar.Header{Name: "blobs/../../escaped", Typeflag: tar.TypeReg}),
		"a path from the root":    packed(t, good, tar.Header{Name: "/etc/escaped", Typeflag: tar.TypeReg}),
		"a file of 1 TB":          packed(t, good, tar.Header{Name: "blobs/sha256/" + secretDigest.Encoded(), Size: 1 << 40, Typeflag: tar.TypeReg}),
		"no archive":              outside,
		"an archive that is compressed": func() string {
			p := packed(t, good)
			must(t, os.WriteFile(p, []byte("\x1f\x8b\x08 and so on"), 0o600))
			return p
		}(),
	} {
		if in, err := transfer.OpenLayouts(path, "x"); !errors.Is(err, peer.ErrWrong) {
			t.Errorf("%s: %v, %v", name, in, err)
		}
	}
	target := at(t, peertest.Distribution(t))
	put(t, target, "x", "v0", newWorld().plain)
	lying := image(nil, "layer", "another")
	for name, path := range map[string]string{
		"a layer that is another":    packed(t, with(good, sha256Of(m.blobs[1]).Encoded(), "lay3r")),
		"a layer that is shorter":    packed(t, with(good, sha256Of(m.blobs[1]).Encoded(), "lay")),
		"a layer that is longer":     packed(t, with(good, sha256Of(m.blobs[1]).Encoded(), "layer and more")),
		"a layer that is not there":  packed(t, with(good, sha256Of(m.blobs[1]).Encoded(), "")),
		"a manifest that is another": packed(t, with(good, m.digest().Encoded(), string(lying.body))),
		"a link for a layer": packed(t, with(good, sha256Of(m.blobs[1]).Encoded(), ""),
			tar.Header{Name: "blobs/sha256/" + sha256Of(m.blobs[1]).Encoded(), Linkname: outside, Typeflag: tar.TypeSymlink}),
		"a manifest that claims 1 TB":     packed(t, claiming(m, 1<<40)),
		"a manifest that claims less":     packed(t, claiming(m, 1)),
		"a manifest of 5 MiB":             packed(t, layout(made{mediaType: m.mediaType, body: append(bytes.Clone(m.body), bytes.Repeat([]byte(" "), 5<<20)...)})),
		"an index that says another size": packed(t, with(good, "index.json", strings.Replace(good["index.json"], `"size":`, `"size":1`, 1))),
	} {
		in, err := transfer.OpenLayouts(path, "x")
		must(t, err)
		into := t.TempDir()
		out, err := transfer.CreateLayouts(filepath.Join(into, "a", "b"), "x")
		must(t, err)
		for _, to := range []transfer.Target{target, out} {
			r := run(t, transfer.Options{From: in, Listed: in, To: to})
			if len(r.Failed) != 1 || r.Copied != 0 || r.Bytes > 100 {
				t.Errorf("%s: %s, %+v", name, counts(r), r.Failed)
			}
			if _, err := to.Head(t.Context(), "x", "v1"); !errors.Is(err, peer.ErrNotFound) {
				t.Errorf("%s: it has its tag: %v", name, err)
			}
			if has, err := to.HasBlob(t.Context(), "x", secretDigest); has || err != nil {
				t.Errorf("%s: what is outside was read: %v", name, err)
			}
		}
		must(t, errors.Join(in.Close(), out.Close()))
		if entries, err := os.ReadDir(into); len(entries) != 1 || err != nil {
			t.Errorf("%s: written: %v, %v", name, entries, err)
		}
		must(t, filepath.WalkDir(into, func(path string, d os.DirEntry, err error) error {
			if strings.Contains(path, ".part") {
				t.Errorf("%s: left half: %s", name, path)
			}
			return err
		}))
	}
}

// with is a layout with another file, or without it if that is "".
func with(all map[string]string, name, content string) map[string]string {
	changed := map[string]string{}
	for n, c := range all {
		if strings.HasSuffix(n, name) {
			c = content
		}
		if c != "" {
			changed[n] = c
		}
	}
	return changed
}

// claiming is a layout whose manifest says another size of its layer.
func claiming(m made, size int) map[string]string {
	layer := described(layerType, m.blobs[1])
	layer["size"] = size
	m.body = encode(object{"schemaVersion": 2, "mediaType": m.mediaType, "config": described(configType, m.blobs[0]), "layers": []object{layer}})
	return layout(m)
}

// What leads out of a folder is not followed: neither in a layout nor in a data
// folder, whose own files may be links within it.
func TestLinksOutOfFolders(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "layer"), []byte("layer"), 0o600))
	m := image(nil, "layer")
	dir := files(t, layout(m))
	blob := filepath.Join(dir, "blobs", "sha256", sha256Of([]byte("layer")).Encoded())
	for name, to := range map[string]string{"absolute": filepath.Join(outside, "layer"), "relative": "../../../" + filepath.Base(outside) + "/layer", "to a pipe": "/dev/stdin"} {
		must(t, os.Remove(blob))
		must(t, os.Symlink(to, blob))
		in, err := transfer.OpenLayouts(dir, "x")
		must(t, err)
		if r := run(t, transfer.Options{From: in, Listed: in, To: intoFolder(t, "x")}); len(r.Failed) != 1 || r.Copied != 0 {
			t.Errorf("a link that is %s: %s", name, counts(r))
		}
		must(t, in.Close())
	}
	must(t, os.Remove(blob))
	must(t, os.WriteFile(filepath.Join(dir, "blobs", "kept"), []byte("layer"), 0o600))
	must(t, os.Symlink("../kept", blob))
	in, err := transfer.OpenLayouts(dir, "x")
	must(t, err)
	defer in.Close()
	good(t, run(t, transfer.Options{From: in, Listed: in, To: intoFolder(t, "x")}))
	// An export does not follow what leads out of its folder either.
	into := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(into, "blobs")))
	out, err := transfer.CreateLayouts(into, "x")
	must(t, err)
	if r := run(t, transfer.Options{From: in, Listed: in, To: out}); len(r.Failed) != 1 {
		t.Errorf("an export through a link: %s", counts(r))
	}
	must(t, out.Close())
	if entries, err := os.ReadDir(outside); len(entries) != 1 || err != nil {
		t.Errorf("written outside: %v, %v", entries, err)
	}
}

// Names and tags of a data folder that are none make no paths.
func TestNamesOfData(t *testing.T) {
	dir := files(t, map[string]string{"docker/registry/v2/repositories/a/_manifests/tags/v1/current/link": "sha256:../../../../../etc/passwd", "secret/current/link": sha256Of([]byte(secret)).String()})
	in, err := transfer.OpenData(dir)
	must(t, err)
	defer in.Close()
	for _, ref := range []string{"v1", "..", "../../../../../../../secret", "/secret", "a/../..", ".", "", "v1/"} {
		for _, repo := range []string{"a", "..", "a/..", "/a", "a/../../..", "", ".", "a//b"} {
			if m, err := in.Manifest(t.Context(), repo, ref); err == nil {
				t.Errorf("%q of %q is %s", ref, repo, m.Digest)
			}
			if _, _, err := in.OpenBlob(t.Context(), repo, sha256Of([]byte(secret)), 0); err == nil {
				t.Errorf("a blob of %q is opened", repo)
			}
		}
	}
	if r := run(t, transfer.Options{From: in, Listed: in, To: intoFolder(t, "a")}); len(r.Failed) != 1 {
		t.Errorf("%s", counts(r))
	}
}
