package vulndb_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/scantest"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// compile compiles a folder and returns what the database says of itself.
func compile(t testing.TB, folder string, o vulndb.CompileOptions) (vulndb.Info, error) {
	t.Helper()
	home := t.TempDir()
	info, err := vulndb.Compile(t.Context(), folder, filepath.Join(home, "db"), o)
	left, globErr := filepath.Glob(filepath.Join(home, ".*"))
	if globErr != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, globErr)
	}
	if _, statErr := os.Stat(filepath.Join(home, "db")); (statErr == nil) != (err == nil) {
		t.Errorf("there is a database: %v, and the error is %v", statErr == nil, err)
	}
	return info, err
}

func put(t testing.TB, content []byte, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zipOf(t testing.TB, records ...string) []byte {
	t.Helper()
	b, err := scantest.Zip(records...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFoldersOfZips(t *testing.T) {
	one := func(id, ecosystem string) []byte {
		return zipOf(t, recordOf(id, ecosystem, "", ranged("introduced 0")))
	}
	folder := t.TempDir()
	put(t, one("D-1", "Debian:12"), folder, "Debian", "all.zip")
	put(t, one("D-1", "Debian:12"), folder, "Debian:12", "all.zip") // as OSV has it too
	put(t, one("D-2", "Debian:12"), folder, "Debian.zip")           // the folder goes before
	put(t, one("A-1", "Alpine:v3.20"), folder, "Alpine:v3.20", "all.zip")
	put(t, one("N-1", "npm"), folder, "npm.zip")
	put(t, one("X-1", "npm"), folder, "all.zip")
	put(t, one("X-2", "npm"), folder, ".hidden", "all.zip")
	put(t, []byte("x"), folder, "npm", "modified_id.csv")
	put(t, []byte("x"), folder, "README")
	if err := os.MkdirAll(filepath.Join(folder, "Go", "all.zip"), 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := compile(t, folder, vulndb.CompileOptions{})
	want := []vulndb.Ecosystem{{Name: "Alpine:v3.20", Records: 1}, {Name: "Debian:12", Records: 1}, {Name: "npm", Records: 1}}
	if diff := cmp.Diff(want, info.Ecosystems); err != nil || diff != "" || info.Records != 3 {
		t.Errorf("%v, %d records (-want +got):\n%s", err, info.Records, diff)
	}
	info, err = compile(t, folder, vulndb.CompileOptions{Ecosystems: []string{"npm", "PyPI"}})
	if diff := cmp.Diff(want[2:], info.Ecosystems); err != nil || diff != "" {
		t.Errorf("of some: %v (-want +got):\n%s", err, diff)
	}
	if _, err := compile(t, folder, vulndb.CompileOptions{Ecosystems: []string{}}); !errors.Is(err, vulndb.ErrNoZips) {
		t.Errorf("of none: %v", err)
	}
	if _, err := compile(t, filepath.Join(folder, "absent"), vulndb.CompileOptions{}); err == nil {
		t.Error("an absent folder is compiled")
	}
}

// A record is taken from the zip of its ecosystem alone, so it stands there once.
func TestRecordOfSeveralEcosystems(t *testing.T) {
	both := `{"id":"GHSA-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1.0"]},` +
		`{"package":{"ecosystem":"PyPI","name":"p"},"versions":["1.0"]},{"package":{"ecosystem":"npmx","name":"p"},"versions":["1.0"]}]}`
	folder := t.TempDir()
	put(t, zipOf(t, both), folder, "npm.zip")
	put(t, zipOf(t, both), folder, "PyPI.zip")
	db := open(t, compiled(t, folder))
	for _, ecosystem := range []string{"npm", "PyPI"} {
		if findings, problems := match(t, db, scan.Package{Ecosystem: ecosystem, Name: "p", Version: "1.0"}); short(findings) != "GHSA-1 UNDEFINED" || len(problems) > 0 {
			t.Errorf("%s: %q, %v", ecosystem, short(findings), problems)
		}
	}
	if _, problems := match(t, db, scan.Package{Ecosystem: "npmx", Name: "p", Version: "1.0"}); len(problems) != 1 {
		t.Errorf("of an ecosystem without a zip: %v", problems)
	}
}

// A zip whose list of files would fill the memory is not read.
func TestLongList(t *testing.T) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := range 1200 {
		if _, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i, ".json"), Comment: strings.Repeat("x", 60_000)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	put(t, out.Bytes(), folder, "npm.zip")
	if _, err := compile(t, folder, vulndb.CompileOptions{}); err == nil || !strings.Contains(err.Error(), "list of files is too long") {
		t.Errorf("%v", err)
	}
}

// What cannot be read is counted, told of and leaves the others alone.
func TestUnreadableRecords(t *testing.T) {
	good := recordOf("GHSA-1", "npm", "", ranged("introduced 0"))
	tests := map[string]struct{ record, reason string }{
		"no JSON":            {`{"id":`, "it is no JSON from byte 6 on"},
		"nothing":            {``, "it is no JSON from byte 0 on"},
		"a list":             {`[]`, `its field "" is a array`},
		"no id":              {`{"modified":"2026-01-01T00:00:00Z"}`, "it has no id that can be used"},
		"an id with a space": {recordOf("GHSA 1", "npm", "", ranged("introduced 0")), "it has no id that can be used"},
		"a long id":          {recordOf(strings.Repeat("X", 129), "npm", "", ranged("introduced 0")), "it has no id that can be used"},
		"another type":       {`{"id":"X-1","affected":"everything"}`, `its field "affected" is a string`},
		"no date":            {`{"id":"X-1","modified":"yesterday"}`, "it has a value of a wrong form"},
		"very deep":          {`{"id":"X-1","credits":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "it is no JSON from byte 10022 on"},
		"too many objects":   {`{"id":"X-1","affected":[` + strings.Repeat("{},", 300_000) + `{}]}`, "it has more than 300000 objects"},
		"no versions":        {recordOf("X-1", "npm", "", ""), "it says of no version whether it is affected"},
		"commits alone":      {recordOf("X-1", "npm", "", `,"ranges":[`+rangeOf("GIT", "introduced 0")+`]`), "it says of no version whether it is affected"},
		"no events":          {recordOf("X-1", "npm", "", `,"ranges":[{"type":"SEMVER","events":[]}]`), "it says of no version whether it is affected"},
		"an empty event":     {recordOf("X-1", "npm", "", `,"ranges":[{"type":"SEMVER","events":[{}]}]`), "it has a version that is none"},
		"a long version":     {recordOf("X-1", "npm", "", ranged("introduced "+strings.Repeat("1", 513))), "it has a version that is none"},
		"no name":            {`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":""},"versions":["1"]}]}`, "it affects a package without a name"},
		"a name with a NUL":  {`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"a\u0000b"},"versions":["1"]}]}`, "it affects a package without a name"},
	}
	for name, tt := range tests {
		folder := t.TempDir()
		put(t, zipOf(t, tt.record, good), folder, "npm.zip")
		info, err := compile(t, folder, vulndb.CompileOptions{})
		if err != nil || info.Records != 1 || info.Unreadable != 1 || len(info.Samples) != 1 {
			t.Errorf("%s: %+v, %v", name, info, err)
			continue
		}
		if s := info.Samples[0]; s.Reason != tt.reason || s.Zip != "npm" || s.Name == "" {
			t.Errorf("%s: %+v, want it for %q", name, s, tt.reason)
		}
	}
}

func TestFieldsOfOtherForms(t *testing.T) {
	more := `,"withdrawn":null,"aliases":null,"severity":null,"references":null,"credits":[{"name":1}],"schema_version":1.7,"database_specific":null`
	findings, problems := match(t, databaseOf(t, "npm", recordOf("X-1", "npm", more, ranged("introduced 0")+`,"versions":["", "1\u0000"],"ecosystem_specific":7`)),
		scan.Package{Ecosystem: "npm", Name: "p", Version: "1.0"})
	if short(findings) != "X-1 UNDEFINED" || len(problems) > 0 {
		t.Errorf("%q, %v", short(findings), problems)
	}
}

func TestDates(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	folder := t.TempDir()
	var records []string
	for id, at := range map[string]string{"A": "2025-01-01T00:00:00Z", "B": "2026-05-31T23:00:00+02:00", "C": "2031-01-01T00:00:00Z"} {
		records = append(records, fmt.Sprintf(`{"id":%q,"modified":%q,"affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1"]}]}`, id, at))
	}
	put(t, zipOf(t, records...), folder, "npm.zip")
	info, err := compile(t, folder, vulndb.CompileOptions{Now: func() time.Time { return now }})
	if want := time.Date(2026, 5, 31, 21, 0, 0, 0, time.UTC); err != nil || !info.Newest.Equal(want) || !info.Compiled.Equal(now) || info.Records != 3 {
		t.Errorf("%+v, %v; want the newest of %s", info, err, want)
	}
}

// lying is a zip whose list says of its one file what is not so.
func lying(t testing.TB, change func(*zip.FileHeader, *[]byte)) []byte {
	t.Helper()
	content := []byte(recordOf("GHSA-2", "npm", "", ranged("introduced 0")))
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	h := &zip.FileHeader{Name: "GHSA-2.json", Method: zip.Deflate, UncompressedSize64: uint64(len(content)), CompressedSize64: uint64(packed.Len())}
	body := packed.Bytes()
	change(h, &body)
	w, err := z.CreateRaw(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	good, err := z.Create("GHSA-1.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(good, recordOf("GHSA-1", "npm", "", ranged("introduced 0"))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packedZeroes are so many packed bytes of a bomb.
func packedZeroes(t testing.TB, size int64) []byte {
	t.Helper()
	var out bytes.Buffer
	f, err := flate.NewWriter(&out, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, zeroes{}, size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestBadEntries(t *testing.T) {
	bomb := packedZeroes(t, 64<<20)
	tests := map[string]struct {
		change func(*zip.FileHeader, *[]byte)
		reason string
	}{
		"a bomb": {func(h *zip.FileHeader, b *[]byte) {
			*b, h.CompressedSize64, h.UncompressedSize64 = bomb, uint64(len(bomb)), 64<<20
		}, "it is larger than 32 MiB"},
		"a bomb that says less":  {func(h *zip.FileHeader, b *[]byte) { *b, h.CompressedSize64 = bomb, uint64(len(bomb)) }, "it is damaged"},
		"a wrong checksum":       {func(h *zip.FileHeader, _ *[]byte) { h.CRC32 = 1 }, "its checksum is wrong"},
		"more than it says":      {func(h *zip.FileHeader, _ *[]byte) { h.UncompressedSize64-- }, "it is damaged"},
		"less than it says":      {func(h *zip.FileHeader, _ *[]byte) { h.UncompressedSize64++ }, "it is damaged"},
		"bytes that are not so":  {func(_ *zip.FileHeader, b *[]byte) { *b = bytes.Repeat([]byte{0xff}, len(*b)) }, "it is damaged"},
		"packed in another way":  {func(h *zip.FileHeader, _ *[]byte) { h.Method = 97 }, "it is packed in an unknown way"},
		"more than all there is": {func(h *zip.FileHeader, _ *[]byte) { h.UncompressedSize64 = 1 << 62 }, "it is larger than 32 MiB"},
	}
	for name, tt := range tests {
		folder := t.TempDir()
		put(t, lying(t, tt.change), folder, "npm.zip")
		info, err := compile(t, folder, vulndb.CompileOptions{})
		if err != nil || info.Records != 1 || info.Unreadable != 1 {
			t.Errorf("%s: %+v, %v", name, info, err)
			continue
		}
		if got := info.Samples[0]; got.Name != "GHSA-2" || got.Reason != tt.reason {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestBadZips(t *testing.T) {
	whole := zipOf(t, manyRecords(500)...)
	twisted := bytes.Clone(whole)
	for i := 1000; i < len(twisted)-60_000; i += 400 { // beside the list of files
		twisted[i] ^= 0xff
	}
	tests := map[string]struct {
		content []byte
		want    string
	}{
		"no zip":        {[]byte("<html>"), "not a valid zip"},
		"empty":         {nil, "not a valid zip"},
		"cut":           {whole[:len(whole)/2], "not a valid zip"},
		"without front": {whole[len(whole)/2:], "zip"},
		"mostly broken": {twisted, "of its 500 records cannot be read"},
	}
	for name, tt := range tests {
		folder := t.TempDir()
		put(t, tt.content, folder, "npm.zip")
		_, err := compile(t, folder, vulndb.CompileOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "npm") || strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompileEndsWithItsContext(t *testing.T) {
	folder, to := t.TempDir(), filepath.Join(t.TempDir(), "db")
	put(t, zipOf(t, manyRecords(100)...), folder, "npm.zip")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := vulndb.Compile(ctx, folder, to, vulndb.CompileOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// Long texts of records are cut, not refused.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	var links []string
	for i := range 30 {
		links = append(links, fmt.Sprintf(`{"type":"WEB","url":"https://%d.example/"}`, i))
	}
	more := fmt.Sprintf(`,"summary":%q,"details":%q,"references":[{"url":"https://%s"},{"url":"a b"},%s]`, long, long, strings.Repeat("a", 600), strings.Join(links, ","))
	findings, _ := match(t, databaseOf(t, "npm", recordOf("X-1", "npm", more, ranged("introduced 0"))), scan.Package{Ecosystem: "npm", Name: "p", Version: "1"})
	if len(findings) != 1 {
		t.Fatal(len(findings))
	}
	f := findings[0]
	if len(f.Title) > 300 || !strings.HasSuffix(f.Title, "ä…") || len(f.Description) > 2000 || !strings.HasSuffix(f.Description, "ä…") || len(f.References) != 12 || f.References[0] != "https://0.example/" {
		t.Errorf("%d and %d bytes, %q", len(f.Title), len(f.Description), f.References)
	}
}
