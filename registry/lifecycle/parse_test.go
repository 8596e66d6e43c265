package lifecycle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/lifecycle"
)

// rule writes a rule of a policy. A selection is the inside of its object.
func rule(priority int, selection, action string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"selection":{%s},"action":{%s}}`, priority, selection, action)
}

func policy(rules ...string) string { return `{"rules":[` + strings.Join(rules, ",") + `]}` }

const (
	expire  = `"type":"expire"`
	archive = `"type":"transition","targetStorageClass":"archive"`

	untagged = `"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14`
	anyTag   = `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10`
)

func tagged(lists string) string {
	return `"tagStatus":"tagged",` + lists + `,"countType":"imageCountMoreThan","countNumber":1`
}

func parse(t testing.TB, text string, o lifecycle.Options) *lifecycle.Policy {
	t.Helper()
	p, err := lifecycle.Parse(text, o)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestParse(t *testing.T) {
	text := `{ "rules": [
		{"rulePriority": 20, "description": "what is old", "selection": {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days",
			"countNumber": 30, "storageClass": "standard"}, "action": {"targetStorageClass": "archive", "type": "transition"}},
		{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["v*", "*-a*b*c*"], "countType": "imageCountMoreThan", "countNumber": 5},
			"action": {"type": "expire"}},
		{"rulePriority": 30, "selection": {"storageClass": "archive", "tagStatus": "any", "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 90},
			"action": {"type": "expire"}},
		{"rulePriority": 2, "selection": {"tagStatus": "tagged", "tagPrefixList": ["dev"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
			"action": {"type": "expire"}},
		{"rulePriority": 3, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 2147483647},
			"action": {"type": "expire"}}
	] }`
	want := []lifecycle.Rule{
		{Priority: 1, Status: lifecycle.Tagged, Patterns: []string{"v*", "*-a*b*c*"}, Count: lifecycle.ImageCountMoreThan, Number: 5, Action: lifecycle.Expire},
		{Priority: 2, Status: lifecycle.Tagged, Prefixes: []string{"dev"}, Count: lifecycle.SinceImagePushed, Number: 1, Action: lifecycle.Expire},
		{Priority: 3, Status: lifecycle.Untagged, Count: lifecycle.SinceImagePushed, Number: 2147483647, Action: lifecycle.Expire},
		{Priority: 20, Description: "what is old", Status: lifecycle.Any, Count: lifecycle.SinceImagePulled, Number: 30, Action: lifecycle.Transition},
		{Priority: 30, Status: lifecycle.Any, Archived: true, Count: lifecycle.SinceImageTransitioned, Number: 90, Action: lifecycle.Expire},
	}
	for _, text := range []string{text, lifecycle.Compact(text)} {
		if diff := cmp.Diff(want, parse(t, text, lifecycle.Options{}).Rules); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
	}
}

func TestCompact(t *testing.T) {
	const in, want = "{ \"b\" : [ 1 ,\r\n\t2 ], \"a\":\" x  y<\\u00e9\" }\n", `{"b":[1,2],"a":" x  y<\u00e9"}`
	if got := lifecycle.Compact(in); got != want {
		t.Errorf("compact: %s, want %s", got, want)
	}
	if got := lifecycle.Compact("{"); got != "{" {
		t.Errorf("what is no JSON becomes %q", got)
	}
}

const (
	failure  = "Lifecycle policy validation failure: "
	unmapped = "Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy."
	noSchema = "instance failed to match exactly one schema (matched 0 out of 4)"
)

func TestMessages(t *testing.T) {
	var many []string
	for i := range 51 {
		many = append(many, rule(i+1, tagged(fmt.Sprintf(`"tagPrefixList":["p%d"]`, i)), expire))
	}
	first := func(selection string) string { return policy(rule(1, selection, expire)) }
	since := func(kind, more string) string {
		return `"tagStatus":"any","countType":"` + kind + `","countUnit":"days","countNumber":90` + more
	}
	tests := []struct {
		what, text, reason string
		unclosed           bool
	}{
		{"nothing", "", unmapped, false},
		{"no JSON", "rules", unmapped, false},
		{"half of one", `{"rules":[`, unmapped, false},
		{"two documents", policy(rule(1, anyTag, expire)) + "{}", unmapped, false},
		{"an array", "[]", unmapped, false},
		{"a doubled name", `{"rules":[],"rules":[]}`, unmapped, false},
		{"no text", "{\"rules\":\"\xff\"}", unmapped, false},
		{"too deep", `{"rules":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", unmapped, false},
		{"no rules", "{}", failure + `object has missing required properties (["rules"])`, false},
		{"rules that are null", `{"rules":null}`, failure + `instance type (null) does not match any allowed primitive type (allowed: ["array"])`, false},
		{"no rule", policy(), failure + "array is too short: must have at least 1 elements but instance has 0 elements", false},
		{"51 rules", policy(many...), failure + "array is too long: must have at most 50 elements but instance has 51 elements", false},
		{"an extra key", `{"rules":[],"version":1}`, failure + `object instance has properties which are not allowed by the schema: (["version"])`, false},
		{"the key of the extensions", `{"rules":[],"berth":{}}`, failure + `object instance has properties which are not allowed by the schema: (["berth"])`, false},
		{"a key in capitals", `{"Rules":[]}`, failure + `object has missing required properties (["rules"])`, false},
		{"a rule that is none", policy("1"), failure + `instance type (integer) does not match any allowed primitive type (allowed: ["object"])`, false},
		{"an empty rule", policy("{}"), failure + `object has missing required properties (["action", "rulePriority", "selection"])`, false},
		{"an empty selection", first(""), failure + `object has missing required properties (["countNumber", "countType", "tagStatus"])`, false},
		{"an empty action", policy(rule(1, anyTag, "")), failure + `object has missing required properties (["type"])`, false},
		{"extra keys in a selection", first(anyTag + `,"x":1,"a\"":2`), failure + `object instance has properties which are not allowed by the schema: (["a\"", "x"])`, false},
		{"a description that is a number", policy(`{"rulePriority":1,"description":1,"selection":{` + anyTag + `},"action":{` + expire + `}}`),
			failure + `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`, false},
		{"tag status", first(`"tagStatus":"ANY","countType":"imageCountMoreThan","countNumber":1`),
			failure + `instance value (ANY) not found in enum :(possible values: ["any", "tagged", "untagged"])`, false},
		{"action", policy(rule(1, anyTag, `"type":"delete"`)), failure + `instance value (delete) not found in enum :(possible values: ["expire", "transition"])`, false},
		{"unit", first(`"tagStatus":"any","countType":"sinceImagePushed","countUnit":"hours","countNumber":1`),
			failure + `instance value (hours) not found in enum :(possible values: ["days"])`, false},
		{"storage class", first(anyTag + `,"storageClass":"glacier"`), failure + `instance value (glacier) not found in enum :(possible values: ["archive", "standard"])`, false},
		{"target", policy(rule(1, anyTag, `"type":"transition","targetStorageClass":"standard"`)),
			failure + `instance value (standard) not found in enum :(possible values: ["archive"])`, false},
		{"count type", first(`"tagStatus":"any","countType":"imageCount","countNumber":1`), failure + noSchema, true},
		{"a count with a unit", first(anyTag + `,"countUnit":"days"`), failure + noSchema, true},
		{"days without a unit", first(`"tagStatus":"any","countType":"sinceImagePushed","countNumber":1`), failure + noSchema, true},
		{"the archive unsaid", first(since("sinceImageTransitioned", "")), failure + noSchema, true},
		{"no image", first(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":0`),
			failure + "numeric instance is lower than the required minimum (minimum: 1, found: 0)", true},
		{"priority below one", policy(rule(-3, anyTag, expire)), failure + "numeric instance is lower than the required minimum (minimum: 1, found: -3)", true},
		{"half an image", first(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1.5`),
			failure + `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`, false},
		{"a number in quotes", first(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":"1"`),
			failure + `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`, false},
		{"too many to map", first(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2147483648`), unmapped, false},
		{"no target", policy(rule(1, anyTag, `"type":"transition"`)), unmapped, false},
		{"a target of nothing", policy(rule(1, anyTag, expire+`,"targetStorageClass":"archive"`)),
			failure + `object instance has properties which are not allowed by the schema: (["targetStorageClass"])`, false},
		{"equal priorities", policy(rule(1, untagged, expire), rule(1, anyTag, expire)), failure + "Duplicate priority in multiple rules", false},
		{"two of any", policy(rule(1, anyTag, expire), rule(2, anyTag, expire)), failure + "Only one rule can specify tagStatus=ANY", false},
		{"any first", policy(rule(1, anyTag, expire), rule(2, untagged, expire)), failure + "Rule for tagStatus=ANY must have the lowest priority per storage class", false},
		{"two of untagged", policy(rule(1, untagged, expire), rule(2, untagged, archive)), failure + "Only one rule can select Untagged images per storage class.", false},
		{"tagged without a list", first(`"tagStatus":"tagged","countType":"imageCountMoreThan","countNumber":1`),
			failure + "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.", false},
		{"both lists", first(tagged(`"tagPrefixList":["a"],"tagPatternList":["b"]`)),
			failure + "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList", false},
		{"a list of untagged", first(untagged + `,"tagPrefixList":["a"]`), failure + "Cannot specify tagPrefixList with tagStatus untagged", false},
		{"patterns of any", first(anyTag + `,"tagPatternList":["a"]`), failure + "Cannot specify tagPatternList with tagStatus any", false},
		{"five stars", first(tagged(`"tagPatternList":["*a*b*c*d*"]`)), failure + "Invalid tag pattern provided. Total number of * must not exceed 4", false},
		{"an empty list", first(tagged(`"tagPatternList":[]`)), failure + "array is too short: must have at least 1 elements but instance has 0 elements", false},
		{"an empty prefix", first(tagged(`"tagPrefixList":[""]`)), failure + `string "" is too short (length: 0, required minimum: 1)`, false},
		{"a count of the archive", first(anyTag + `,"storageClass":"archive"`),
			failure + "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only", false},
		{"what was not pulled is expired", first(since("sinceImagePulled", "")), failure + "SINCE_IMAGE_PULLED supports the TRANSITION action only", false},
		{"archived twice", policy(rule(1, since("sinceImageTransitioned", `,"storageClass":"archive"`), archive)),
			failure + "SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only", false},
		{"89 days", first(strings.Replace(since("sinceImageTransitioned", `,"storageClass":"archive"`), "90", "89", 1)),
			failure + "countNumber must be at least 90 for SINCE_IMAGE_TRANSITIONED", false},
		{"a prefix twice", policy(rule(1, tagged(`"tagPrefixList":["a","b"]`), expire), rule(2, tagged(`"tagPrefixList":["b"]`), expire)),
			failure + `tagPrefixList "b" is used by multiple rules`, false},
	}
	for _, tt := range tests {
		p, err := lifecycle.Parse(tt.text, lifecycle.Options{})
		var e *lifecycle.Error
		if !errors.As(err, &e) || e.Reason != tt.reason || e.Unclosed != tt.unclosed || p != nil {
			t.Errorf("%s:\ngot  %+v\nwant %s", tt.what, err, tt.reason)
			continue
		}
		if want := "'" + tt.reason; !strings.HasPrefix(e.Quoted(), want) || strings.HasSuffix(e.Quoted(), "'") == tt.unclosed {
			t.Errorf("%s: quoted %s", tt.what, e.Quoted())
		}
	}
}

// The classes have rules of their own: each may have one for any tag.
func TestClassesAreApart(t *testing.T) {
	old := `"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`
	parse(t, policy(rule(1, old, expire), rule(2, untagged, expire), rule(3, anyTag, archive)), lifecycle.Options{})
	parse(t, policy(rule(1, tagged(`"tagPrefixList":["a"]`), expire), rule(2, tagged(`"tagPatternList":["a"]`), expire)), lifecycle.Options{})
}

func TestRuleLimit(t *testing.T) {
	two := policy(rule(1, untagged, expire), rule(2, anyTag, expire))
	parse(t, two, lifecycle.Options{MaxRules: 2})
	if _, err := lifecycle.Parse(two, lifecycle.Options{MaxRules: 1}); err == nil {
		t.Error("two rules where one may be")
	}
}

func TestExtensions(t *testing.T) {
	with := func(extension string) string {
		return strings.TrimSuffix(policy(rule(1, anyTag, expire)), "}") + `,"berth":` + extension + "}"
	}
	p := parse(t, with(`{"keep":[{"tagPatternList":["v*"],"tagPrefixList":["r-"],"description":"ours"}],"ageFrom":"tag"}`), lifecycle.Options{Extensions: true})
	want := []lifecycle.Keep{{Description: "ours", Patterns: []string{"v*"}, Prefixes: []string{"r-"}}}
	if diff := cmp.Diff(want, p.Keep); diff != "" || !p.AgeFromTag {
		t.Errorf("age from tag %v, keep (-want +got):\n%s", p.AgeFromTag, diff)
	}
	if p := parse(t, with(`{"ageFrom":"push"}`), lifecycle.Options{Extensions: true}); p.AgeFromTag || p.Keep != nil {
		t.Errorf("the default said is %+v", p)
	}
	for _, bad := range []string{`1`, `{"x":1}`, `{"keep":[]}`, `{"keep":[{}]}`, `{"keep":[{"tagPatternList":["*****"]}]}`, `{"ageFrom":"pull"}`, `null`} {
		if _, err := lifecycle.Parse(with(bad), lifecycle.Options{Extensions: true}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(policy(rule(1, untagged, expire), rule(2, anyTag, archive)))
	f.Add(`{"rules":[{"rulePriority":1e9}]}`)
	f.Add(strings.TrimSuffix(policy(rule(1, anyTag, expire)), "}") + `,"berth":{"keep":[{"tagPrefixList":["a"]}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, extensions := range []bool{false, true} {
			o := lifecycle.Options{Extensions: extensions}
			p, err := lifecycle.Parse(text, o)
			var e *lifecycle.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				continue
			}
			again, err := lifecycle.Parse(lifecycle.Compact(text), o)
			if diff := cmp.Diff(p, again); err != nil || diff != "" {
				t.Errorf("%v, compact (-before +after):\n%s", err, diff)
			}
		}
	})
}
