package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// database is what the server says of its vulnerability database.
func (h *house) database() admin.ScanDatabase {
	h.t.Helper()
	st, err := admin.ShowScanDatabase.Ask(h.t.Context(), h.Server, admin.None{})
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

// awaitDatabase waits until the database is as it should be.
func (h *house) awaitDatabase(is func(admin.ScanDatabase) bool) {
	h.t.Helper()
	for over := time.Now().Add(time.Minute); !is(h.database()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(over) {
			h.t.Fatalf("the database is %+v\n%s", h.database(), h.log)
		}
	}
}

// A database is made at the start of what the configuration names, and anew when that
// changes. A server that keeps nothing leaves none.
func TestScanDatabaseFollowsTheConfiguration(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	one, two := t.TempDir(), t.TempDir()
	if err := scantest.WriteZips(one); err != nil {
		t.Fatal(err)
	}
	records, err := scantest.Records("npm")
	if err != nil {
		t.Fatal(err)
	}
	if err := scantest.WriteZip(two, "npm", records...); err != nil {
		t.Fatal(err)
	}
	h := dev(t, "scanning.database.directory", one, "metrics.listen", "127.0.0.1:0")
	h.awaitDatabase(func(d admin.ScanDatabase) bool { return d.Unusable == "" && d.From == one && len(d.Zips) == 6 })
	h.flags["scanning.database.directory"] = two
	if _, err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.awaitDatabase(func(d admin.ScanDatabase) bool { return d.From == two && len(d.Zips) == 1 })
	if st, err := h.Status(t.Context()); err != nil || !strings.Contains(scraped(t, st.Metrics), "\nberth_scan_database_usable 1\n") {
		t.Errorf("metrics do not tell that there is a database: %v", err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v, %v", left, err)
	}
}

func scraped(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := fmt.Fprint(&b, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Records are fetched from where the configuration lets the server go, and from nowhere
// else. What was fetched is there after a restart.
func TestScanDatabaseIsFetched(t *testing.T) {
	data, err := scantest.Records("npm")
	if err != nil {
		t.Fatal(err)
	}
	zip, err := scantest.Zip(data...)
	if err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/osv/npm/all.zip" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(zip)
	}))
	defer bucket.Close()
	folder := t.TempDir()
	file := filepath.Join(folder, "berth.yml")
	configure := func(egress string) {
		text := "scanning:\n  database:\n    url: " + bucket.URL + "/osv\n    ecosystems: [npm]\n" + egress
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	h := inFolder(t, folder, "config", file)
	h.awaitDatabase(func(d admin.ScanDatabase) bool { return d.Failed != "" })
	if d := h.database(); !strings.Contains(d.Failed, "egress") || d.Unusable == "" {
		t.Errorf("of an address that may not be reached: %+v", d)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	configure("egress:\n  allow: [127.0.0.1]\n  plain-http: [127.0.0.1]\n")
	h = inFolder(t, folder, "config", file)
	h.awaitDatabase(func(d admin.ScanDatabase) bool { return d.Unusable == "" && d.Source == "url" })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	bucket.Close()
	h = inFolder(t, folder, "config", file)
	if d := h.database(); d.Unusable != "" || d.Database == nil || d.Database.Records == 0 {
		t.Errorf("after a restart: %+v", d)
	}
}
