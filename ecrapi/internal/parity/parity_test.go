package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// The page is what the table, the model and the README say.
func TestPageIsCurrent(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/ecr-parity.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(render(notes(string(readme))), string(page)); diff != "" {
		t.Errorf("run make generate (-want +got):\n%s", diff)
	}
}

// The README speaks of each operation of the model, and of no other; so does the
// table of operations.
func TestOperationsAreTheModels(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	said, there := notes(string(readme)), map[string]bool{}
	for _, op := range ecrapi.Operations() {
		there[op.Name] = true
		if _, ok := shape.Operations[op.Name]; !ok {
			t.Errorf("%s is in the table and not in the model", op.Name)
		}
		if _, ok := said[op.Name]; !ok {
			t.Errorf("the README does not speak of %s", op.Name)
		}
	}
	for name := range shape.Operations {
		if !there[name] {
			t.Errorf("%s is in the model and not in the table", name)
		}
	}
	if len(said) != len(there) {
		t.Errorf("the README speaks of %d operations, there are %d", len(said), len(there))
	}
}
