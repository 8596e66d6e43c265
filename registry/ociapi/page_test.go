package ociapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/ociapi"
)

// docs/compat.md tells each quirk as the table does, and no other.
func TestCompatPageTellsEachQuirk(t *testing.T) {
	page, err := os.ReadFile("../../docs/compat.md")
	must(t, err)
	var rows []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what ") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	quirks := ociapi.Quirks()
	for i, q := range quirks {
		if row := fmt.Sprintf("| %s | %s | %s |", q.Name, q.OCI, q.ECR); i >= len(rows) || rows[i] != row {
			t.Errorf("row %d should be\n%s", i+1, row)
		}
	}
	if len(rows) != len(quirks) {
		t.Errorf("%d rows, want %d", len(rows), len(quirks))
	}
}
