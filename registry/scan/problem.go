package scan

import (
	"errors"
	"fmt"
)

// ErrDied says that a scanner came to a sudden end, so that the image may be to blame
// and may not.
var ErrDied = errors.New("the scanner died")

// ProblemKind says what stands between a scan and its end.
type ProblemKind string

// The kinds of problem.
const (
	// UnknownSystem: no distribution and release that packages can be compared for.
	UnknownSystem ProblemKind = "unknown-system"
	// NoDatabase: there is none that can be used.
	NoDatabase ProblemKind = "no-database"
	// NoData: the database has nothing of an ecosystem that was found.
	NoData ProblemKind = "no-data"
	// OverLimit: the image is larger than it may be; the text names the limit.
	OverLimit ProblemKind = "over-limit"
	// Damaged: a layer that is not what its digest says, or cannot be unpacked; the
	// text names the layer.
	Damaged ProblemKind = "damaged"
	// NotHere: a layer that is not in this registry.
	NotHere ProblemKind = "not-here"
	// Unreadable: a file that tells of packages and could not be read.
	Unreadable ProblemKind = "unreadable"
	// Incomparable: a version that nothing can compare.
	Incomparable ProblemKind = "incomparable"
)

// Problem is something that a scan could not do. It is an error for those of which
// nothing is known then.
type Problem struct {
	Kind ProblemKind
	Text string // for people, a sentence without its full stop, and nothing of the server's own paths
}

// NewProblem makes one with a text by fmt's rules.
func NewProblem(kind ProblemKind, format string, args ...any) *Problem {
	return &Problem{kind, fmt.Sprintf(format, args...)}
}

// Error is the text.
func (p *Problem) Error() string { return p.Text }
