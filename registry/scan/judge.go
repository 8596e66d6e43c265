package scan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Status is what is known of a scan, as ECR names it.
type Status string

// The statuses (model: ScanStatus).
const (
	InProgress          Status = "IN_PROGRESS"
	Complete            Status = "COMPLETE"
	Failed              Status = "FAILED"
	Unsupported         Status = "UNSUPPORTED_IMAGE"
	Active              Status = "ACTIVE"
	Pending             Status = "PENDING"
	EligibilityExpired  Status = "SCAN_ELIGIBILITY_EXPIRED"
	FindingsUnavailable Status = "FINDINGS_UNAVAILABLE"
	LimitExceeded       Status = "LIMIT_EXCEEDED"
	Archived            Status = "IMAGE_ARCHIVED"
)

// Waiting is the status of a scan that waits or is under way.
func (t Type) Waiting() Status {
	if t == Enhanced {
		return Pending
	}
	return InProgress
}

// Outcome is what a scan came to.
type Outcome struct {
	Status Status
	Text   string // of the status, for people
	// Finished says that the report holds: nothing stood in the way of the scan.
	Finished bool
	// Ours says that the image is not to blame for a scan that came to nothing: there is
	// no database for it, or the server failed.
	Ours bool
}

// unsupported is ECR's sentence (ECR reference, operations.md section 8).
const unsupported = "UnsupportedImageError: The operating system and/or package manager are not supported."

// Judge says what a scan of the type came to that gave the report or the error. Under
// Basic every dead end is Failed, because clients that wait stop there.
func Judge(t Type, report Report, err error) Outcome {
	problems := report.Problems
	if err != nil {
		problems = []Problem{problemOf(err)}
	}
	if len(problems) == 0 {
		if t == Enhanced {
			return Outcome{Status: Active, Text: "Continuous scan is selected for image.", Finished: true}
		}
		return Outcome{Status: Complete, Text: "The scan was completed successfully.", Finished: true}
	}
	// What says most of the image first.
	first := slices.MinFunc(problems, func(a, b Problem) int {
		return cmp.Compare(slices.Index(weights, a.Kind), slices.Index(weights, b.Kind))
	})
	out := Outcome{Status: Failed, Text: first.Text, Ours: first.Kind == NoDatabase || first.Kind == NoData || isFault(err)}
	if more := len(problems) - 1; more > 0 {
		out.Text = fmt.Sprintf("%s (and %d more)", first.Text, more)
	}
	if first.Kind == UnknownSystem {
		out.Text = unsupported
	}
	if t == Enhanced {
		switch first.Kind {
		case UnknownSystem:
			out.Status = Unsupported
		case NoDatabase, NoData:
			out.Status = FindingsUnavailable
		}
	}
	return out
}

// isFault says whether a scan ended by a failure that is none of the image's, as far as
// anybody knows.
func isFault(err error) bool {
	var p *Problem
	return err != nil && !errors.As(err, &p)
}

// weights are the kinds, that first which a text is to tell of.
var weights = []ProblemKind{NotHere, Damaged, OverLimit, UnknownSystem, NoDatabase, NoData, Unreadable, Incomparable}

// problemOf is what an error says of an image. What is of the server alone is nobody
// else's business, but that it is.
func problemOf(err error) Problem {
	var p *Problem
	if errors.As(err, &p) {
		return *p
	}
	if errors.Is(err, ErrDied) {
		return Problem{Unreadable, "The scanner died with this image each time"}
	}
	return Problem{Unreadable, "The scan failed on the server's side"}
}
