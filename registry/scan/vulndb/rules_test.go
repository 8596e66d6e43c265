package vulndb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
)

// recordOf makes a record about the package p of an ecosystem, with more fields of the
// record and of what is affected, each in JSON.
func recordOf(id, ecosystem, more, affected string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-02T03:04:05Z"%s,"affected":[{"package":{"ecosystem":%q,"name":"p"}%s}]}`, id, more, ecosystem, affected)
}

func ranged(events ...string) string {
	return `,"ranges":[` + rangeOf("ECOSYSTEM", events...) + `]`
}

// rangeOf makes a range of events such as "introduced 1.0".
func rangeOf(kind string, events ...string) string {
	var list []string
	for _, e := range events {
		what, version, _ := strings.Cut(e, " ")
		list = append(list, fmt.Sprintf(`{%q:%q}`, what, version))
	}
	return fmt.Sprintf(`{"type":%q,"events":[%s]}`, kind, strings.Join(list, ","))
}

func TestRanges(t *testing.T) {
	const both = `,"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1.0"},{"fixed":"1.5"}]},{"type":"SEMVER","events":[{"introduced":"2.0"},{"fixed":"2.5"}]}]`
	tests := []struct {
		name, affected string
		affects, not   []string // versions
	}{
		{"from the first on", ranged("introduced 0"), []string{"0", "0.0.0", "99"}, nil},
		{"fixed", ranged("introduced 0", "fixed 1.2"), []string{"1.1.9", "1.2.0-rc1"}, []string{"1.2", "1.2.0", "1.3"}},
		{"introduced later", ranged("introduced 1.1", "fixed 1.2"), []string{"1.1", "1.1.5"}, []string{"1.0", "1.1-rc1", "1.2"}},
		{"last affected", ranged("introduced 1.0", "last_affected 1.2"), []string{"1.0", "1.2"}, []string{"0.9", "1.2.1"}},
		{"introduced twice", ranged("introduced 1.0", "fixed 1.2", "introduced 2.0", "fixed 2.1"), []string{"1.1", "2.0"}, []string{"1.2", "1.9", "2.1"}},
		{"in no order", ranged("fixed 2.1", "introduced 2.0", "fixed 1.2", "introduced 1.0"), []string{"1.1", "2.0"}, []string{"0.9", "1.2", "1.9", "2.1"}},
		{"introduced where it was fixed", ranged("introduced 0", "fixed 1.0", "introduced 1.0", "fixed 2.0"), []string{"0.1", "1.0"}, []string{"2.0"}},
		{"never", ranged("introduced 0", "fixed 0"), nil, []string{"0", "1.0"}},
		{"never at a version", ranged("introduced 1.0", "fixed 1.0"), nil, []string{"0.9", "1.0", "1.1"}},
		{"up to a limit", ranged("introduced 0", "limit 1.5"), []string{"1.4"}, []string{"1.5", "1.6"}},
		{"up to one of two limits", ranged("introduced 0", "limit 1.5", "limit 1.8"), []string{"1.4", "1.7"}, []string{"1.8"}},
		{"without a limit", ranged("introduced 0", "limit *"), []string{"99"}, nil},
		{"no introduction", ranged("fixed 2.0"), nil, []string{"1.0", "2.0"}},
		{"two ranges", both, []string{"1.2", "2.2"}, []string{"0.9", "1.5", "2.5"}},
		{"two events in one", `,"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1.0","fixed":"1.5"}]}]`, []string{"1.2"}, []string{"1.5"}},
		{"a list", `,"versions":["1.0","1.2"]`, []string{"1.0", "1.2", "v1.2", "1.2.0"}, []string{"1.1"}},
		{"a list beside a range", ranged("introduced 2.0", "fixed 2.1") + `,"versions":["1.0"]`, []string{"1.0", "2.0"}, []string{"1.1", "2.1"}},
		{"a list beside commits", `,"ranges":[{"type":"GIT","repo":"r","events":[{"introduced":"0"}]}],"versions":["1.0"]`, []string{"1.0"}, []string{"1.1"}},
	}
	for _, tt := range tests {
		db := databaseOf(t, "npm", recordOf("GHSA-1", "npm", "", tt.affected))
		for affected, versions := range map[bool][]string{true: tt.affects, false: tt.not} {
			for _, v := range versions {
				findings, problems := match(t, db, scan.Package{Ecosystem: "npm", Name: "p", Version: v})
				if len(findings) == 1 != affected || len(problems) != 0 {
					t.Errorf("%s: %s: %q, %v; want it affected: %v", tt.name, v, short(findings), problems, affected)
				}
			}
		}
	}
}

