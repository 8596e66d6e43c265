package audit_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/audit"
)

func TestChainOfAQuietTrailIsWhole(t *testing.T) {
	l := open(t)
	for range 5 {
		l.pull()
	}
	l.Step()
	if got := l.verify(); got != nil {
		t.Errorf("while it is written: %v", got)
	}
	l.must(l.Close())
	l.reopen()
	l.pull()
	l.must(l.Close())
	report, err := audit.VerifyTrail(l.options.File, key)
	want := audit.Report{Files: 1, Records: 10, First: 1, Last: 10, Sealed: true}
	if diff := cmp.Diff(want, report); diff != "" || err != nil {
		t.Errorf("after two runs (-want +got):\n%s%v", diff, err)
	}
	info, err := os.Stat(l.options.File)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestEachChangeOfATrailIsFound changes files of a trail that was closed.
func TestEachChangeOfATrailIsFound(t *testing.T) {
	tests := []struct {
		name   string
		change func(lines []string) []string
		want   []string
	}{
		{"a word changed", func(s []string) []string {
			s[2] = strings.Replace(s[2], "team/app", "team/apq", 1)
			return s
		}, []string{"audit.jsonl:3: record 3: its content is not what was written"}},
		{"a number changed", func(s []string) []string {
			s[2] = strings.Replace(s[2], `"sequence":3`, `"sequence":4`, 1)
			return s
		}, []string{
			"audit.jsonl:3: record 4: its content is not what was written",
			"audit.jsonl:3: record 4: record 3 is missing before it",
			"audit.jsonl:4: record 4: it stands behind record 4",
		}},
		{"a line taken out", func(s []string) []string { return append(s[:2], s[3:]...) },
			[]string{"audit.jsonl:3: record 4: record 3 is missing before it"}},
		{"two lines taken out", func(s []string) []string { return append(s[:1], s[3:]...) },
			[]string{"audit.jsonl:2: record 4: records 2 to 3 are missing before it"}},
		{"a line twice", func(s []string) []string { return slices.Insert(s, 3, s[2]) },
			[]string{"audit.jsonl:4: record 3: it stands behind record 3"}},
		{"two lines in each other's place", func(s []string) []string { s[1], s[2] = s[2], s[1]; return s }, []string{
			"audit.jsonl:2: record 3: record 2 is missing before it",
			"audit.jsonl:3: record 2: it stands behind record 3",
			"audit.jsonl:4: record 4: record 3 is missing before it",
		}},
		{"the last line cut off", func(s []string) []string { return s[:4] },
			[]string{"audit.jsonl: the end is cut off: record 5 is missing"}},
		{"the last line cut short", func(s []string) []string { s[4] = s[4][:100]; return s }, []string{
			"audit.jsonl:5: the last line is cut short",
			"audit.jsonl: the end is cut off: record 5 is missing",
		}},
		{"a seal taken off", func(s []string) []string {
			at := strings.LastIndex(s[2], `,"seal"`)
			s[2] = s[2][:at] + "}}\n"
			return s
		}, []string{"audit.jsonl:3: record 3: its seal is not of this server's key"}},
		{"a line that is no record", func(s []string) []string {
			s[2] = "{}\n" + s[2]
			return s
		}, []string{"audit.jsonl:3: the line has no place in a chain"}},
		{"a line that is no JSON", func(s []string) []string {
			s[2] = "hello\n" + s[2]
			return s
		}, []string{"audit.jsonl:3: the line is not JSON"}},
		{"all cut off", func([]string) []string { return nil },
			[]string{"audit.jsonl: the end is cut off: records 1 to 5 are missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t)
			for range 3 {
				l.pull()
			}
			l.must(l.Close())
			l.write(l.options.File, tt.change(l.lines(l.options.File))...)
			got := l.verify()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWholeChainMadeAnewIsFoundByItsSeal(t *testing.T) {
	l := open(t)
	l.pull()
	l.must(l.Close())
	forged := open(t, func(o *audit.Options) { o.Key = []byte("another key of enough bytes") })
	forged.pull()
	forged.must(forged.Close())
	l.write(l.options.File, l.lines(forged.options.File)...)
	for _, want := range l.verify() {
		if !strings.Contains(want, "its seal is not of this server's key") {
			t.Error(want)
		}
	}
	if got := l.verify(); len(got) != 3 {
		t.Errorf("breaks: %v", got)
	}
	report, err := audit.Verify([]string{l.options.File}, nil)
	if err != nil || len(report.Breaks) > 0 || report.Sealed {
		t.Errorf("without a key: %+v, %v", report, err)
	}
	l.must(os.Remove(l.options.File + ".head"))
	if got := l.verify(); !strings.HasPrefix(got[len(got)-1], "audit.jsonl.head: the head is missing") {
		t.Errorf("without a head: %v", got)
	}
}

func TestLineTornByAKillIsSetAside(t *testing.T) {
	l := open(t)
	l.pull()
	l.pull()
	l.Step()
	l.Abandon()
	lines := l.lines(l.options.File)
	torn := lines[2][:50] + "\x00\x00"
	l.write(l.options.File, lines[0], lines[1], torn)
	l.reopen()
	l.pull()
	all := l.records()
	details := all[2]["serviceEventDetails"].(map[string]any)
	want := map[string]any{"lastRecord": 2.0, "tornBytes": 52.0, "tornFile": "audit.jsonl.torn-000000000003", "recordsMissing": 1.0}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Errorf("what the record says (-want +got):\n%s", diff)
	}
	if side, err := os.ReadFile(l.options.File + ".torn-000000000003"); string(side) != torn || err != nil {
		t.Errorf("set aside: %q, %v", side, err)
	}
	if diff := cmp.Diff([]string{"audit.jsonl:3: record 4: record 3 is missing before it"}, l.verify()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.must(l.Close())
}

func TestLineTornBeforeItWasSyncedIsNotMissed(t *testing.T) {
	l := open(t)
	l.pull()
	l.Step()
	l.Abandon()
	l.write(l.options.File, append(l.lines(l.options.File), `{"eventVersion":"1.1`)...)
	l.reopen()
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
	l.must(l.Close())
}

func TestRecordsThatWereCutOffStayMissing(t *testing.T) {
	l := open(t)
	l.pull()
	l.pull()
	l.must(l.Close())
	l.write(l.options.File, l.lines(l.options.File)[:2]...)
	l.reopen()
	l.must(l.Close())
	if diff := cmp.Diff([]string{"audit.jsonl:3: record 5: records 3 to 4 are missing before it"}, l.verify()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFilesAreRotatedBySizeAndKept(t *testing.T) {
	l := open(t, func(o *audit.Options) { o.MaxSize, o.Keep = 3000, 3 })
	for range 30 {
		l.pull()
		l.Step()
	}
	l.must(l.Close())
	names := l.files()
	if len(names) != 4 || names[2] != "audit.jsonl" {
		t.Fatalf("files: %v", names)
	}
	report, err := audit.VerifyTrail(l.options.File, key)
	if err != nil || len(report.Breaks) > 0 || report.Last != 32 || report.First < 20 {
		t.Errorf("%+v, %v", report, err)
	}
	dir := filepath.Dir(l.options.File)
	report, err = audit.Verify([]string{l.options.File, filepath.Join(dir, names[1]), filepath.Join(dir, names[0])}, key)
	if err != nil || len(report.Breaks) > 0 || report.Files != 3 {
		t.Errorf("in another order: %+v, %v", report, err)
	}
	l.must(os.Remove(filepath.Join(dir, names[1])))
	if got := l.verify(); len(got) != 1 || !strings.Contains(got[0], "are missing before it") {
		t.Errorf("without the middle one: %v", got)
	}
}

func TestFilesAreRotatedByAge(t *testing.T) {
	l := open(t, func(o *audit.Options) { o.MaxAge = time.Hour })
	l.pull()
	l.now = l.now.Add(30 * time.Minute)
	l.Step()
	l.must(l.Close())
	l.reopen()
	l.now = l.now.Add(31 * time.Minute)
	l.Step()
	if diff := cmp.Diff([]string{"audit-000000000001.jsonl", "audit.jsonl", "audit.jsonl.head"}, l.files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.must(l.Close())
	l.reopen()
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}

func TestServerKilledBetweenTwoNamesGoesOn(t *testing.T) {
	l := open(t)
	l.pull()
	l.Step()
	l.Abandon()
	dir := filepath.Dir(l.options.File)
	l.must(os.Rename(l.options.File, filepath.Join(dir, "audit-000000000001.jsonl")))
	l.write(l.options.File+".new", "draft")
	l.reopen()
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
	if diff := cmp.Diff([]string{"audit-000000000001.jsonl", "audit.jsonl", "audit.jsonl.head"}, l.files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	l := open(t)
	if _, err := audit.Open(l.options); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("Open: %v", err)
	}
	l.must(l.Close())
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := audit.Open(audit.Options{}); err == nil {
		t.Error("opened without a file")
	}
	if _, err := audit.Open(audit.Options{File: filepath.Join(t.TempDir(), "a"), Key: []byte("short")}); err == nil {
		t.Error("opened with a short key")
	}
}

func TestRecordOfAChangeIsWrittenBeforeItsAnswer(t *testing.T) {
	l := open(t)
	l.call("PUT", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
		c.Event, c.Principal = "PutImage", root
		w.WriteHeader(http.StatusCreated)
		lines := l.lines(l.options.File)
		if !strings.Contains(lines[len(lines)-1], `"PutImage"`) {
			t.Error("the answer is out before the record")
		}
	})
	l.must(l.Close())
}

func TestRecordsComeInOneChainFromMany(t *testing.T) {
	l := open(t, func(o *audit.Options) { o.MaxSize = 50 << 10 })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				l.pull()
				if i%10 == 0 {
					l.Step()
				}
			}
		})
	}
	all.Wait()
	l.must(l.Close())
	report, err := audit.VerifyTrail(l.options.File, key)
	if err != nil || len(report.Breaks) > 0 || report.Records != 802 || report.Files < 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestFullDiskLosesNoneThatIsNotCounted(t *testing.T) {
	l := open(t)
	l.disk.Refuse, l.disk.Torn = syscall.ENOSPC, 40
	l.pull()
	l.Step()
	n := 0
	for ; n < 2*audit.MostPending/900; n++ {
		l.pull()
	}
	if err := l.Ready(); err != nil {
		t.Errorf("Ready where records are not required: %v", err)
	}
	l.disk.Refuse = nil
	last := l.last()
	details, _ := last["serviceEventDetails"].(map[string]any)
	lost, _ := details["recordsLost"].(float64)
	if last["eventName"] != "RecordsMissing" || lost < 100 {
		t.Errorf("the last record is %v", last)
	}
	if got := len(l.records()) - 2 + int(lost); got != n+1 {
		t.Errorf("%d records are there or counted, want %d", got, n+1)
	}
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}
