package server_test

import (
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// whenLogged is the time of a line, which has two digits or more where another has none.
var whenLogged = regexp.MustCompile(`^(time=|\{"time":")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?([-+]\d\d:\d\d|Z)`)

// logged is a line without its time, and the form of that: with how many digits of a
// second the text form has it.
func logged(t testing.TB, line string) string {
	t.Helper()
	at := whenLogged.FindStringSubmatch(line)
	if at == nil {
		t.Fatalf("%q has no time", line)
	}
	form := at[1] + at[4]
	if at[1] == "time=" {
		form += at[3][:1] + "milliseconds "[:len(at[3])-1]
	}
	return form + line[len(at[0]):]
}

// TestAccessLogIsAsTheLog: a line that is put together by hand is that of the log's own
// handler, whatever strangers write into it.
func TestAccessLogIsAsTheLog(t *testing.T) {
	texts := []string{"", "GET", "/v2/a b/tags", "a=b", `"quoted"`, `back\slash`, "é", "\x7f", "\x00", "\xff", "\n", "<&>", "…", "docker/28.1 (linux)"}
	for _, form := range []string{"text", "json"} {
		for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
			for _, s := range texts {
				for i, took := range []time.Duration{0, 999, 1500 * time.Microsecond, 3 * time.Hour} {
					line := server.NewAccessLine("GET", "/v2/", "", s, 200, took)
					if i%2 == 1 {
						line = server.NewAccessLine(s, s, s, "", 499, took)
					}
					got, want := server.WriteAccess(form, level, line)
					if got, want := logged(t, got), logged(t, want); got != want {
						t.Errorf("%s: %q, want %q", form, got, want)
					}
				}
			}
		}
	}
}
