package inspect_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// told are packages as texts.
func told(list []scan.Package) (out []string) {
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s %s %s %s %v %s", p.Ecosystem, p.Name, p.Version, p.Manager, p.Binaries, p.Path))
	}
	return out
}

func names(list []scan.Finding) (out []string) {
	for _, f := range list {
		out = append(out, f.Package.Name+" "+f.Name)
	}
	slices.Sort(out)
	return out
}

func TestScan(t *testing.T) {
	s := newScanner(t, nil)
	for _, tt := range []struct {
		name     string
		image    scantest.Image
		system   string
		packages []string
		findings []string
	}{
		{"Debian 12", scantest.Debian("12"), "Debian:12", []string{
			"Debian:12 openssl 3.0.8-1 OS [libssl3 openssl] var/lib/dpkg/status",
			"Debian:12 zlib 1:1.2.13.dfsg-1 OS [zlib1g] var/lib/dpkg/status",
		}, []string{"openssl CVE-2023-0464"}},
		{"Debian 11", scantest.Debian("11"), "Debian:11", []string{
			"Debian:11 openssl 1.1.1n-0+deb11u4 OS [libssl3 openssl] var/lib/dpkg/status",
			"Debian:11 zlib 1:1.2.11.dfsg-2+deb11u2 OS [zlib1g] var/lib/dpkg/status",
		}, []string{"openssl CVE-2023-0464", "openssl CVE-2023-0465", "openssl CVE-2023-0466", "openssl CVE-2023-2650"}},
		{"distroless", scantest.Distroless(), "Debian:12", []string{
			"Debian:12 openssl 3.0.8-1 OS [libssl3] var/lib/dpkg/status.d/libssl3",
		}, []string{"openssl CVE-2023-0464"}},
		{"Alpine", scantest.Alpine("3.18.4"), "Alpine:v3.18", []string{
			"Alpine:v3.18 busybox 1.36.1-r0 OS [busybox] usr/lib/apk/db/installed",
			"Alpine:v3.18 openssl 3.1.3-r0 OS [libcrypto3 libssl3] usr/lib/apk/db/installed",
			"Alpine:v3.18 zlib 1.2.13-r1 OS [zlib] usr/lib/apk/db/installed",
		}, []string{"busybox CVE-2022-48174", "busybox CVE-2023-42366", "openssl CVE-2023-5363"}},
		{"languages", scantest.Languages(), "Debian:12", []string{
			"Debian:12 openssl 3.0.8-1 OS [libssl3 openssl] var/lib/dpkg/status",
			"Debian:12 zlib 1:1.2.13.dfsg-1 OS [zlib1g] var/lib/dpkg/status",
			"Go golang.org/x/net 0.5.0 GOBINARY [] usr/bin/tool",
			"Go golang.org/x/text 0.3.9 GOBINARY [] usr/bin/tool",
			"Go stdlib 1.20.0 GOBINARY [] usr/bin/tool",
			"Maven org.apache.logging.log4j:log4j-core 2.14.1 JAR [] srv/app.jar/BOOT-INF/lib/log4j-core-2.14.1.jar",
			"PyPI jinja2 3.1.3 PYTHONPKG [] usr/lib/python3/site-packages/Jinja2-3.1.3.dist-info/METADATA",
			"PyPI requests 2.30.0 PYTHONPKG [] usr/lib/python3/site-packages/requests-2.30.0.dist-info/METADATA",
			"npm @scope/fine 1.0.0 NODEPKG [] app/node_modules/@scope/fine/package.json",
			"npm lodash 4.17.20 NODEPKG [] app/node_modules/lodash/package.json",
			"npm minimist 1.2.5 NPM [] app/package-lock.json",
		}, []string{
			"golang.org/x/net CVE-2022-41723", "lodash CVE-2021-23337", "minimist CVE-2021-44906", "openssl CVE-2023-0464",
			"org.apache.logging.log4j:log4j-core CVE-2021-44228", "requests CVE-2023-32681", "stdlib CVE-2022-41723",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scanIt(t, s, tt.image.Scan())
			if len(r.Problems) > 0 {
				t.Errorf("problems: %+v", r.Problems)
			}
			if got := r.Inventory.System.Ecosystem; got != tt.system {
				t.Errorf("system %q, want %q", got, tt.system)
			}
			if d := cmp.Diff(tt.packages, told(r.Inventory.Packages)); d != "" {
				t.Errorf("packages, -want +got:\n%s", d)
			}
			if d := cmp.Diff(tt.findings, names(r.Findings)); d != "" {
				t.Errorf("findings, -want +got:\n%s", d)
			}
			if r.Database.IsZero() {
				t.Error("the report has no date of the database")
			}
			for _, p := range r.Inventory.Packages {
				if !slices.ContainsFunc(tt.image.Layers, func(l scantest.Layer) bool { return l.Digest == p.Layer }) {
					t.Errorf("%s is of layer %s, which the image has not", p.Name, p.Layer)
				}
			}
		})
	}
}

// What is known is held against the database again, and no layer is opened.
func TestScanKnown(t *testing.T) {
	s := newScanner(t, nil)
	img := scantest.Languages().Scan()
	first := scanIt(t, s, img)
	img.Known, img.Open = &first.Inventory, nil
	if d := cmp.Diff(first, scanIt(t, s, img), cmpopts.EquateComparable(digest.Digest{})); d != "" {
		t.Errorf("again, -first +second:\n%s", d)
	}
	img.SystemOnly = true
	if got := names(scanIt(t, s, img).Findings); !slices.Equal(got, []string{"openssl CVE-2023-0464"}) {
		t.Errorf("of the system: %v", got)
	}
}

func TestScanSystemOnly(t *testing.T) {
	img := scantest.Languages().Scan()
	img.SystemOnly = true
	// A file that only readers of languages want is not even looked at.
	r := scanIt(t, newScanner(t, func(o *inspect.Options) { o.Limits.File = 2000 }), img)
	if d := cmp.Diff([]string{"openssl CVE-2023-0464"}, names(r.Findings)); d != "" {
		t.Error(d)
	}
}
