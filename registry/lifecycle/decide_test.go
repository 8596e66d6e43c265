package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.Add(-time.Duration(days)*24*time.Hour - time.Minute) }

func digestOf(name string) digest.Digest { return digest.FromBytes(digest.SHA256, []byte(name)) }

// image is one whose digest is that of its name, pushed some days ago.
func image(name string, days int, tags ...string) lifecycle.Facts {
	return lifecycle.Facts{Digest: digestOf(name), Tags: tags, PushedAt: ago(days)}
}

// outcome says of each image what becomes of it: "expire by 1", "archive by 2",
// with "kept" or "follows" behind it.
func outcome(p *lifecycle.Policy, images []lifecycle.Facts, names ...string) map[string]string {
	called := map[digest.Digest]string{}
	for _, name := range names {
		called[digestOf(name)] = name
	}
	got := map[string]string{}
	for _, d := range p.Decide(images, now) {
		what := map[lifecycle.Action]string{lifecycle.Expire: "expire", lifecycle.Transition: "archive"}[d.Action]
		what += fmt.Sprintf(" by %d", d.Rule)
		if d.Follows {
			what += " follows"
		}
		if d.Kept != "" {
			what += " kept " + string(d.Kept)
		}
		name := called[d.Image.Digest]
		if _, twice := got[name]; twice {
			what = "decided twice"
		}
		got[name] = what
	}
	return got
}

func days(kind string, n int) string {
	return fmt.Sprintf(`"countType":%q,"countUnit":"days","countNumber":%d`, kind, n)
}

func keep(n int) string { return fmt.Sprintf(`"countType":"imageCountMoreThan","countNumber":%d`, n) }

const (
	anything = `"tagStatus":"any",`
	bare     = `"tagStatus":"untagged",`
)

func prefixed(prefixes ...string) string {
	return `"tagStatus":"tagged","tagPrefixList":["` + strings.Join(prefixes, `","`) + `"],`
}

func matching(patterns ...string) string {
	return `"tagStatus":"tagged","tagPatternList":["` + strings.Join(patterns, `","`) + `"],`
}

