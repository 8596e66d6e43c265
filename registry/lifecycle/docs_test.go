package lifecycle_test

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/lifecycle"
)

// TestThePageForUsers holds the policies that docs/lifecycle.md shows.
func TestThePageForUsers(t *testing.T) {
	page, err := os.ReadFile("../../docs/lifecycle.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```json\n")[1:]
	if len(blocks) != 2 {
		t.Fatalf("%d policies are shown", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		parse(t, text, lifecycle.Options{Extensions: true})
		if _, err := lifecycle.Parse(text, lifecycle.Options{}); (err == nil) != (i == 0) {
			t.Errorf("without extensions: %v of %s", err, text)
		}
	}
}
