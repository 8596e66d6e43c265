package vulndb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/scantest"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// open opens a database at a path.
func open(t testing.TB, path string) *vulndb.DB {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := vulndb.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// databaseOf compiles records of one ecosystem.
func databaseOf(t testing.TB, ecosystem string, records ...string) *vulndb.DB {
	t.Helper()
	folder := t.TempDir()
	if err := scantest.WriteZip(folder, ecosystem, records...); err != nil {
		t.Fatal(err)
	}
	return open(t, compiled(t, folder))
}

func compiled(t testing.TB, folder string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "vulnerabilities.db")
	if _, err := vulndb.Compile(t.Context(), folder, to, vulndb.CompileOptions{}); err != nil {
		t.Fatal(err)
	}
	return to
}

func match(t testing.TB, db *vulndb.DB, packages ...scan.Package) ([]scan.Finding, []scan.Problem) {
	t.Helper()
	findings, problems, err := db.Match(t.Context(), scan.Inventory{Packages: packages})
	if err != nil {
		t.Fatal(err)
	}
	return findings, problems
}

// short is what matters of findings in one line.
func short(findings []scan.Finding) string {
	var list []string
	for _, f := range findings {
		line := fmt.Sprintf("%s %s", f.Name, f.Severity)
		if f.ID != f.Name {
			line += " by " + f.ID
		}
		if f.FixedIn != "" {
			line += " fixed in " + f.FixedIn
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

func TestScenarios(t *testing.T) {
	db := open(t, scantest.Database(t))
	tests := []struct{ ecosystem, name, version, want string }{
		// Debian: notice and record of one CVE are one finding, the notice alone is one for each.
		{"Debian:12", "openssl", "3.0.8-1", "CVE-2023-0464 HIGH by DEBIAN-CVE-2023-0464 fixed in 3.0.9-1"},
		{"Debian:12", "openssl", "3.0.9-1", ""},
		{"Debian:12", "openssl", "3.0.11-1~deb12u2", ""},
		{"Debian:11", "openssl", "1.1.1n-0+deb11u4", "CVE-2023-0464 HIGH by DEBIAN-CVE-2023-0464 fixed in 1.1.1n-0+deb11u5; " +
			"CVE-2023-0465 UNDEFINED by DSA-5417-1 fixed in 1.1.1n-0+deb11u5; CVE-2023-0466 UNDEFINED by DSA-5417-1 fixed in 1.1.1n-0+deb11u5; " +
			"CVE-2023-2650 UNDEFINED by DSA-5417-1 fixed in 1.1.1n-0+deb11u5"},
		{"Debian:12", "tar", "1.34+dfsg-1.2", "CVE-2005-2541 INFORMATIONAL by DEBIAN-CVE-2005-2541"},
		{"Debian:12", "glibc", "2.36-9+deb12u4", "CVE-2024-2961 UNDEFINED by DEBIAN-CVE-2024-2961 fixed in 2.36-9+deb12u6"},
		{"Debian:12", "zlib", "1:1.2.13.dfsg-1", ""},
		{"Debian:11", "zlib", "1:1.2.11.dfsg-2", "CVE-2018-25032 LOW by DEBIAN-CVE-2018-25032 fixed in 1:1.2.11.dfsg-2+deb11u1"},
		{"Debian:12", "libwebp", "1.2.4-0.1", ""},
		{"Debian:12", "nothing-known", "1", ""},
		// Alpine.
		{"Alpine:v3.18", "openssl", "3.1.1-r1", "CVE-2023-5363 HIGH by ALPINE-CVE-2023-5363 fixed in 3.1.4-r0; CVE-2023-3817 UNDEFINED by ALPINE-CVE-2023-3817 fixed in 3.1.2-r0"},
		{"Alpine:v3.18", "openssl", "3.1.4-r0", ""},
		{"Alpine:v3.17", "openssl", "3.0.10-r0", "CVE-2023-5363 HIGH by ALPINE-CVE-2023-5363 fixed in 3.0.12-r0"},
		{"Alpine:v3.18", "busybox", "1.36.1-r2", "CVE-2023-42366 MEDIUM by ALPINE-CVE-2023-42366"},
		{"Alpine:v3.18", "zlib", "1.2.11-r9", "CVE-2022-37434 CRITICAL by ALPINE-CVE-2022-37434 fixed in 1.2.12-r2"},
		{"Alpine:v3.18", "libwebp", "1.3.0-r0", ""},
		// Go: the title is the database's own, the severity GitHub's.
		{"Go", "golang.org/x/net", "v0.6.0", "CVE-2022-41723 HIGH by GO-2023-1571 fixed in 0.7.0"},
		{"Go", "golang.org/x/net", "v0.7.0", ""},
		{"Go", "stdlib", "go1.20.0", "CVE-2022-41723 UNDEFINED by GO-2023-1571 fixed in 1.20.1"},
		{"Go", "stdlib", "1.19.6", ""},
		{"Go", "github.com/dgrijalva/jwt-go", "v3.2.0+incompatible", "CVE-2020-26160 HIGH by GO-2020-0017"},
		{"Go", "golang.org/x/text", "v0.3.8", ""},
		// npm.
		{"npm", "lodash", "4.17.20", "CVE-2021-23337 HIGH by GHSA-35jh-r3h4-6jhm fixed in 4.17.21"},
		{"npm", "lodash", "4.17.21", ""},
		{"npm", "minimist", "0.0.8", "CVE-2021-44906 CRITICAL by GHSA-xvch-5gv4-984h fixed in 0.2.4"},
		{"npm", "minimist", "1.2.5", "CVE-2021-44906 CRITICAL by GHSA-xvch-5gv4-984h fixed in 1.2.6"},
		{"npm", "minimist", "0.2.4", ""},
		{"npm", "request", "2.88.2", "CVE-2023-28155 MEDIUM by GHSA-p8p7-x288-28g6"},
		{"npm", "flatmap-stream", "0.1.1", "MAL-2018-9001 UNDEFINED"},
		{"npm", "flatmap-stream", "0.1.2", ""},
		// PyPI, whose names have several spellings.
		{"PyPI", "Requests", "2.30.0", "CVE-2023-32681 MEDIUM by PYSEC-2023-74 fixed in 2.31.0"},
		{"PyPI", "requests", "2.31.0", ""},
		{"PyPI", "Jinja2", "3.1.2", "CVE-2024-22195 MEDIUM by GHSA-h5c8-rqwp-cp95 fixed in 3.1.3"},
		{"PyPI", "py", "1.11.0", "CVE-2022-42969 HIGH by GHSA-w596-4wvx-j9j6"},
		{"PyPI", "zope.interface", "4.7.1", "PYSEC-2021-9001 UNDEFINED fixed in 5.0"},
		// Maven.
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "CVE-2021-44228 CRITICAL by GHSA-jfh8-c2jp-5v3q fixed in 2.15.0"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.12.1", "CVE-2021-44228 CRITICAL by GHSA-jfh8-c2jp-5v3q fixed in 2.12.2"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta9", "CVE-2021-44228 CRITICAL by GHSA-jfh8-c2jp-5v3q fixed in 2.3.1"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta8", ""},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.12.2", ""},
		{"Maven", "org.apache.commons:commons-text", "1.10.0", ""},
		{"Maven", "log4j:log4j", "1.2.17", "CVE-2019-17571 CRITICAL by GHSA-2qrg-x229-3v8q"},
		{"Maven", "commons-io:commons-io", "2.6", "CVE-2021-29425 UNDEFINED by GHSA-0000-0000-mvn2 fixed in 2.7"},
	}
	for _, tt := range tests {
		p := scan.Package{Ecosystem: tt.ecosystem, Name: tt.name, Version: tt.version, Path: "somewhere"}
		findings, problems := match(t, db, p)
		if got := short(findings); got != tt.want || len(problems) != 0 {
			t.Errorf("%s %s %s: %q, %v; want %q", tt.ecosystem, tt.name, tt.version, got, problems, tt.want)
		}
		for _, f := range findings {
			if !reflect.DeepEqual(p, f.Package) {
				t.Errorf("the package of %s is %+v", f.ID, f.Package)
			}
		}
	}
}
