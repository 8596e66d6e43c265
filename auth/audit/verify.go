package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Report is what Verify found.
type Report struct {
	Files       int
	Records     uint64
	First, Last uint64 // numbers of the first and the last record
	Sealed      bool   // seals were checked
	Breaks      []Break
	// More says that there are breaks beyond those.
	More bool
}

// Break is a place where a trail is not what was written.
type Break struct {
	File   string
	Line   int    // from 1; 0 for the end of the trail
	Record uint64 // number of the record, 0 if it has none
	What   string
}

func (b Break) String() string {
	if b.Line == 0 {
		return fmt.Sprintf("%s: %s", b.File, b.What)
	}
	return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.What)
}

// mostBreaks is how many breaks a Report has at most.
const mostBreaks = 100

// verification is a chain that is being walked along.
type verification struct {
	key    []byte
	report Report
	head   mark // what the head says; zero if it is not known
	at     mark // of the last record; zero before the first
}

// Verify reads files of a trail, in any order, and checks that they hold one
// chain: that no record was changed, moved, put in or taken out. With a key it
// also checks who made it; without one, who changes a record can make the rest
// of the chain anew.
//
// The chain begins where the oldest file does: files that were removed as too old
// are not missed. The error is of files that cannot be read.
func Verify(files []string, key []byte) (Report, error) { return verify(files, key, mark{}) }

func verify(files []string, key []byte, head mark) (Report, error) {
	v := &verification{key: key, head: head, report: Report{Files: len(files), Sealed: key != nil}}
	files, err := inOrder(files)
	if err != nil {
		return v.report, err
	}
	for _, file := range files {
		if err := v.file(file); err != nil {
			return v.report, fmt.Errorf("verify %s: %w", file, err)
		}
	}
	v.report.Last = v.at.sequence
	return v.report, nil
}

// mostLooks is how often a trail is looked at that changes under the look.
const mostLooks = 10

// VerifyTrail verifies all files of a trail and its end: that the chain comes as
// far as the head says. A server may write it meanwhile, or begin a new file: what
// was not whole then is looked at again.
func VerifyTrail(file string, key []byte) (Report, error) {
	for look := 1; ; look++ {
		before := extent(file)
		report, err := verifyTrail(file, key)
		whole := err == nil && len(report.Breaks) == 0
		if whole || look == mostLooks || slices.Equal(before, extent(file)) {
			return report, err
		}
	}
}

// extent tells whether the files of a trail were written to.
func extent(file string) (sizes []string) {
	files, _ := Files(file) // whoever verifies them tells of errors
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			sizes = append(sizes, fmt.Sprint(name, " ", info.Size()))
		}
	}
	return sizes
}

func verifyTrail(file string, key []byte) (Report, error) {
	head, _, headErr := readHead(file, key) // before the records, which may become more
	if headErr != nil && !errors.Is(headErr, errHead) {
		return Report{}, headErr
	}
	files, err := Files(file)
	if err != nil {
		return Report{}, err
	}
	report, err := verify(files, key, head)
	if err != nil {
		return report, err
	}
	v := &verification{report: report}
	switch {
	case headErr != nil:
		v.breaks(Break{File: file + headSuffix, What: headErr.Error()})
	case head.sequence > report.Last:
		v.breaks(Break{File: file, What: "the end is cut off: " + missing(report.Last+1, head.sequence)})
	case head.sequence == 0 && report.Records > 0:
		v.breaks(Break{File: file + headSuffix, What: "the head is missing: whether the end is cut off cannot be said"})
	}
	return v.report, nil
}

// inOrder sorts files by the number of their first record. Empty ones come last.
func inOrder(files []string) ([]string, error) {
	type entry struct {
		name  string
		first uint64
	}
	all := make([]entry, len(files))
	for i, name := range files {
		first, err := firstRecord(name)
		if err != nil {
			return nil, err
		}
		all[i] = entry{name, first}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.first-1, b.first-1) }) // 0 is the largest then
	sorted := make([]string, len(all))
	for i, e := range all {
		sorted[i] = e.name
	}
	return sorted, nil
}

// firstRecord is the number of the first record of a file that has one.
func firstRecord(name string) (uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if l, bad := parseLine(bytes.TrimSuffix(line, []byte{'\n'})); bad == nil {
			return l.sequence, nil
		}
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// file goes along one file.
func (v *verification) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		switch {
		case err == nil:
			v.line(name, n, bytes.TrimSuffix(line, []byte{'\n'}))
		case !errors.Is(err, io.EOF):
			return err
		case len(line) > 0:
			v.breaks(Break{name, n, 0, "the last line is cut short"})
			return nil
		default:
			return nil
		}
	}
}

// line checks a record and its place behind the one before.
func (v *verification) line(file string, n int, line []byte) {
	l, err := parseLine(line)
	if err != nil {
		v.breaks(Break{file, n, 0, err.Error()})
		return
	}
	v.report.Records++
	wrong := func(format string, args ...any) {
		v.breaks(Break{file, n, l.sequence, fmt.Sprintf("record %d: ", l.sequence) + fmt.Sprintf(format, args...)})
	}
	switch {
	case l.computed != l.hash:
		wrong("its content is not what was written")
	case v.key != nil && !l.sealed(v.key):
		wrong("its seal is not of this server's key")
	case l.sequence == v.head.sequence && l.hash != v.head.hash:
		wrong("it is not the one that the head knows")
	}
	v.place(l, wrong)
	v.at = l.mark
}

func (v *verification) place(l link, wrong func(string, ...any)) {
	switch last := v.at.sequence; {
	case last == 0:
		v.report.First = l.sequence
		if l.sequence == 1 && l.previous != (sum{}) {
			wrong("it claims to be the first, and to follow another")
		}
	case l.sequence > last+1:
		wrong("%s", missing(last+1, l.sequence-1)+" before it")
	case l.sequence <= last:
		wrong("it stands behind record %d", last)
	case l.previous != v.at.hash:
		wrong("it follows another record %d than the one before it", last)
	}
}

func missing(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("record %d is missing", first)
	}
	return fmt.Sprintf("records %d to %d are missing", first, last)
}

// breaks notes a break.
func (v *verification) breaks(b Break) {
	if len(v.report.Breaks) == mostBreaks {
		v.report.More = true
		return
	}
	v.report.Breaks = append(v.report.Breaks, b)
}
