package vulndb_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

var fullSize = flag.Int("records", 0, "how many records BenchmarkFullSize generates, such as 500000")

// family is how the records of an ecosystem are generated. Shares, and how many releases,
// versions and bytes a record has, are near those of the ecosystem's zip at OSV.
type family struct {
	name     string
	share    int      // of a hundred records
	releases []string // nil for a language
	packages int      // how many there are for a hundred thousand records in all
	versions int      // listed by a record of a release at most
	details  int      // bytes at most
	id       string
}

func families() []family {
	return []family{
		{"npm", 42, nil, 30_000, 3, 1500, "MAL-2025-%d"}, // most of them are packages that were malicious themselves
		{"Ubuntu", 17, []string{"Ubuntu:14.04:LTS", "Ubuntu:16.04:LTS", "Ubuntu:18.04:LTS", "Ubuntu:20.04:LTS", "Ubuntu:22.04:LTS", "Ubuntu:24.04:LTS"}, 3000, 40, 700, "UBUNTU-CVE-2024-%d"},
		{"Debian", 16, []string{"Debian:11", "Debian:12", "Debian:13", "Debian:14"}, 3000, 30, 500, "DEBIAN-CVE-2024-%d"},
		{"Wolfi", 6, nil, 2000, 0, 200, "CGA-%d"},
		{"PyPI", 6, nil, 5000, 120, 2500, "PYSEC-2024-%d"},
		{"Maven", 4, nil, 3000, 100, 3000, "GHSA-mvn-%d"},
		{"Alpine", 3, []string{"Alpine:v3.17", "Alpine:v3.18", "Alpine:v3.19", "Alpine:v3.20", "Alpine:v3.21", "Alpine:v3.22"}, 800, 25, 400, "ALPINE-CVE-2024-%d"},
		{"Go", 3, nil, 2000, 0, 2500, "GO-2024-%d"},
		{"crates.io", 2, nil, 1000, 0, 2000, "RUSTSEC-2024-%d"},
		{"RubyGems", 1, nil, 500, 80, 2000, "GHSA-gem-%d"},
	}
}

