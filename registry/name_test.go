package registry_test

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

func TestParseName(t *testing.T) {
	tests := []struct {
		in string
		ok bool
	}{
		{"ab", true},
		{"a1", true},
		{"team/app", true},
		{"a/b/c/d", true},
		{"a.b_c__d---e/f", true},
		{"blobs/uploads", true},
		{"x/manifests/y", true},
		{"con", true}, // names never become names of files
		{strings.Repeat("a", 256), true},
		{"a" + strings.Repeat("/b", 127), true},

		{"", false},
		{"a", false}, // ECR wants two characters
		{strings.Repeat("a", 257), false},
		{strings.Repeat("ab/", 100) + "c", false},
		{"..", false},
		{"../etc", false},
		{"a/../b", false},
		{"a/./b", false},
		{"a..b", false},
		{"%2e%2e", false},
		{"a%2fb", false},
		{"a//b", false},
		{"/ab", false},
		{"ab/", false},
		{"ab\x00", false},
		{"a\x00b", false},
		{"ab\n", false},
		{"a\r\nb", false},
		{`a\b`, false},
		{"Team/app", false},
		{"team/App", false},
		{"_catalog", false},
		{"a_", false},
		{"-a", false},
		{"a/-b", false},
		{"a.", false},
		{"a ", false},
		{"a___b", false},
		{"a._b", false},
		{"a:b", false},
		{"a@b", false},
		{"a*", false},
		{"\u0430pp", false},   // Cyrillic
		{"\uff41pp", false},   // full width
		{"app\u200b", false},  // zero width space
		{"te\u0301st", false}, // combining accent
		{"\xff\xfe", false},
	}
	for _, tt := range tests {
		n, err := registry.ParseName(here, tt.in)
		if tt.ok {
			if err != nil || n.String() != tt.in || n.ID() != here || n.IsZero() {
				t.Errorf("ParseName(%q) = %q of %v, %v; want it as it is", tt.in, n, n.ID(), err)
			}
			continue
		}
		if registry.CodeOf(err) != registry.NameInvalid || !n.IsZero() {
			t.Errorf("ParseName(%q) = %q, %v; want a refusal", tt.in, n, err)
		}
	}
}

func TestParseTag(t *testing.T) {
	tests := []struct {
		in string
		ok bool
	}{
		{"1", true},
		{"1.0", true},
		{"latest", true},
		{"Latest", true},
		{"_x", true},
		{"a-b_c.d", true},
		{"sha256-" + strings.Repeat("0", 64), true},
		{strings.Repeat("a", 128), true},

		{"", false},
		{strings.Repeat("a", 129), false},
		{".x", false},
		{"-x", false},
		{"..", false},
		{"a:b", false},
		{"a@b", false},
		{"a/b", false},
		{"%2e", false},
		{"a\x00", false},
		{"a\n", false},
		{"a b", false},
		{"a*", false},
		{"\u0430", false},
	}
	for _, tt := range tests {
		got, err := registry.ParseTag(tt.in)
		if tt.ok {
			if err != nil || got.String() != tt.in || got.IsZero() {
				t.Errorf("ParseTag(%q) = %q, %v; want it as it is", tt.in, got, err)
			}
			continue
		}
		if registry.CodeOf(err) != registry.TagInvalid || !got.IsZero() {
			t.Errorf("ParseTag(%q) = %q, %v; want a refusal", tt.in, got, err)
		}
	}
}

func TestParseID(t *testing.T) {
	tests := []struct {
		account, region string
		ok              bool
	}{
		{"000000000000", "us-east-1", true},
		{"123456789012", "eu-central-1", true},
		{"123456789012", "mars", true}, // whether it exists is asked elsewhere

		{"12345678901", "us-east-1", false},
		{"1234567890123", "us-east-1", false},
		{"12345678901a", "us-east-1", false},
		{"", "us-east-1", false},
		{"\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660\u0661\u0662", "us-east-1", false}, // Arabic digits
		{"123456789012", "", false},
		{"123456789012", "u", false},
		{"123456789012", "US-EAST-1", false},
		{"123456789012", "us\x00east", false},
		{"123456789012", "us/east", false},
		{"123456789012", "us-east-1\n", false},
		{"123456789012", strings.Repeat("a", 26), false},
		{"..", "..", false},
	}
	for _, tt := range tests {
		id, err := registry.ParseID(tt.account, tt.region)
		want := registry.ID{}
		if tt.ok {
			want = registry.ID{Account: tt.account, Region: tt.region}
		}
		if id != want || (err == nil) != tt.ok || !tt.ok && registry.CodeOf(err) != registry.RegistryInvalid {
			t.Errorf("ParseID(%q, %q) = %v, %v; want %v", tt.account, tt.region, id, err, want)
		}
	}
}

