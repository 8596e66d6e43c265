package vulndb

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-78150930/berth/registry/scan"
)

// seeds are the records of package scantest, which imports this one.
func seeds(f *testing.F) (list []string) {
	paths, err := filepath.Glob("../scantest/records/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var records []json.RawMessage
		if err := json.Unmarshal(data, &records); err != nil {
			f.Fatal(err)
		}
		for _, r := range records {
			list = append(list, string(r))
		}
	}
	return list
}

// FuzzRecord reads whatever a record may be. What is kept of one is small, of valid text,
// comes back from its form in the database, and can be held against a package.
func FuzzRecord(f *testing.F) {
	for _, r := range seeds(f) {
		f.Add([]byte(r), "1.0")
	}
	f.Add([]byte(`{"id":"X","affected":[{"package":{"ecosystem":"npm","name":"p"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"limit":"*"}]}]}]}`), "x")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		r, err := parseRecord(data)
		if err != nil {
			return
		}
		kept := distil(r)
		if kept.ID == "" || len(kept.ID) > maxID || len(kept.Title) > maxTitle || len(kept.Description) > maxDescription || len(kept.References) > maxReferences ||
			!utf8.ValidString(kept.Title+kept.Description+strings.Join(kept.References, "")) {
			t.Errorf("%+v", kept)
		}
		if got := again(t, kept); !reflect.DeepEqual(got, again(t, got)) {
			t.Errorf("%+v becomes %+v", got, again(t, got))
		}
		for i := range r.Affected {
			a, err := affectedOf(&r.Affected[i])
			if err != nil {
				continue
			}
			a = again(t, a)
			ecosystem := r.Affected[i].Package.Ecosystem
			v, unparsed := parseVersion(ecosystem, version)
			if out := a.judge(version, v, unparsed); out.affected {
				h := hit{record: kept, entry: &a, rank: rankOf(ecosystem, kept.ID), severity: a.Word}
				checkFindings(t, findingsOf(ecosystem, []hit{h}))
			}
		}
	})
}

// again is a value as it comes out of the database.
func again[T any](t *testing.T, v T) (out T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	return out
}

func checkFindings(t *testing.T, list []scan.Finding) {
	t.Helper()
	if len(list) == 0 {
		t.Error("a hit is no finding")
	}
	for _, f := range list {
		if f.Name == "" || f.ID == "" || !slices.Contains(scan.Severities(), f.Severity) || f.URI == "" || slices.Contains(f.Related, f.Name) {
			t.Errorf("%+v", f)
		}
	}
}

// FuzzJudge holds versions against ranges of any ecosystem. Nothing is found without the
// range's having been understood, and what is beyond a fix is not affected.
func FuzzJudge(f *testing.F) {
	for _, ecosystem := range []string{"Debian:12", "Alpine:v3.20", "Go", "npm", "PyPI", "Maven", "RubyGems", "crates.io", "NuGet", "Packagist", "CRAN", "Hackage", "Rocky Linux:9", "Pub", "?"} {
		f.Add(ecosystem, "1.2.3", "1.0", "1.2.4")
		f.Add(ecosystem, "1:1.2~rc1-1+b1", "0", "2:0")
		f.Add(ecosystem, "1.2_p3-r1", "1.2_alpha", "1.2_git20240101-r0")
		f.Add(ecosystem, "v1.2.3-0.20200101000000-abcdef+incompatible", "1.2.3-pre.0", "")
		f.Add(ecosystem, "1!1.0.post1.dev2+local.7", "1.0a1", "1.0rc1")
	}
	f.Fuzz(func(t *testing.T, ecosystem, text, introduced, fixed string) {
		v, unparsed := parseVersion(ecosystem, text)
		a := affected{Ranges: [][]event{{{Introduced: introduced}, {Fixed: fixed}}}}
		out := a.judge(text, v, unparsed)
		if out.affected && out.failed != nil {
			t.Errorf("affected, and not: %+v", out)
		}
		from, err1 := parseVersion(ecosystem, introduced)
		to, err2 := parseVersion(ecosystem, fixed)
		if introduced == "0" {
			err1 = nil
		}
		understood := unparsed == nil && err1 == nil && err2 == nil
		if !understood {
			if out.failed == nil && !out.affected {
				t.Errorf("%s: %q from %q to %q is not affected, though it cannot be compared", ecosystem, text, introduced, fixed)
			}
			return
		}
		above, err := v.compare(to)
		if err == nil && above >= 0 && (introduced == "0" || !before(to, from)) && out.affected && introduced != fixed {
			t.Errorf("%s: %q from %q to %q is affected", ecosystem, text, introduced, fixed)
		}
	})
}

// FuzzFile changes bytes of a database and reads it.
func FuzzFile(f *testing.F) {
	whole := smallDatabase(f)
	f.Add(uint32(4096), []byte("x"), uint32(5000), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(len(whole)-sealSize), []byte{}, uint32(0), []byte{})
	f.Add(uint32(16), []byte{0}, uint32(4096+16), []byte{0})
	f.Fuzz(func(t *testing.T, at uint32, with []byte, at2 uint32, with2 []byte) {
		content := slices.Clone(whole)
		copy(content[int(at)%len(content):], with)
		copy(content[int(at2)%len(content):], with2)
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(in)
		if err != nil {
			return
		}
		defer db.Close()
		_, _, _ = db.Match(t.Context(), scan.Inventory{Packages: []scan.Package{{Ecosystem: "npm", Name: "p", Version: "1"}}})
	})
}

// smallDatabase is a database of one record.
func smallDatabase(f *testing.F) []byte {
	return databaseOf(f, batchSize, func(c *compiler) error {
		return c.put(record{ID: "GHSA-1"}, []packageEntry{{"npm", "p", affected{Versions: []string{"1"}}}})
	})
}

// databaseOf makes a database that is written whenever so many bytes are held.
func databaseOf(t testing.TB, batch int, fill func(*compiler) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows")
	c, err := newCompiler(path, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	c.batch = batch
	rows, err := c.close(errors.Join(fill(c), c.flush()))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := putSeal(file, rows, c.described()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// What is written in several batches, blocks and rows is all there.
func TestManyBatches(t *testing.T) {
	const records, packages = 3000, 40
	var versions []string
	for i := range 100 {
		versions = append(versions, fmt.Sprintf("1.%d.0", i))
	}
	whole := databaseOf(t, 100_000, func(c *compiler) error {
		for i := range records {
			list := []packageEntry{{"npm", fmt.Sprint("p", i%packages), affected{Versions: versions}}, {"npm", "all", affected{Versions: versions}}}
			if err := c.put(record{ID: fmt.Sprint("GHSA-", i), Description: strings.Repeat(fmt.Sprint(i), 100)}, list); err != nil {
				return err
			}
		}
		return nil
	})
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func(name string) int {
		findings, _, err := db.Match(t.Context(), scan.Inventory{Packages: []scan.Package{{Ecosystem: "npm", Name: name, Version: "1.50.0"}}})
		if err != nil {
			t.Fatal(err)
		}
		return len(findings)
	}
	if n := count("all"); n != records {
		t.Errorf("of all there are %d", n)
	}
	for i := range packages {
		if n := count(fmt.Sprint("p", i)); n != records/packages {
			t.Errorf("of p%d there are %d", i, n)
		}
	}
}