// Each ecosystem orders versions by its own rules.
func TestVersionsOfEcosystems(t *testing.T) {
	tests := []struct{ ecosystem, below, fixed, above string }{
		{"Debian:12", "1.0~rc1-1", "1.0-1", "1.0-1+deb12u1"},
		{"Debian:12", "9.9-1", "1:0.1-1", "1:0.1-2"},
		{"Ubuntu:22.04:LTS", "3.0.2-0ubuntu1.9", "3.0.2-0ubuntu1.10", "3.0.2-0ubuntu1.12"},
		{"Alpine:v3.20", "1.0_rc2-r9", "1.0-r0", "1.0_p1-r0"},
		{"Alpine:v3.20", "1.2.3-r9", "1.2.3-r10", "1.2.3a-r0"},
		{"Wolfi", "1.2.3-r1", "1.2.3-r2", "1.2.4-r0"},
		{"Chainguard", "1.2.3-r1", "1.2.3-r2", "1.2.4-r0"},
		{"Rocky Linux:9", "1.0-9.el9", "1.0-10.el9", "1:0.1-1.el9"},
		{"Go", "v1.2.3-0.20240101000000-abcdefabcdef", "1.2.3", "v1.2.4+incompatible"},
		{"npm", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0"},
		{"crates.io", "0.9.9", "0.10.0", "0.10.1-alpha"},
		{"PyPI", "1.0RC1", "1.0", "1.0.post1"},
		{"PyPI", "2020.1", "1!1.0", "1!1.0+local.1"},
		{"Maven", "1.0-alpha-1", "1.0", "1.0-sp"},
		{"Maven", "2.9.10.8", "2.10.0.pr1", "2.10.1"},
		{"RubyGems", "3.0.0.rc1", "3.0.0", "3.0.0.1"},
		{"NuGet", "1.0.0-preview", "1.0.0", "1.0.0.1"},
		{"Packagist", "1.0.0-beta1", "1.0.0", "v1.0.1"},
		{"Pub", "1.0.0-dev", "1.0.0", "1.0.1"},
		{"Hex", "1.0.0-rc.1", "1.0.0", "1.0.1"},
		{"CRAN", "1.2-3", "1.2-10", "1.3"},
		{"Hackage", "1.2.3", "1.2.10", "1.3"},
	}
	for _, tt := range tests {
		family, _, _ := strings.Cut(tt.ecosystem, ":")
		db := databaseOf(t, family, recordOf("X-1", tt.ecosystem, "", ranged("introduced 0", "fixed "+tt.fixed)))
		for version, want := range map[string]string{tt.below: "X-1 UNDEFINED fixed in " + tt.fixed, tt.fixed: "", tt.above: ""} {
			findings, problems := match(t, db, scan.Package{Ecosystem: tt.ecosystem, Name: "p", Version: version})
			if short(findings) != want || len(problems) != 0 {
				t.Errorf("%s %s with the fix in %s: %q, %v", tt.ecosystem, version, tt.fixed, short(findings), problems)
			}
		}
	}
}

// What cannot be compared is never taken for not affected.
func TestIncomparable(t *testing.T) {
	const fixed = "fixed 1.5"
	tests := []struct {
		ecosystem, version, affected string
		problem, finding             string
	}{
		{"Debian:12", "1:2:3 4", ranged("introduced 1.0", fixed), `The version "1:2:3 4" of the package p cannot be compared with those of X-1`, ""},
		{"Debian:12", "x:1", ranged("introduced 1.0", fixed), `The version "x:1" of the package p cannot be compared with those of X-1`, ""},
		{"Debian:12", "", ranged("introduced 1.0", fixed), `The version "" of the package p cannot be compared with those of X-1`, ""},
		{"Debian:12", "1.2", ranged("introduced 1.0", "fixed one:two"), `The version "1.2" of the package p cannot be compared with "one:two", of X-1`, ""},
		{"Alpine:v3.20", "one", ranged("introduced 1.0", fixed), `The version "one" of the package p cannot be compared with those of X-1`, ""},
		{"Alpine:v3.20", "1.2-r0", ranged("introduced 1.0", "fixed 1.5_beta-x"), `The version "1.2-r0" of the package p cannot be compared with "1.5_beta-x", of X-1`, ""},
		{"npm", "github:some/where", ranged("introduced 1.0", fixed), `The version "github:some/where" of the package p cannot be compared with those of X-1`, ""},
		{"Go", "(devel)", ranged("introduced 1.0", fixed), `The version "(devel)" of the package p cannot be compared with those of X-1`, ""},
		{"PyPI", "2004d", ranged("introduced 1.0", fixed), `The version "2004d" of the package p cannot be compared with those of X-1`, ""},
		{"Maven", "${revision}", ranged("introduced 1.0", fixed), `The version "${revision}" of the package p cannot be compared with those of X-1`, ""},
		{"Packagist", "dev-master", ranged("introduced 1.0", fixed), `The version "dev-master" of the package p cannot be compared with those of X-1`, ""},
		{"Unheard Of", "1.2", ranged("introduced 1.0", fixed), `The version "1.2" of the package p cannot be compared with those of X-1`, ""},
		{"npm", strings.Repeat("1", 600), ranged("introduced 1.0", fixed), `The version "` + strings.Repeat("1", 125) + `…" of the package p cannot be compared with those of X-1`, ""},
		{"npm", "1\n2", ranged("introduced 1.0", fixed), `The version "1?2" of the package p cannot be compared with those of X-1`, ""},
		// What is known all the same is a finding.
		{"Go", "(devel)", ranged("introduced 0"), "", "X-1 UNDEFINED"},
		{"Go", "(devel)", ranged("introduced 1.0", fixed) + `,"versions":["(devel)"]`, "", "X-1 UNDEFINED"},
		{"Debian:12", "1.2", `,"ranges":[` + rangeOf("ECOSYSTEM", "introduced 1.0", "fixed a:b") + "," + rangeOf("ECOSYSTEM", "introduced 1.1", "fixed 1.3") + `]`, "", "X-1 UNDEFINED fixed in 1.3"},
		{"npm", "what", `,"versions":["1.0"]`, "", ""},
	}
	for _, tt := range tests {
		family, _, _ := strings.Cut(tt.ecosystem, ":")
		db := databaseOf(t, family, recordOf("X-1", tt.ecosystem, "", tt.affected))
		findings, problems := match(t, db, scan.Package{Ecosystem: tt.ecosystem, Name: "p", Version: tt.version})
		var want []scan.Problem
		if tt.problem != "" {
			want = []scan.Problem{{Kind: scan.Incomparable, Text: tt.problem}}
		}
		if diff := cmp.Diff(want, problems); diff != "" || short(findings) != tt.finding {
			t.Errorf("%s %q: %q, problems (-want +got):\n%s", tt.ecosystem, tt.version, short(findings), diff)
		}
	}
}

func TestNoData(t *testing.T) {
	db := databaseOf(t, "Debian",
		recordOf("X-1", "Debian:12", "", ranged("introduced 0")),
		recordOf("X-2", "Debian", "", ranged("introduced 0")), // of all releases
	)
	tests := map[string]struct{ want, findings string }{
		"Debian:12": {"", "X-1 UNDEFINED; X-2 UNDEFINED"},
		"Debian:13": {"The vulnerability database has nothing of Debian:13", "X-2 UNDEFINED"},
		"npm":       {"The vulnerability database has nothing of npm", ""},
		"":          {"The vulnerability database has nothing of ", ""},
	}
	for ecosystem, tt := range tests {
		findings, problems := match(t, db, scan.Package{Ecosystem: ecosystem, Name: "p", Version: "1"}, scan.Package{Ecosystem: ecosystem, Name: "other", Version: "1"})
		var want []scan.Problem
		if tt.want != "" {
			want = []scan.Problem{{Kind: scan.NoData, Text: tt.want}}
		}
		if diff := cmp.Diff(want, problems); diff != "" || short(findings) != tt.findings {
			t.Errorf("%s: %q, problems (-want +got):\n%s", ecosystem, short(findings), diff)
		}
	}
	// A system without packages is not known to be without vulnerabilities either.
	_, problems, err := db.Match(t.Context(), scan.Inventory{System: scan.System{ID: "alpine", Ecosystem: "Alpine:v3.20"}})
	if err != nil || len(problems) != 1 || problems[0].Kind != scan.NoData {
		t.Errorf("of a system without packages: %v, %v", problems, err)
	}
}

const (
	v2 = "AV:N/AC:L/Au:N/C:C/I:C/A:C"                                      // 10.0
	v3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"                    // 9.8
	v0 = "CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"                    // 1.8
	v4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N" // 6.9
	v5 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"                    // 0.0
	vX = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:X/E:X"            // a metric twice
)

func scored(kind, vector string) string { return fmt.Sprintf(`{"type":%q,"score":%q}`, kind, vector) }

func TestSeverity(t *testing.T) {
	severity := func(list ...string) string { return `,"severity":[` + strings.Join(list, ",") + `]` }
	tests := []struct {
		name, ecosystem, record, affected string
		want                              scan.Severity
		word                              string
		scores                            []float64
	}{
		{"none", "npm", "", "", scan.Undefined, "", nil},
		{"2", "npm", severity(scored("CVSS_V2", v2)), "", scan.High, "", []float64{10}},
		{"3.0", "npm", severity(scored("CVSS_V3", v0)), "", scan.Low, "", []float64{1.8}},
		{"3.1", "npm", severity(scored("CVSS_V3", v3)), "", scan.Critical, "", []float64{9.8}},
		{"4", "npm", severity(scored("CVSS_V4", v4)), "", scan.Medium, "", []float64{6.9}},
		{"0.0", "npm", severity(scored("CVSS_V3", v5)), "", scan.Informational, "", []float64{0}},
		{"the newest counts", "npm", severity(scored("CVSS_V2", v2), scored("CVSS_V3", v3), scored("CVSS_V4", v4)), "", scan.Medium, "", []float64{6.9, 9.8, 10}},
		{"a bad one", "npm", severity(scored("CVSS_V3", vX), scored("CVSS_V3", "CVSS:3.1/AV:N"), scored("CVSS_V4", "CVSS:4.0/")), "", scan.Undefined, "", nil},
		{"one that is too long", "npm", severity(scored("CVSS_V3", v3+strings.Repeat("/E:X", 60))), "", scan.Undefined, "", nil},
		{"of the package", "npm", "", severity(scored("CVSS_V3", v3)), scan.Critical, "", []float64{9.8}},
		{"of both", "npm", severity(scored("CVSS_V3", v0)), severity(scored("CVSS_V3", v3)), scan.Critical, "", []float64{9.8, 1.8}},
		{"GitHub's word", "npm", severity(scored("CVSS_V3", v3)) + `,"database_specific":{"severity":"MODERATE"}`, "", scan.Medium, "MODERATE", []float64{9.8}},
		{"Debian's word", "Debian:12", severity(scored("CVSS_V3", v3)), `,"ecosystem_specific":{"urgency":"unimportant"}`, scan.Informational, "unimportant", []float64{9.8}},
		{"Debian's guess", "Debian:12", "", `,"ecosystem_specific":{"urgency":"medium**"}`, scan.Medium, "medium**", nil},
		{"Debian has none", "Debian:12", severity(scored("CVSS_V3", v3)), `,"ecosystem_specific":{"urgency":"not yet assigned"}`, scan.Critical, "", []float64{9.8}},
		{"Debian's end of life", "Debian:12", "", `,"ecosystem_specific":{"urgency":"end-of-life"}`, scan.Undefined, "", nil},
		{"Debian's word elsewhere", "Debian:12", "", `,"database_specific":{"urgency":"low"}`, scan.Low, "low", nil},
		{"Ubuntu's word", "Ubuntu:22.04:LTS", severity(scored("Ubuntu", "negligible"), scored("CVSS_V3", v3)), "", scan.Informational, "negligible", []float64{9.8}},
		{"Ubuntu's word of a release", "Ubuntu:22.04:LTS", severity(scored("Ubuntu", "low")), `,"ecosystem_specific":{"ubuntu_priority":"high"}`, scan.High, "high", nil},
		{"Alpine's score", "Alpine:v3.20", severity(scored("CVSS_V3", v3)), "", scan.Critical, "", []float64{9.8}},
		{"Red Hat's word", "Red Hat:enterprise_linux:9", `,"database_specific":{"severity":"Important"}`, "", scan.High, "Important", nil},
		{"RustSec's note", "crates.io", "", `,"database_specific":{"informational":"unmaintained"}`, scan.Informational, "unmaintained", nil},
		{"fields of other forms", "npm", `,"database_specific":{"severity":["HIGH"]}`, `,"ecosystem_specific":[1],"database_specific":"x"`, scan.Undefined, "", nil},
	}
	for _, tt := range tests {
		family, _, _ := strings.Cut(tt.ecosystem, ":")
		db := databaseOf(t, family, recordOf("X-1", tt.ecosystem, tt.record, tt.affected+ranged("introduced 0")))
		findings, _ := match(t, db, scan.Package{Ecosystem: tt.ecosystem, Name: "p", Version: "1"})
		if len(findings) != 1 {
			t.Errorf("%s: %d findings", tt.name, len(findings))
			continue
		}
		f := findings[0]
		var scores []float64
		for _, s := range f.Scores {
			scores = append(scores, s.Base)
		}
		if f.Severity != tt.want || f.VendorSeverity != tt.word || !cmp.Equal(scores, tt.scores) {
			t.Errorf("%s: %s by %q with %v; want %s by %q with %v", tt.name, f.Severity, f.VendorSeverity, scores, tt.want, tt.word, tt.scores)
		}
	}
}

// Records of one vulnerability are one finding, those of several are several.
func TestOneVulnerabilityIsOneFinding(t *testing.T) {
	aliases := func(list ...string) string { return named("aliases", list) }
	upstream := func(list ...string) string { return named("upstream", list) }
	related := func(list ...string) string { return named("related", list) }
	all := ranged("introduced 0")
	tests := []struct {
		name, ecosystem string
		records         [][2]string // id and more
		want            string
		related         []string // of all findings
	}{
		{"an alias", "npm", [][2]string{{"GHSA-1", aliases("CVE-2020-1111")}}, "CVE-2020-1111 UNDEFINED by GHSA-1", nil},
		{"no CVE", "npm", [][2]string{{"GHSA-1", aliases("SNYK-1")}}, "GHSA-1 UNDEFINED", []string{"SNYK-1"}},
		{"the CVE itself", "npm", [][2]string{{"CVE-2020-1111", ""}}, "CVE-2020-1111 UNDEFINED", nil},
		{"two by CVE", "Go", [][2]string{{"GHSA-1", aliases("CVE-2020-1111")}, {"GO-1", aliases("CVE-2020-1111")}}, "CVE-2020-1111 UNDEFINED by GO-1", []string{"GHSA-1"}},
		{"two by name", "Go", [][2]string{{"GHSA-1", aliases("GO-1")}, {"GO-1", ""}}, "GO-1 UNDEFINED", []string{"GHSA-1"}},
		{"three in a chain", "Go", [][2]string{{"GHSA-1", aliases("A-1")}, {"GO-1", aliases("B-1")}, {"X-1", aliases("A-1", "B-1")}}, "GO-1 UNDEFINED", []string{"A-1", "B-1", "GHSA-1", "X-1"}},
		{"two that differ", "Go", [][2]string{{"GHSA-1", ""}, {"GO-1", ""}}, "GHSA-1 UNDEFINED; GO-1 UNDEFINED", nil},
		{"two CVEs of one", "npm", [][2]string{{"GHSA-1", aliases("CVE-2020-2222", "CVE-2020-1111")}}, "CVE-2020-1111 UNDEFINED by GHSA-1", []string{"CVE-2020-2222"}},
		{"a tracker's record", "Debian:12", [][2]string{{"DEBIAN-CVE-2020-1111", ""}}, "CVE-2020-1111 UNDEFINED by DEBIAN-CVE-2020-1111", nil},
		{"a notice of one", "Debian:12", [][2]string{{"DSA-1-1", upstream("CVE-2020-1111")}}, "CVE-2020-1111 UNDEFINED by DSA-1-1", nil},
		{"a notice of two", "Debian:12", [][2]string{{"DSA-1-1", upstream("CVE-2020-1111", "CVE-2020-2222")}}, "CVE-2020-1111 UNDEFINED by DSA-1-1; CVE-2020-2222 UNDEFINED by DSA-1-1", nil},
		{"a notice of old", "Debian:12", [][2]string{{"DSA-1-1", aliases("CVE-2020-1111", "CVE-2020-2222")}}, "CVE-2020-1111 UNDEFINED by DSA-1-1; CVE-2020-2222 UNDEFINED by DSA-1-1", nil},
		{"a notice and its related", "Ubuntu:22.04:LTS", [][2]string{{"USN-1-1", related("CVE-2020-1111", "USN-2-1")}}, "CVE-2020-1111 UNDEFINED by USN-1-1", nil},
		{"a notice without CVEs", "Debian:12", [][2]string{{"DLA-1-1", ""}}, "DLA-1-1 UNDEFINED", nil},
		{"a notice and a record", "Debian:12", [][2]string{{"DSA-1-1", upstream("CVE-2020-1111", "CVE-2020-2222")}, {"DEBIAN-CVE-2020-1111", upstream("CVE-2020-1111")}},
			"CVE-2020-1111 UNDEFINED by DEBIAN-CVE-2020-1111; CVE-2020-2222 UNDEFINED by DSA-1-1", []string{"DSA-1-1"}},
		{"two notices of one", "Debian:12", [][2]string{{"DSA-1-2", upstream("CVE-2020-1111")}, {"DSA-1-1", upstream("CVE-2020-1111")}}, "CVE-2020-1111 UNDEFINED by DSA-1-1", []string{"DSA-1-2"}},
		{"Ubuntu's", "Ubuntu:22.04:LTS", [][2]string{{"UBUNTU-CVE-2020-1111", upstream("CVE-2020-1111")}, {"USN-1-1", upstream("UBUNTU-CVE-2020-1111", "CVE-2020-1111")}},
			"CVE-2020-1111 UNDEFINED by UBUNTU-CVE-2020-1111", []string{"USN-1-1"}},
	}
	for _, tt := range tests {
		var records []string
		for _, r := range tt.records {
			records = append(records, recordOf(r[0], tt.ecosystem, r[1], all))
		}
		family, _, _ := strings.Cut(tt.ecosystem, ":")
		findings, _ := match(t, databaseOf(t, family, records...), scan.Package{Ecosystem: tt.ecosystem, Name: "p", Version: "1"})
		var related []string
		for _, f := range findings {
			related = append(related, f.Related...)
		}
		if got := short(findings); got != tt.want || !cmp.Equal(related, tt.related) {
			t.Errorf("%s: %q with %q; want %q with %q", tt.name, got, related, tt.want, tt.related)
		}
	}
}

func named(field string, list []string) string {
	text, _ := json.Marshal(list)
	return fmt.Sprintf(",%q:%s", field, text)
}

// What one record leaves open another one says.
func TestRecordsCompleteEachOther(t *testing.T) {
	db := databaseOf(t, "Go",
		recordOf("GO-1", "Go", `,"aliases":["CVE-2020-1111"],"summary":"of Go","published":"2020-03-01T00:00:00Z","references":[{"type":"WEB","url":"https://a.example"},{"type":"WEB","url":"https://b.example"}]`, ranged("introduced 0")),
		recordOf("GHSA-1", "Go", `,"aliases":["CVE-2020-1111"],"summary":"of GitHub","details":"more","published":"2020-02-01T00:00:00Z",`+
			`"database_specific":{"severity":"LOW"},"severity":[`+scored("CVSS_V3", v3)+`],"references":[{"type":"WEB","url":"https://b.example"},{"type":"WEB","url":"https://c.example"}]`,
			ranged("introduced 0", "fixed 2.0")),
	)
	p := scan.Package{Ecosystem: "Go", Name: "p", Version: "v1.0.0"}
	findings, _ := match(t, db, p)
	want := []scan.Finding{{
		ID: "GO-1", Name: "CVE-2020-1111", Title: "of Go", Description: "more", URI: "https://pkg.go.dev/vuln/GO-1", Severity: scan.Low, VendorSeverity: "LOW",
		Scores: []scan.Score{{Version: "3.1", Vector: v3, Base: 9.8}}, Package: p, FixedIn: "2.0", Related: []string{"GHSA-1"},
		References: []string{"https://a.example", "https://b.example", "https://c.example"}, Source: "Go",
		Published: time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC), Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}}
	if diff := cmp.Diff(want, findings, cmp.Comparer(func(a, b scan.Package) bool {
		return a.Name == b.Name && a.Version == b.Version && a.Ecosystem == b.Ecosystem
	})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The lowest version that is fixed and not affected again.
func TestFixedIn(t *testing.T) {
	tests := []struct{ affected, version, want string }{
		{ranged("introduced 0", "fixed 1.2", "introduced 1.2.5", "fixed 1.4"), "1.0", "1.2"},
		{ranged("introduced 1.0", "last_affected 1.9"), "1.5", ""},
		{`,"ranges":[` + rangeOf("ECOSYSTEM", "introduced 0", "fixed 1.2") + "," + rangeOf("ECOSYSTEM", "introduced 1.1", "fixed 1.5") + `]`, "1.0", "1.5"},
		{`,"ranges":[` + rangeOf("ECOSYSTEM", "introduced 2.0", "fixed 2.5") + "," + rangeOf("ECOSYSTEM", "introduced 1.0", "fixed 1.5") + `]`, "1.2", "1.5"},
		{ranged("introduced 0", "fixed 1.5") + `,"versions":["2.0"]`, "2.0", ""},
	}
	for _, tt := range tests {
		db := databaseOf(t, "npm", recordOf("GHSA-1", "npm", "", tt.affected))
		findings, _ := match(t, db, scan.Package{Ecosystem: "npm", Name: "p", Version: tt.version})
		if len(findings) != 1 || findings[0].FixedIn != tt.want {
			t.Errorf("%s in %s: %q", tt.version, tt.affected, short(findings))
		}
	}
}

// Each place where a package lies has its findings, in an order that does not depend on
// that of the packages.
func TestEachPlace(t *testing.T) {
	db := databaseOf(t, "npm", recordOf("GHSA-2", "npm", "", ranged("introduced 0")), recordOf("GHSA-1", "npm", `,"database_specific":{"severity":"LOW"}`, ranged("introduced 0")))
	at := func(path string) scan.Package {
		return scan.Package{Ecosystem: "npm", Name: "p", Version: "1.0.0", Path: path}
	}
	var all []string
	for _, list := range [][]scan.Package{{at("a"), at("b"), at("a")}, {at("b"), at("a")}} {
		findings, _ := match(t, db, list...)
		var got []string
		for _, f := range findings {
			got = append(got, f.ID+" "+f.Package.Path)
		}
		all = append(all, strings.Join(got, ", "))
	}
	if want := "GHSA-1 a, GHSA-1 b, GHSA-2 a, GHSA-2 b"; all[0] != want || all[1] != want {
		t.Errorf("%q, want %q both times", all, want)
	}
}