func TestARN(t *testing.T) {
	tests := []struct{ region, want string }{
		{"us-east-1", "arn:aws:ecr:us-east-1:123456789012:repository/team/app"},
		{"cn-north-1", "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app"},
		{"us-gov-west-1", "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/team/app"},
	}
	for _, tt := range tests {
		n := nameIn(t, registry.ID{Account: "123456789012", Region: tt.region}, "team/app")
		if n.ARN() != tt.want {
			t.Errorf("ARN in %s = %s, want %s", tt.region, n.ARN(), tt.want)
		}
	}
	if got, want := here.ARN("*"), "arn:aws:ecr:us-east-1:000000000000:repository/*"; got != want {
		t.Errorf("ARN of all repositories = %s, want %s", got, want)
	}
}

func TestTagAsJSON(t *testing.T) {
	for _, in := range []string{"", "1.0"} {
		b, err := json.Marshal(tag(t, in))
		must(t, err)
		var got registry.Tag
		must(t, json.Unmarshal(b, &got))
		if got != tag(t, in) {
			t.Errorf("tag %q came back from JSON as %q", in, got)
		}
	}
	var got registry.Tag
	wantCode(t, "read a tag that is none", json.Unmarshal([]byte(`"a/b"`), &got), registry.TagInvalid)
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"team/app", "a", "ab", "..", "a/../b", "%2e%2e/", "a//b", "/a", "a\x00b", "A", "a__b", "a___b", "a---b",
		strings.Repeat("a", 256), strings.Repeat("a", 257), "\u0430pp", "blobs/uploads", "x/tags/list", "a\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := registry.ParseName(here, s)
		if err != nil {
			if registry.CodeOf(err) != registry.NameInvalid || len(err.Error()) > 4000 {
				t.Errorf("ParseName(%q): %v, which is no short refusal", s, err)
			}
			return
		}
		safe := len(s) >= 2 && len(s) <= registry.MaxName && path.Clean("/"+s) == "/"+s && strings.ToLower(s) == s
		if n.String() != s || !safe || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" {
			t.Errorf("ParseName took %q", s)
		}
	})
}

func FuzzParseTag(f *testing.F) {
	for _, s := range []string{
		"latest", "1.0", "_", ".a", "-a", "a:b", "a@b", "..", "%2e", "a\x00", "", "a\n",
		strings.Repeat("a", 128), strings.Repeat("a", 129), "\u0430",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := registry.ParseTag(s)
		if err != nil {
			if registry.CodeOf(err) != registry.TagInvalid || len(err.Error()) > 4000 {
				t.Errorf("ParseTag(%q): %v, which is no short refusal", s, err)
			}
			return
		}
		if got.String() != s || len(s) > 128 || strings.ContainsAny(s, "/:@\x00 \n\r%") || s[0] == '.' || s[0] == '-' {
			t.Errorf("ParseTag took %q", s)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("000000000000", "us-east-1")
	f.Add("", "")
	f.Add("..", "..")
	f.Add("12345678901\x00", "us\x00")
	f.Add("1234567890123", strings.Repeat("a", 26))
	f.Fuzz(func(t *testing.T, account, region string) {
		id, err := registry.ParseID(account, region)
		if err != nil {
			if registry.CodeOf(err) != registry.RegistryInvalid || id != (registry.ID{}) || len(err.Error()) > 1000 {
				t.Errorf("ParseID(%q, %q) = %v, %v, which is no refusal", account, region, id, err)
			}
			return
		}
		bad := len(account) != 12 || strings.Trim(account, "0123456789") != "" || strings.ContainsAny(region, "\x00/.:") || len(region) > 25
		if bad || id.Account != account || id.Region != region {
			t.Errorf("ParseID took %q, %q", account, region)
		}
	})
}
