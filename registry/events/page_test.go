package events_test

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
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
	blocks := regexp.MustCompile("(?s)(<!-- (event|cloudevent): (\\S+) -->\n```json\n)(.*?)(```)")
	forms := map[string]func(testing.TB, registry.Event) string{"event": shown, "cloudevent": shownAsCloudEvent}
	if os.Getenv("UPDATE") != "" {
		text = blocks.ReplaceAllStringFunc(text, func(block string) string {
			m := blocks.FindStringSubmatch(block)
			return m[1] + forms[m[2]](t, all[m[3]]) + m[5]
		})
		must(t, os.WriteFile(page, []byte(text), 0o644))
	}
	left := maps.Clone(all)
	for _, m := range blocks.FindAllStringSubmatch(text, -1) {
		e, ok := all[m[3]]
		if !ok {
			t.Errorf("%s is unheard of", m[3])
			continue
		}
		delete(left, m[3])
		if diff := cmp.Diff(forms[m[2]](t, e), m[4]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m[3], diff)
		}
	}
	for name := range left {
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
