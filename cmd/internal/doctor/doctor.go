// Package doctor looks for what keeps clients on this machine from a server,
// and for what keeps a server on this machine from its promises. Each check
// says what it found and, where something is wrong, what mends it.
//
// Checks change nothing on the machine. They see it through [Machine] alone,
// and send nothing secret but, by [Subject.Token], a signed request to the
// server that is looked at.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Status says how bad a finding is.
type Status string

// The statuses. Only Fail makes the whole a failure.
const (
	OK      Status = "ok"
	Warn    Status = "warn"    // something does not work, or may not; the rest does
	Fail    Status = "fail"    // the server cannot be used, or loses what it is given
	Skipped Status = "skipped" // it could not be looked at, or does not concern this machine
)

// Finding is what a check says. Its JSON form is what `doctor --json` prints an
// array of; names of checks stay what they are.
type Finding struct {
	Check  string `json:"check"` // such as "disk.fsync"
	Status Status `json:"status"`
	Found  string `json:"found"` // a sentence
	// Mend is what mends it: a command or what to write where, each on a line of
	// its own; "" where there is nothing to do.
	Mend string `json:"mend"`
}

// Failed says whether any finding is a failure.
func Failed(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Status == Fail })
}

// TimeLimit bounds an examination.
const TimeLimit = 10 * time.Second

// check is one thing to look at. It says nothing where it has nothing to say.
type check struct {
	name string
	run  func(context.Context, *visit) []Finding
}

// checks in the order that their findings are told in.
var checks = []check{
	{"config", checkConfig},
	{"server", checkServer},
	{"port", checkPorts},
	{"name", checkNames},
	{"client", checkClients},
	{"tls", checkTLS},
	{"clock", checkClock},
	{"disk.space", checkSpace},
	{"disk.fsync", checkFsync},
	{"files", checkOpenFiles},
	{"login", checkLogins},
	{"aws", checkAWS},
}

// Examine makes all checks at once and returns within limit; zero means
// TimeLimit. A check that has not ended by then is a warning, and is left
// behind: what does not come back from the kernel, as from a network file
// system whose server is gone, cannot be called back.
func Examine(ctx context.Context, m Machine, s Subject, limit time.Duration) []Finding {
	limit = cmp.Or(limit, TimeLimit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v := newVisit(ctx, m, s)
	answers := make([]chan []Finding, len(checks))
	for i, c := range checks {
		answers[i] = make(chan []Finding, 1)
		go func() { answers[i] <- c.run(ctx, v) }()
	}
	var all []Finding
	for i, c := range checks {
		all = append(all, await(ctx, c.name, answers[i], limit)...)
	}
	return all
}

// grace is what checks get to say what they know when the time is over.
const grace = 200 * time.Millisecond

func await(ctx context.Context, name string, answer <-chan []Finding, limit time.Duration) []Finding {
	select {
	case f := <-answer:
		return f
	case <-ctx.Done():
	}
	select {
	case f := <-answer:
		return f
	case <-time.After(grace):
		return []Finding{{name, Warn, "not known: the check did not end within " + limit.String(), ""}}
	}
}
