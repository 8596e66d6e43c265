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
	over := time.After(limit)
	// Checks that heed it have time to say what they know.
	ctx, cancel := context.WithTimeout(ctx, limit-min(limit/2, grace))
	defer cancel()
	v := newVisit(ctx, m, s)
	answers := make([]chan []Finding, len(checks))
	for i, c := range checks {
		answers[i] = make(chan []Finding, 1)
		go func() { answers[i] <- c.run(ctx, v) }()
	}
	return v.located(gather(answers, over, limit))
}

// grace is how long before the end the context of checks is done.
const grace = 500 * time.Millisecond

// gather waits for answers until the time is over.
func gather(answers []chan []Finding, over <-chan time.Time, limit time.Duration) []Finding {
	var all []Finding
	ended := false
	for i, c := range checks {
		if !ended {
			select {
			case f := <-answers[i]:
				all = append(all, f...)
				continue
			case <-over:
				ended = true
			}
		}
		select {
		case f := <-answers[i]:
			all = append(all, f...)
		default:
			all = append(all, Finding{c.name, Warn, "not known: the check did not end within " + limit.String(), ""})
		}
	}
	return all
}
