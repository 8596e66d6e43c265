package events_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/events"
)

const page = "../../docs/events.md"

// TestPageOfEvents holds the page for users to what is told: each sample as it is, and
// all detail-types with their sources. With UPDATE set in the environment it writes
// the samples anew that the page shows.
func TestPageOfEvents(t *testing.T) {
	content, err := os.ReadFile(page)
	must(t, err)
	text, all := string(content), samples(t)
	blocks := regexp.MustCompile("(?s)(<!-- event: (\\S+) -->\n```json\n)(.*?)(```)")
	if os.Getenv("UPDATE") != "" {
		text = blocks.ReplaceAllStringFunc(text, func(block string) string {
			m := blocks.FindStringSubmatch(block)
			return m[1] + shown(t, all[m[2]]) + m[4]
		})
		must(t, os.WriteFile(page, []byte(text), 0o644))
	}
	for _, m := range blocks.FindAllStringSubmatch(text, -1) {
		e, ok := all[m[2]]
		if !ok {
			t.Errorf("%s is shown twice or unheard of", m[2])
			continue
		}
		delete(all, m[2])
		if diff := cmp.Diff(shown(t, e), m[3]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m[2], diff)
		}
	}
	for name := range all {
		t.Errorf("the page does not show %s", name)
	}
	for _, detailType := range events.DetailTypes() {
		source := "aws.ecr"
		if strings.HasPrefix(detailType, "Berth ") {
			source = "berth"
		}
		if !strings.Contains(text, "| `"+detailType+"` | `"+source+"` |") {
			t.Errorf("the page does not speak of %q", detailType)
		}
	}
}