// TestWorkedExamples are those of the ECR reference, policies.md section 4, and
// what Amazon's guide shows, on images of our own.
func TestWorkedExamples(t *testing.T) {
	betaProd := []lifecycle.Facts{image("A", 10, "beta-1", "prod-1"), image("B", 9, "beta-2", "prod-2"), image("C", 8, "beta-3")}
	kinds := []lifecycle.Facts{image("both", 6, "alpha-1", "beta-1"), image("one", 6, "alpha-2"), image("young", 4, "alpha-3", "beta-3")}
	mixed := []lifecycle.Facts{image("A", 4, "alpha-1", "beta-1"), image("B", 3), image("C", 2, "alpha-2"), image("D", 1, "8d3f00c"), image("E", 1)}
	mixed[4].PushedAt = now.Add(-20 * time.Hour)
	tests := []struct {
		what   string
		rules  []string
		images []lifecycle.Facts
		want   map[string]string
	}{
		{"prod before beta", []string{rule(1, prefixed("prod")+keep(1), expire), rule(2, prefixed("beta")+keep(1), expire)}, betaProd,
			map[string]string{"A": "expire by 1"}},
		{"beta before prod", []string{rule(2, prefixed("prod")+keep(1), expire), rule(1, prefixed("beta")+keep(1), expire)}, betaProd,
			map[string]string{"A": "expire by 1", "B": "expire by 1"}},
		{"every entry must match", []string{rule(1, matching("alpha*", "beta*")+days("sinceImagePushed", 5), expire)}, kinds,
			map[string]string{"both": "expire by 1"}},
		{"three rules", []string{rule(1, prefixed("alpha")+keep(1), expire), rule(2, bare+days("sinceImagePushed", 1), expire), rule(3, anything+keep(1), expire)}, mixed,
			map[string]string{"A": "expire by 1", "B": "expire by 2", "D": "expire by 3"}},
		{"untagged ones of a fortnight", []string{rule(1, bare+days("sinceImagePushed", 14), expire)},
			[]lifecycle.Facts{image("old", 15), image("named", 15, "v1"), image("new", 13)},
			map[string]string{"old": "expire by 1"}},
		{"the newest thirty of a version", []string{rule(1, matching("v*")+keep(2), expire)},
			[]lifecycle.Facts{image("v1", 9, "v1"), image("v2", 8, "v2"), image("v3", 7, "v3"), image("w", 6, "w3")},
			map[string]string{"v1": "expire by 1"}},
		{"stars on both sides", []string{rule(1, matching("*-rc*-x")+days("sinceImagePushed", 1), expire)},
			[]lifecycle.Facts{image("yes", 3, "1.0-rc2-x"), image("no", 3, "1.0-rc2-y"), image("short", 3, "-rc-x")},
			map[string]string{"yes": "expire by 1", "short": "expire by 1"}},
	}
	for _, tt := range tests {
		got := outcome(parse(t, policy(tt.rules...), lifecycle.Options{}), tt.images, "A", "B", "C", "D", "E", "both", "one", "young",
			"old", "named", "new", "v1", "v2", "v3", "w", "yes", "no", "short")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

func TestAges(t *testing.T) {
	restored, pulled, fresh := image("restored", 100), image("pulled", 100), image("fresh", 100)
	restored.ActivatedAt, restored.PulledAt = ago(5), ago(50)
	pulled.PulledAt = ago(5)
	fresh.TaggedAt = ago(5)
	archived, long := image("archived", 300), image("long", 300)
	archived.Archived, archived.ArchivedAt = true, ago(80)
	long.Archived, long.ArchivedAt = true, ago(91)
	all := []lifecycle.Facts{image("plain", 100), restored, pulled, fresh, archived, long}
	names := []string{"plain", "restored", "pulled", "fresh", "archived", "long"}
	thirty := policy(rule(1, anything+days("sinceImagePushed", 30), expire))
	old := `"storageClass":"archive",` + anything + days("sinceImageTransitioned", 90)
	tests := []struct {
		what, text string
		want       map[string]string
	}{
		{"pushed", thirty, map[string]string{"plain": "expire by 1", "pulled": "expire by 1", "fresh": "expire by 1"}},
		{"pulled", policy(rule(1, anything+days("sinceImagePulled", 30), archive)), map[string]string{"plain": "archive by 1", "fresh": "archive by 1"}},
		{"archived", policy(rule(1, old, expire)), map[string]string{"long": "expire by 1"}},
		{"with an age from tags", strings.TrimSuffix(thirty, "}") + `,"berth":{"ageFrom":"tag"}}`, map[string]string{"plain": "expire by 1", "pulled": "expire by 1"}},
		{"the youngest", policy(rule(1, anything+keep(1), expire)), map[string]string{"plain": "expire by 1", "pulled": "expire by 1", "fresh": "expire by 1"}},
	}
	for _, tt := range tests {
		got := outcome(parse(t, tt.text, lifecycle.Options{Extensions: true}), all, names...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// A day is 24 hours, and an image of just so many days is not older.
func TestTheLastMoment(t *testing.T) {
	p := parse(t, policy(rule(1, anything+days("sinceImagePushed", 2), expire)), lifecycle.Options{})
	at := image("x", 0)
	at.PushedAt = now.Add(-48 * time.Hour)
	if got := p.Decide([]lifecycle.Facts{at}, now); len(got) != 0 {
		t.Errorf("of two days sharp: %+v", got)
	}
	if got := p.Decide([]lifecycle.Facts{at}, now.Add(1)); len(got) != 1 {
		t.Errorf("a moment older: %+v", got)
	}
}

func TestIndexesKeepTheirImages(t *testing.T) {
	index, child := image("index", 50, "v1"), image("child", 50)
	child.Parents = []digest.Digest{index.Digest}
	gone := image("orphan", 50)
	all := []lifecycle.Facts{index, child, gone}
	names := []string{"index", "child", "orphan"}
	is := func(what, text string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, outcome(parse(t, text, lifecycle.Options{}), all, names...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	old := rule(1, bare+days("sinceImagePushed", 30), expire)
	is("untagged", policy(old), map[string]string{"child": "expire by 1 kept ImageReferencedByManifestList", "orphan": "expire by 1"})
	is("with their index", policy(rule(1, anything+days("sinceImagePushed", 30), expire)), map[string]string{
		"index": "expire by 1", "child": "expire by 1 kept ImageReferencedByManifestList", "orphan": "expire by 1"})
	is("into the archive", policy(rule(1, bare+days("sinceImagePushed", 30), archive)), map[string]string{
		"child": "archive by 1 kept ImageReferencedByManifestList", "orphan": "archive by 1"})
	all[0].Archived, all[0].ArchivedAt = true, ago(1)
	is("into the archive after their index", policy(rule(1, bare+days("sinceImagePushed", 30), archive)), map[string]string{
		"child": "archive by 1", "orphan": "archive by 1"})
	is("untagged, of an archived index", policy(old), map[string]string{"child": "expire by 1 kept ImageReferencedByManifestList", "orphan": "expire by 1"})
}

func TestReferrersFollow(t *testing.T) {
	subject, signature, attestation := image("subject", 50, "v1"), image("signature", 1), image("attestation", 90)
	signature.Subject, attestation.Subject = subject.Digest, signature.Digest
	lost := image("lost", 90) // whose subject is not here
	lost.Subject = digestOf("nowhere")
	all := []lifecycle.Facts{attestation, signature, subject, lost}
	names := []string{"subject", "signature", "attestation", "lost"}
	is := func(what, text string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, outcome(parse(t, text, lifecycle.Options{}), all, names...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	is("untagged", policy(rule(1, bare+days("sinceImagePushed", 30), expire)), map[string]string{"lost": "expire by 1"})
	is("all but one", policy(rule(1, anything+keep(1), expire)), map[string]string{"lost": "expire by 1"})
	is("their subject", policy(rule(7, prefixed("v")+days("sinceImagePushed", 30), expire)), map[string]string{
		"subject": "expire by 7", "signature": "expire by 7 follows", "attestation": "expire by 7 follows"})
	is("into the archive", policy(rule(7, prefixed("v")+days("sinceImagePushed", 30), archive)), map[string]string{
		"subject": "archive by 7", "signature": "archive by 7 follows", "attestation": "archive by 7 follows"})
	all[2].Archived = true
	is("after an archived subject", policy(rule(7, prefixed("w")+keep(1), archive)), map[string]string{
		"signature": "archive by 0 follows", "attestation": "archive by 0 follows"})
}

func TestKeepRules(t *testing.T) {
	text := strings.TrimSuffix(policy(rule(1, anything+keep(1), expire)), "}") + `,"berth":{"keep":[{"tagPatternList":["release-*"]},{"tagPrefixList":["v"]}]}}`
	all := []lifecycle.Facts{image("old", 9, "x", "release-1"), image("older", 10, "v2"), image("plain", 8, "dev"), image("new", 1, "release-2")}
	want := map[string]string{"old": "expire by 1 kept ImageKeptByKeepRule", "older": "expire by 1 kept ImageKeptByKeepRule", "plain": "expire by 1"}
	got := outcome(parse(t, text, lifecycle.Options{Extensions: true}), all, "old", "older", "plain", "new")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReasons(t *testing.T) {
	pulled := image("pulled", 40)
	pulled.PulledAt = ago(31)
	restored := image("restored", 400)
	restored.ActivatedAt = ago(31)
	archived := image("archived", 400)
	archived.Archived, archived.ArchivedAt = true, ago(100)
	referrer := image("referrer", 1)
	referrer.Subject = digestOf("x")
	tests := []struct {
		rule   string
		images []lifecycle.Facts
		want   string // of the last decision
	}{
		{rule(2, anything+days("sinceImagePushed", 30), expire), []lifecycle.Facts{image("x", 40)}, "pushed 40 days ago, and rule 2 expires what is older than 30 days"},
		{rule(2, anything+days("sinceImagePushed", 1), expire), []lifecycle.Facts{image("x", 1)}, "pushed 1 day ago, and rule 2 expires what is older than 1 day"},
		{rule(2, anything+days("sinceImagePulled", 30), archive), []lifecycle.Facts{pulled}, "last pulled 31 days ago, and rule 2 archives what is older than 30 days"},
		{rule(2, anything+days("sinceImagePushed", 30), expire), []lifecycle.Facts{restored}, "restored 31 days ago, and rule 2 expires what is older than 30 days"},
		{rule(2, `"storageClass":"archive",`+anything+days("sinceImageTransitioned", 90), expire), []lifecycle.Facts{archived}, "archived 100 days ago, and rule 2 expires what is older than 90 days"},
		{rule(3, anything+keep(1), expire), []lifecycle.Facts{image("x", 2), image("y", 1)}, "number 2 from the youngest on, and rule 3 expires all but the first 1"},
		{rule(2, anything+days("sinceImagePushed", 30), expire), []lifecycle.Facts{image("x", 40), referrer}, "its subject goes: pushed 40 days ago, and rule 2 expires what is older than 30 days"},
	}
	for _, tt := range tests {
		got := parse(t, policy(tt.rule), lifecycle.Options{}).Decide(tt.images, now)
		if len(got) == 0 || got[len(got)-1].Reason != tt.want {
			t.Errorf("%s:\ngot  %+v\nwant %s", tt.rule, got, tt.want)
		}
	}
}

// BenchmarkDecide decides about a repository as large as one may be, by a policy
// as people write them, and by one as long as one may be.
func BenchmarkDecide(b *testing.B) {
	few := []string{rule(1, matching("v*", "*-x")+keep(1000), expire),
		rule(2, bare+days("sinceImagePushed", 14), expire), rule(3, anything+days("sinceImagePulled", 30), archive)}
	var many []string
	for i := range 50 {
		many = append(many, rule(i+1, matching(fmt.Sprintf("v*%d*x", i))+keep(10), expire))
	}
	for _, n := range []int{1_000, 100_000} {
		var all []lifecycle.Facts
		for i := range n {
			img := image(fmt.Sprint(i), i%60)
			if i%3 > 0 {
				img.Tags = []string{fmt.Sprintf("v%d-x", i), "latest"}
			}
			all = append(all, img)
		}
		for _, rules := range [][]string{few, many} {
			p := parse(b, policy(rules...), lifecycle.Options{})
			b.Run(fmt.Sprintf("%dImages%dRules", n, len(rules)), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if len(p.Decide(all, now)) == 0 {
						b.Fatal("nothing is decided")
					}
				}
			})
		}
	}
}
