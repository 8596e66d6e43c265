package server

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// accessLog writes a line for each request, as the handler of the log would and beside
// it: every request has one, of the same members, so it is put together by hand.
type accessLog struct {
	log   *slog.Logger
	out   *sharedWriter // the one that log has
	json  bool
	lines sync.Pool // of *[]byte
}

// sharedWriter is a writer that is written by one at a time.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// newLog returns a log and its access log.
func newLog(w io.Writer, format string, level slog.Leveler) (*slog.Logger, *accessLog) {
	out := &sharedWriter{w: w}
	o := &slog.HandlerOptions{Level: level}
	a := &accessLog{out: out, json: format == "json", lines: sync.Pool{New: func() any { return new([]byte) }}}
	if a.json {
		a.log = slog.New(slog.NewJSONHandler(out, o))
	} else {
		a.log = slog.New(slog.NewTextHandler(out, o))
	}
	return a.log, a
}

// accessLine is what a line tells of a request. Target and agent are left out where there is
// none.
type accessLine struct {
	id, remote, method, path string
	status                   int
	received, sent           int64
	took                     time.Duration
	target, agent            string
}

// write writes a line. One with a text that would have to be escaped is the handler's.
func (l *accessLog) write(ctx context.Context, level slog.Level, a accessLine) {
	if !l.log.Enabled(ctx, level) {
		return
	}
	for _, text := range [...]string{a.id, a.remote, a.method, a.path, a.target, a.agent} {
		if !isPlain(text) {
			l.log.LogAttrs(ctx, level, accessMessage, a.attrs()...)
			return
		}
	}
	line := l.lines.Get().(*[]byte)
	defer l.lines.Put(line)
	if l.json {
		*line = a.appendJSON((*line)[:0], level, time.Now())
	} else {
		*line = a.appendText((*line)[:0], level, time.Now())
	}
	_, _ = l.out.Write(*line) // as the handler, which nobody asks
}

const accessMessage = "request"

func (a accessLine) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("id", a.id), slog.String("remote", a.remote), slog.String("method", a.method), slog.String("path", a.path),
		slog.Int("status", a.status), slog.Int64("received", a.received), slog.Int64("sent", a.sent), slog.Duration("took", a.took),
	}
	if a.target != "" {
		attrs = append(attrs, slog.String("target", a.target))
	}
	if a.agent != "" {
		attrs = append(attrs, slog.String("agent", a.agent))
	}
	return attrs
}

// isPlain says that no form of the log escapes anything of a text.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (a *accessLine) appendText(b []byte, level slog.Level, at time.Time) []byte {
	const millis = len("2006-01-02T15:04:05.000")
	b = append(b, "time="...)
	start := len(b)
	// Nanoseconds that have four digits, of which three stay.
	b = at.Truncate(time.Millisecond).Add(time.Millisecond/10).AppendFormat(b, time.RFC3339Nano)
	b = append(b[:start+millis], b[start+millis+1:]...)
	b = append(append(b, " level="...), level.String()...)
	b = append(b, " msg="+accessMessage+" id="...)
	b = append(appendQuoted(b, a.id), " remote="...)
	b = append(appendQuoted(b, a.remote), " method="...)
	b = append(appendQuoted(b, a.method), " path="...)
	b = append(appendQuoted(b, a.path), " status="...)
	b = append(strconv.AppendInt(b, int64(a.status), 10), " received="...)
	b = append(strconv.AppendInt(b, a.received, 10), " sent="...)
	b = append(strconv.AppendInt(b, a.sent, 10), " took="...)
	b = append(b, a.took.String()...)
	if a.target != "" {
		b = appendQuoted(append(b, " target="...), a.target)
	}
	if a.agent != "" {
		b = appendQuoted(append(b, " agent="...), a.agent)
	}
	return append(b, '\n')
}

// appendQuoted adds a plain text in quotes if it could be taken for several.
func appendQuoted(b []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, " =") {
		return append(b, s...)
	}
	return append(append(append(b, '"'), s...), '"')
}

func (a *accessLine) appendJSON(b []byte, level slog.Level, at time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(append(b, `","level":"`...), level.String()...)
	b = append(b, `","msg":"`+accessMessage+`","id":"`...)
	b = append(append(b, a.id...), `","remote":"`...)
	b = append(append(b, a.remote...), `","method":"`...)
	b = append(append(b, a.method...), `","path":"`...)
	b = append(append(b, a.path...), `","status":`...)
	b = append(strconv.AppendInt(b, int64(a.status), 10), `,"received":`...)
	b = append(strconv.AppendInt(b, a.received, 10), `,"sent":`...)
	b = append(strconv.AppendInt(b, a.sent, 10), `,"took":`...)
	b = strconv.AppendInt(b, int64(a.took), 10)
	if a.target != "" {
		b = append(append(append(b, `,"target":"`...), a.target...), '"')
	}
	if a.agent != "" {
		b = append(append(append(b, `,"agent":"`...), a.agent...), '"')
	}
	return append(b, "}\n"...)
}
