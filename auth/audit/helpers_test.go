package audit_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
)

const account = "123456789012"

var (
	key   = bytes.Repeat([]byte{7}, 32)
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root  = auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, KeyID: "AKIAHERE", Region: "eu-west-1", Kind: auth.Root}
)

// ledger is a trail in a folder of the test's.
type ledger struct {
	testing.TB
	*audit.Trail
	options audit.Options
	disk    *audit.Disk
	now     time.Time
}

func open(t testing.TB, change ...func(*audit.Options)) *ledger {
	t.Helper()
	l := &ledger{TB: t, disk: new(audit.Disk), now: start}
	l.options = audit.Options{
		File: filepath.Join(t.TempDir(), "audit", "audit.jsonl"), Key: key, Account: account, Region: "us-east-1",
		Now: func() time.Time { return l.now },
	}
	for _, c := range change {
		c(&l.options)
	}
	l.reopen()
	return l
}

func (l *ledger) reopen() {
	l.Helper()
	t, err := audit.OpenOn(l.options, l.disk)
	l.must(err)
	l.Trail = t
}

func (l *ledger) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// call has a door answer one request with a handler.
func (l *ledger) call(method string, handle func(*audit.Call, http.ResponseWriter, *http.Request)) *httptest.ResponseRecorder {
	l.Helper()
	r := httptest.NewRequestWithContext(l.Context(), method, "/", nil)
	r.Header.Set("User-Agent", "docker/28.1")
	r = r.WithContext(auth.WithRequest(r.Context(), auth.Request{ID: "request-1", SourceIP: netip.MustParseAddr("192.0.2.7")}))
	return l.serve(r, handle)
}

func (l *ledger) serve(r *http.Request, handle func(*audit.Call, http.ResponseWriter, *http.Request)) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	c, w, r := l.Begin(rec, r, audit.OCI)
	defer c.End()
	handle(c, w, r)
	c.Answered()
	return rec
}

// pull records one that worked.
func (l *ledger) pull() {
	l.call("GET", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
		c.Event, c.Principal, c.Account = "BatchGetImage", root, account
		c.On("arn:aws:ecr:eu-west-1:"+account+":repository/team/app", account, audit.RepositoryType)
		c.Parameters = audit.Fields{{"repositoryName", "team/app"}, {"imageIds", []audit.Fields{{{"imageTag", "1.4"}}}}}
		w.WriteHeader(http.StatusOK)
		w.Write([]byte("manifest"))
	})
}

// lines are those of a file.
func (l *ledger) lines(file string) []string {
	l.Helper()
	text, err := os.ReadFile(file)
	l.must(err)
	return slices.Collect(strings.Lines(string(text)))
}

func (l *ledger) write(file string, lines ...string) {
	l.Helper()
	l.must(os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600))
}

// records are those of the file that is written, as JSON.
func (l *ledger) records() (all []map[string]any) {
	l.Helper()
	l.Step()
	for _, line := range l.lines(l.options.File) {
		var r map[string]any
		l.must(json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	return all
}

// last is the record of the last call.
func (l *ledger) last() map[string]any {
	l.Helper()
	all := l.records()
	return all[len(all)-1]
}

// verify is what verification says of the trail, a line each.
func (l *ledger) verify() (breaks []string) {
	l.Helper()
	report, err := audit.VerifyTrail(l.options.File, l.options.Key)
	l.must(err)
	for _, b := range report.Breaks {
		b.File = filepath.Base(b.File)
		breaks = append(breaks, b.String())
	}
	return breaks
}

// files are the names in the trail's folder.
func (l *ledger) files() (names []string) {
	l.Helper()
	entries, err := os.ReadDir(filepath.Dir(l.options.File))
	l.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
