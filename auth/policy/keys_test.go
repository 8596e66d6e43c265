package policy_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/policy"
)

// The page for users has all keys that come with requests, and no others.
func TestKeysAreOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`(?:aws|ecr|iam|sts|berth):.*) \\|.*$").FindAllSubmatch(page, -1) {
		for _, key := range regexp.MustCompile("`([^`]+?)(?:KEY)?`").FindAllSubmatch(row[1], -1) {
			documented = append(documented, string(key[1]))
		}
	}
	slices.Sort(documented)
	documented = slices.Compact(documented)
	known := slices.Sorted(slices.Values(policy.KnownKeys))
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("documented (-known +page):\n%s", diff)
	}
}
