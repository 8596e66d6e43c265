package doctor_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/doctor"
)

func TestThisMachineSyncsAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	took, err := doctor.ThisMachine().Append(t.Context(), dir, 3)
	if err != nil || len(took) != 3 {
		t.Fatalf("3 appends took %v, %v", took, err)
	}
	for _, d := range took {
		if d <= 0 {
			t.Errorf("an append took %s", d)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestThisMachineStopsSyncingWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if took, err := doctor.ThisMachine().Append(ctx, t.TempDir(), 1000); err != nil || len(took) > 0 {
		t.Errorf("%d appends, %v", len(took), err)
	}
	if _, err := doctor.ThisMachine().Append(t.Context(), t.TempDir()+"/absent", 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is absent: %v", err)
	}
}

func TestThisMachineKnowsItself(t *testing.T) {
	m := doctor.ThisMachine()
	if v, err := m.Volume(t.TempDir()); err != nil || v.Size == 0 || v.Free > v.Size {
		t.Errorf("Volume: %+v, %v", v, err)
	}
	if n, err := m.MaxOpenFiles(); err != nil || n == 0 {
		t.Errorf("MaxOpenFiles: %d, %v", n, err)
	}
	if out, err := m.Run(t.Context(), "/bin/sh", "-c", "echo out; echo err >&2"); err != nil || out != "out\nerr\n" {
		t.Errorf("Run: %q, %v", out, err)
	}
	if list, err := m.Resolve(t.Context(), "127.0.0.1"); err != nil || len(list) != 1 || !list[0].IsLoopback() {
		t.Errorf("Resolve: %v, %v", list, err)
	}
}
