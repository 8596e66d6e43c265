// Package scantest has what tests of scanning need: records of vulnerabilities in OSV's
// form, and images that have some. The records are written for the tests around facts
// that are public, such as which version of a package has the fix of a CVE; those whose
// ids no database would give (GO-2022-9001, GHSA-0000-0000-npm1) are made up.
//
// For each of Debian, Alpine, Go, npm, PyPI and Maven there is a hit, a version that is
// fixed already, one that was withdrawn, one without a fix and one without a score; for
// the distributions another release has a record of its own.
package scantest

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

//go:embed records
var records embed.FS

// Ecosystems are those of which there are records.
func Ecosystems() []string { return []string{"Alpine", "Debian", "Go", "Maven", "PyPI", "npm"} }

// Records are those of an ecosystem, one in JSON each.
func Records(ecosystem string) ([]string, error) {
	data, err := records.ReadFile("records/" + ecosystem + ".json")
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, r := range list {
		out = append(out, string(r))
	}
	return out, nil
}

// WriteZips writes all records into a folder as OSV's bucket has them:
// "<Ecosystem>/all.zip".
func WriteZips(folder string) error {
	for _, e := range Ecosystems() {
		list, err := Records(e)
		if err == nil {
			err = WriteZip(folder, e, list...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteZip writes records into a folder as those of one ecosystem, in place of what was
// there.
func WriteZip(folder, ecosystem string, records ...string) error {
	data, err := Zip(records...)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, ecosystem, "all.zip")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Zip makes a zip of records.
func Zip(records ...string) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i, r := range records {
		w, err := z.Create(fileOf(i, r))
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(r)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// fileOf is the name of a record's file.
func fileOf(i int, record string) string {
	var r struct{ ID string }
	if json.Unmarshal([]byte(record), &r) == nil && r.ID != "" && !strings.ContainsAny(r.ID, `/\`) {
		return r.ID + ".json"
	}
	return fmt.Sprintf("record-%d.json", i)
}

// Database compiles all records and returns the path of the database.
func Database(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	if err := WriteZips(folder); err != nil {
		t.Fatal(err)
	}
	return Compiled(t, folder)
}

// Compiled compiles what zips a folder has and returns the path of the database.
func Compiled(t testing.TB, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulnerabilities.db")
	if _, err := vulndb.Compile(context.Background(), folder, path, vulndb.CompileOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}
