package events_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
)

// The page for users shows events as they are, and all detail-types with their
// sources.
func TestPageOfEvents(t *testing.T) {
	text, err := os.ReadFile("../../docs/events.md")
	must(t, err)
	shown := regexp.MustCompile("(?s)<!-- event: (\\S+) -->\n```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(shown) == 0 {
		t.Error("the page shows no event")
	}
	for _, m := range shown {
		env, err := events.Tell(samples(t)[registry.EventKind(m[1])])
		must(t, err)
		want, err := json.MarshalIndent(env, "", "  ")
		must(t, err)
		if diff := cmp.Diff(string(want)+"\n", string(m[2])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m[1], diff)
		}
	}
	for _, detailType := range events.DetailTypes() {
		source := "aws.ecr"
		if strings.HasPrefix(detailType, "Berth ") {
			source = "berth"
		}
		if !strings.Contains(string(text), "| `"+detailType+"` | `"+source+"` |") {
			t.Errorf("the page does not speak of %q", detailType)
		}
	}
}
