package bench_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*bench.Options){
		"concurrency":  func(o *bench.Options) { o.Concurrency = -1 },
		"count":        func(o *bench.Options) { o.Count = -1 },
		"duration":     func(o *bench.Options) { o.Count, o.Duration = 0, 0 },
		"layers":       func(o *bench.Options) { o.Layers = 0 },
		"layer size":   func(o *bench.Options) { o.LayerSize = 31 },
		"large size":   func(o *bench.Options) { o.LargeSize = 0 },
		"images":       func(o *bench.Options) { o.Images = 0 },
		"tags":         func(o *bench.Options) { o.Tags = 0 },
		"repositories": func(o *bench.Options) { o.Repositories = 0 },
		"prefix":       func(o *bench.Options) { o.Prefix = "" },
	} {
		o := bench.Defaults()
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if o.Check() == nil {
			t.Errorf("%s: %+v is taken", name, o)
		}
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		texts []string
		want  []bench.Choice // nil: refused
	}{
		{[]string{"push-image"}, []bench.Choice{{Scenario: "push-image"}}},
		{[]string{"push-image@3", "push-image@16"}, []bench.Choice{{"push-image", 3}, {"push-image", 16}}},
		{[]string{"ecr-re*@2", "mount"}, []bench.Choice{{"ecr-repos", 2}, {Scenario: "mount"}}},
		{[]string{"*-large"}, nil},
		{[]string{"push"}, nil},
		{[]string{""}, nil},
		{[]string{"mount@"}, nil},
		{[]string{"mount@0"}, nil},
		{[]string{"mount@x"}, nil},
	}
	for _, tt := range tests {
		got, err := bench.Choose(tt.texts)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v (-want +got):\n%s", tt.texts, err, diff)
		}
	}
	if all, err := bench.Choose(nil); err != nil || len(all) != len(bench.Names()) {
		t.Errorf("none are %v, %v", all, err)
	}
	for _, name := range bench.Names() {
		if bench.Describe(name) == "" {
			t.Errorf("nothing says what %s does", name)
		}
	}
}
