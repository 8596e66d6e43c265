package inspect_test

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// TestWhatTheDistributionBrought: a library that the distribution's package manager
// unpacked is its to tell of, and one that somebody has changed is not.
func TestWhatTheDistributionBrought(t *testing.T) {
	const (
		python, node = "usr/lib/python3/dist-packages/idna-3.3.egg-info/PKG-INFO", "usr/share/nodejs/minimist/package.json"
		idna         = "Metadata-Version: 1.2\nName: idna\nVersion: 3.3\n\n"
		minimist     = `{"name": "minimist", "version": "1.2.7"}`
	)
	md5sums := func(pairs ...string) (text string) {
		for i := 0; i < len(pairs); i += 2 {
			text += fmt.Sprintf("%x  %s\n", md5.Sum([]byte(pairs[i+1])), pairs[i])
		}
		return text
	}
	installed := func(name, body string) string {
		sum := sha1.Sum([]byte(body))
		return fmt.Sprintf("P:x\nV:1-r0\nF:%s\nR:README\nR:%s\na:0:0:644\nZ:Q1%s\n\n", path.Dir(name), path.Base(name), base64.StdEncoding.EncodeToString(sum[:]))
	}
	debian := fs{
		{Name: "etc/os-release", Body: "ID=debian\nVERSION_ID=12\n"},
		{Name: "var/lib/dpkg/status", Body: "Package: python3-idna\nStatus: install ok installed\nVersion: 3.3-1\n"},
	}
	files := fs{{Name: python, Body: idna}, {Name: node, Body: minimist}}
	list := func(name, body string) fs { return fs{{Name: name, Body: body}} }
	for name, tt := range map[string]struct {
		image scantest.Image
		want  []string
	}{
		"no checksums": {layers(debian, files), []string{python, node}},
		"both":         {layers(debian, files, list("var/lib/dpkg/info/x.md5sums", md5sums(python, idna, node, minimist))), nil},
		"one of two":   {layers(debian, files, list("var/lib/dpkg/info/x:amd64.md5sums", md5sums(node, minimist))), []string{python}},
		"changed":      {layers(debian, list("var/lib/dpkg/info/x.md5sums", md5sums(python, idna, node, minimist+"\n")), files), []string{node}},
		"put over it": {layers(debian, list("var/lib/dpkg/info/x.md5sums", md5sums(python, idna, node, minimist)), files,
			list(node, `{"name": "minimist", "version": "1.2.8"}`)), []string{node}},
		"bad lines":    {layers(debian, files, list("var/lib/dpkg/info/x.md5sums", "zz  "+python+"\n\n"+md5sums(node, minimist)+"1\n")), []string{python}},
		"another list": {layers(debian, files, list("opt/info/x.md5sums", md5sums(python, idna, node, minimist))), []string{python, node}},
		"distroless": {layers(debian[:1], files, fs{{Name: "var/lib/dpkg/status.d/x", Body: "Package: x\nVersion: 1\n"},
			{Name: "var/lib/dpkg/status.d/x.md5sums", Body: md5sums(python, idna)}}), []string{node}},
		"apk": {layers(fs{{Name: "etc/os-release", Body: "ID=alpine\nVERSION_ID=3.18.4\n"}, {Name: "lib/apk/db/installed", Body: installed(python, idna)}}, files), []string{node}},
		"programs": {layers(debian, fs{{Name: "usr/bin/p", Body: string(scantest.GoBinary("go1.20", "m"))}},
			list("var/lib/dpkg/info/x.md5sums", md5sums("usr/bin/p", string(scantest.GoBinary("go1.20", "m"))))), []string{"usr/bin/p"}},
	} {
		t.Run(name, func(t *testing.T) {
			inv, problems, err := inspect.Inventory(t, tt.image.Scan(), inspect.Limits{})
			if err != nil || len(problems) > 0 {
				t.Fatal(err, problems)
			}
			var got []string
			for _, p := range inv.Packages {
				if !p.System && !slices.Contains(got, p.Path) {
					got = append(got, p.Path)
				}
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// FuzzSums: no list takes a file out of sight whose checksum it does not have.
func FuzzSums(f *testing.F) {
	const name, body = "node_modules/x/package.json", `{"name": "x", "version": "1"}`
	sum5, sum1 := fmt.Sprintf("%x", md5.Sum([]byte(body))), sha1.Sum([]byte(body))
	text1 := base64.StdEncoding.EncodeToString(sum1[:])
	f.Add(sum5+"  "+name+"\n", "F:node_modules/x\nR:package.json\nZ:Q1"+text1+"\n")
	f.Add("00  "+name, "R:package.json\nF:node_modules/x\nZ:Q1\nZ:")
	f.Add(sum5+"  ../"+name+"\n\x00", "F:/\nR:\nZ:Q1"+text1)
	f.Fuzz(func(t *testing.T, dpkg, apk string) {
		img := layers(fs{{Name: "var/lib/dpkg/info/x.md5sums", Body: dpkg}, {Name: "lib/apk/db/installed", Body: apk}, {Name: name, Body: body}})
		inv, _, err := inspect.Inventory(t, img.Scan(), inspect.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Contains(strings.ToLower(dpkg), sum5) || strings.Contains(apk, text1)
		if len(inv.Packages) != 1 && !told {
			t.Errorf("%+v", inv.Packages)
		}
	})
}