// generate writes the zips of so many records.
func generate(t testing.TB, folder string, records int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(records), 7))
	for _, fam := range families() {
		path := filepath.Join(folder, fam.name, "all.zip")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		z := zip.NewWriter(f)
		for i := range max(records*fam.share/100, 1) {
			id := fmt.Sprintf(fam.id, 10_000+i)
			w, err := z.Create(id + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(fam.record(random, id, i, records)); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// words make texts that pack about as well as those of advisories do.
var words = strings.Fields(`a an the of in to and when which that is was has may allows attacker remote local crafted input request
	header buffer overflow memory heap stack read write out-of-bounds null pointer dereference denial service arbitrary code execution
	injection traversal path file parser decoder function before after version fixed vulnerability discovered issue library server client`)

func text(random *rand.Rand, most int) string {
	var b strings.Builder
	for size := random.IntN(most); b.Len() < size; {
		b.WriteString(words[random.IntN(len(words))])
		if random.IntN(12) == 0 {
			fmt.Fprintf(&b, " %x", random.Uint32())
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// nameOf is that of a package: a few have most of the records, as kernels and browsers do.
func (fam family) nameOf(random *rand.Rand, records int) string {
	n := max(fam.packages*records/100_000, 10)
	if fam.name != "npm" && random.IntN(3) == 0 {
		n = 10
	}
	return fmt.Sprintf("package-%d", random.IntN(n))
}

func (fam family) version(n int) string {
	switch fam.name {
	case "Debian", "Ubuntu":
		return fmt.Sprintf("%d.%d.%d-%d", 1+n/400, n/20%20, n%20, 1+n%3)
	case "Alpine", "Wolfi":
		return fmt.Sprintf("%d.%d.%d-r%d", 1+n/400, n/20%20, n%20, n%4)
	}
	return fmt.Sprintf("%d.%d.%d", 1+n/400, n/20%20, n%20)
}

func (fam family) record(random *rand.Rand, id string, i, records int) []byte {
	cve := fmt.Sprintf("CVE-2024-%d", 10_000+i)
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.IntN(24*600)) * time.Hour)
	r := map[string]any{
		"schema_version": "1.7.3", "id": id, "modified": at.Add(time.Hour), "published": at, "summary": text(random, 120), "details": text(random, fam.details),
		"upstream": []string{cve}, "severity": []map[string]string{{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}},
		"references": []map[string]string{{"type": "ADVISORY", "url": "https://security.example/" + id}, {"type": "WEB", "url": "https://nvd.example/" + cve}},
		"credits":    []map[string]string{{"name": text(random, 40)}},
	}
	if random.IntN(100) == 0 {
		r["withdrawn"] = at.Add(48 * time.Hour)
	}
	name, releases := fam.nameOf(random, records), fam.releases
	if releases == nil {
		releases = []string{fam.name}
	}
	var affected []map[string]any
	for _, release := range releases {
		affected = append(affected, fam.affected(random, release, name))
	}
	r["affected"] = affected
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return b
}

func (fam family) affected(random *rand.Rand, release, name string) map[string]any {
	fixed := 1 + random.IntN(2000)
	events := []map[string]string{{"introduced": "0"}}
	if random.IntN(4) > 0 {
		events = append(events, map[string]string{"fixed": fam.version(fixed)})
	}
	var versions []string
	if fam.versions > 0 {
		for n := max(0, fixed-random.IntN(fam.versions)); n < fixed; n++ {
			versions = append(versions, fam.version(n))
		}
	}
	a := map[string]any{
		"package": map[string]string{"ecosystem": release, "name": name, "purl": "pkg:generic/" + name},
		"ranges":  []map[string]any{{"type": "ECOSYSTEM", "events": events}}, "versions": versions,
		"ecosystem_specific": map[string]any{"urgency": "not yet assigned"},
	}
	if fam.name == "Ubuntu" { // which lists what it builds of each source
		var binaries []map[string]string
		for n := range random.IntN(12) {
			binaries = append(binaries, map[string]string{"binary_name": fmt.Sprint(name, "-", n), "binary_version": fam.version(fixed)})
		}
		a["ecosystem_specific"] = map[string]any{"binaries": binaries}
	}
	return a
}

// likely is an inventory of so many packages, of a distribution and two languages.
func likely(n int) scan.Inventory {
	var inv scan.Inventory
	for i := range n {
		p := scan.Package{Ecosystem: "Debian:12", Name: fmt.Sprintf("package-%d", i), Version: fmt.Sprintf("4.%d.1-1", i%20), System: true}
		switch {
		case i%4 == 1:
			p = scan.Package{Ecosystem: "npm", Name: fmt.Sprintf("package-%d", i), Version: fmt.Sprintf("4.%d.1", i%20), Path: fmt.Sprint("node_modules/", i)}
		case i%4 == 3:
			p = scan.Package{Ecosystem: "Go", Name: fmt.Sprintf("package-%d", i), Version: fmt.Sprintf("v4.%d.1", i%20), Path: "usr/bin/app"}
		}
		inv.Packages = append(inv.Packages, p)
	}
	return inv
}

// BenchmarkFullSize compiles a generated database once and holds an inventory of 400
// packages against it:
//
//	go test ./registry/scan/vulndb -run '^$' -bench FullSize -records 500000 -timeout 1h
func BenchmarkFullSize(b *testing.B) {
	if *fullSize == 0 {
		b.Skip("-records says how many")
	}
	folder, to := b.TempDir(), filepath.Join(b.TempDir(), "vulnerabilities.db")
	generate(b, folder, *fullSize)
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			most, stop := watchHeap()
			info, err := vulndb.Compile(context.Background(), folder, to, vulndb.CompileOptions{})
			stop()
			if err != nil {
				b.Fatal(err)
			}
			zips, err := vulndb.Zips(folder)
			if err != nil {
				b.Fatal(err)
			}
			packed := int64(0)
			for _, z := range zips {
				packed += z.Size
			}
			stat, err := os.Stat(to)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Records), "records")
			b.ReportMetric(float64(packed)/(1<<20), "zip-MiB")
			b.ReportMetric(float64(stat.Size())/(1<<20), "file-MiB")
			b.ReportMetric(float64(most.Load())/(1<<20), "heap-MiB")
		}
	})
	if _, err := os.Stat(to); err != nil { // compile was not asked for
		to = compiled(b, folder)
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := verify(b, to); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("match", func(b *testing.B) {
		inv := likely(400)
		for b.Loop() {
			f, err := os.Open(to)
			if err != nil {
				b.Fatal(err)
			}
			db, err := vulndb.Open(f)
			if err != nil {
				b.Fatal(err)
			}
			findings, problems, err := db.Match(context.Background(), inv)
			if err != nil || len(problems) > 0 {
				b.Fatal(err, problems)
			}
			b.ReportMetric(float64(len(findings)), "findings")
			_ = db.Close()
		}
	})
}

// watchHeap has the most that the heap had until stop.
func watchHeap() (most *atomic.Uint64, stop func()) {
	most = new(atomic.Uint64)
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return most, func() { close(done); <-gone }
}

// A generated database of a small size is whole, and what is in it is found.
func TestGenerated(t *testing.T) {
	folder := t.TempDir()
	generate(t, folder, 2000)
	path := compiled(t, folder)
	if err := verify(t, path); err != nil {
		t.Error(err)
	}
	db := open(t, path)
	if info := db.Info(); info.Unreadable != 0 || info.Records < 1900 || len(info.Ecosystems) < 10 {
		t.Errorf("%+v", info)
	}
	findings, problems, err := db.Match(t.Context(), likely(100))
	if err != nil || len(problems) > 0 || len(findings) == 0 {
		t.Errorf("%d findings, %v, %v", len(findings), problems, err)
	}
}
