package registry_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/fsblob"
)

// manyFindings are as long as findings are.
func manyFindings(n int) scan.Report {
	r := reportOf(n)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Title = fmt.Sprintf("package-%d: a buffer overflow in the parser of names", i)
		f.Description = fmt.Sprintf("In package-%d before 1.%d a name that is longer than %d bytes is written behind the end of a buffer, by which who sends it may run code. ", i, i%97, i) +
			"Systems are affected whose configuration has names checked, which is so by default. Upgrading is recommended; there is no way around it but to turn the checks off."
		f.URI = fmt.Sprintf("https://security.example.org/tracker/CVE-2026-%06d", i)
		f.References = []string{f.URI, fmt.Sprintf("https://example.org/commit/%040x", i*7919), fmt.Sprintf("https://lists.example.org/%d", i)}
		f.Scores = []scan.Score{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Base: 9.8}}
		f.FixedIn, f.Published, f.Modified = fmt.Sprintf("1.%d", i%97), databaseDate.Add(-time.Duration(i)*time.Hour), databaseDate
	}
	return r
}

// BenchmarkPagesOfFindings reads 10,000 findings in pages; an operation is one page.
func BenchmarkPagesOfFindings(b *testing.B) {
	index, err := boltindex.Open(filepath.Join(b.TempDir(), "index.db"), boltindex.Options{})
	must(b, err)
	b.Cleanup(func() { must(b, index.Close()) })
	blobs, err := fsblob.Open(b.TempDir())
	must(b, err)
	s := openUnchecked(b, registry.Options{Index: index, Blobs: blobs})
	img := addImage(b, s, create(b, s, "app"), "1", "layer")
	startScan(b, s, img)
	const all = 10_000
	scanAll(b, s, func(registry.ScanJob, scan.Image) (scan.Report, error) { return manyFindings(all), nil })
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			after, seen := "", 0
			for b.Loop() {
				page, err := s.ScanFindings(b.Context(), img.Name, byDigest(img), after, size)
				must(b, err)
				for _, f := range page.Answer.Findings {
					if want := fmt.Sprintf("CVE-2026-%06d", seen); f.Name != want {
						b.Fatalf("finding %d is %s, want %s", seen, f.Name, want)
					}
					seen++
				}
				if after = page.Answer.Next; after == "" {
					if seen != all {
						b.Fatalf("%d findings, want %d", seen, all)
					}
					seen = 0
				}
			}
		})
	}
}
