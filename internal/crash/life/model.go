package life

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// verb is what a client does.
type verb string

const (
	create       verb = "create"
	drop         verb = "drop"
	push         verb = "push"
	untag        verb = "untag"      // by the API: the image goes with its last tag
	untagKeep    verb = "untag-keep" // at /v2/: the image stays
	remove       verb = "remove"
	readTag      verb = "read-tag"
	readImage    verb = "read-image"
	setPolicy    verb = "set-policy"
	dropPolicy   verb = "drop-policy"
	readPolicy   verb = "read-policy"
	beginUpload  verb = "begin"
	appendUpload verb = "append"
	readUpload   verb = "read-upload"
	finishUpload verb = "finish"
	cut          verb = "power-cut"
)

// none is no tag, document or policy.
const none int8 = -1

// call is what a client asked for. Its tag, document and policy are numbers.
type call struct {
	do             verb
	key            string // of the repository or upload: histories of different keys have nothing in common
	tag, doc, text int8
	at, length     int64 // of an upload
	durable        bool  // what is answered is kept
}

// result is how a call ended.
type result struct {
	outcome outcome
	seen    int8  // what a read saw, or none
	at      int64 // where an upload stands
}

// outcome is what is known of a call.
type outcome int

const (
	unknown outcome = iota // no answer, or one that says that something failed
	done
	absent  // what it is about is not there
	present // it is there already
	needed  // something else needs it
	refused // for another reason
)

// state is a repository. It can be compared.
type state struct {
	there    bool
	tags     [tagCount]int8
	images   uint8 // a bit for each document
	policy   int8
	upload   bool // what follows is an upload's; nothing before is
	mayGone  bool
	lo, hi   int64 // between which it stands
	durable  int64 // where it stands at least after a power cut
	kept     bool  // it is there after one
	children uint8
}

func emptyState() state {
	s := state{policy: none, children: 1<<0 | 1<<1}
	for i := range s.tags {
		s.tags[i] = none
	}
	return s
}

// indexBit is that of the document that has others as children.
const indexBit = 1 << images

func bit(doc int8) uint8 { return 1 << doc }

// model is what the answers of a registry are held against, for repositories as
// registers and uploads as appends. An answer that is not known leaves two states.
var model = porcupine.NondeterministicModel{
	Partition: byKey,
	Init:      func() []any { return []any{emptyState()} },
	Step: func(s, in, out any) []any {
		var next []any
		for _, n := range step(s.(state), in.(call), out.(result)) {
			next = append(next, n)
		}
		return next
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

func byKey(all []porcupine.Operation) (parts [][]porcupine.Operation) {
	n := map[string]int{}
	for _, op := range all {
		key := op.Input.(call).key
		if _, ok := n[key]; !ok {
			n[key] = len(parts)
			parts = append(parts, nil)
		}
		parts[n[key]] = append(parts[n[key]], op)
	}
	return parts
}

// step are the states that may be after a call that ended so; none if it cannot have.
func step(s state, c call, r result) []state {
	switch c.do {
	case beginUpload, appendUpload, readUpload, finishUpload, cut:
		return stepUpload(s, c, r)
	case readTag, readImage, readPolicy:
		return only(s, r.outcome == unknown || r.seen == s.see(c))
	}
	after, can := s.after(c)
	switch r.outcome {
	case unknown:
		if can == done {
			return []state{s, after}
		}
		return []state{s}
	case refused:
		return []state{s}
	case done:
		return only(after, can == done || c.do == push && can == present) // /v2/ takes it again
	}
	return only(s, can == r.outcome)
}

func only(s state, ok bool) []state {
	if ok {
		return []state{s}
	}
	return nil
}

// see is what a read sees.
func (s state) see(c call) int8 {
	switch {
	case !s.there:
		return none
	case c.do == readPolicy:
		return s.policy
	case c.do == readTag:
		return s.tags[c.tag]
	case s.images&bit(c.doc) != 0:
		return c.doc
	}
	return none
}

// after is what a call does to a repository, and what can become of it.
func (s state) after(c call) (state, outcome) {
	if c.do == create {
		if s.there {
			return s, present
		}
		s = emptyState()
		s.there = true
		return s, done
	}
	if !s.there {
		return s, absent
	}
	switch c.do {
	case drop:
		return emptyState(), done
	case setPolicy:
		s.policy = c.text
	case dropPolicy:
		if s.policy == none {
			return s, absent
		}
		s.policy = none
	case push:
		return s.pushed(c)
	case untag, untagKeep:
		return s.untagged(c)
	case remove:
		return s.removed(c.doc)
	}
	return s, done
}

func (s state) pushed(c call) (state, outcome) {
	if bit(c.doc) == indexBit && s.images&s.children != s.children {
		return s, refused
	}
	was := s
	s.images |= bit(c.doc)
	if c.tag != none {
		s.tags[c.tag] = c.doc
	}
	if s == was {
		return s, present
	}
	return s, done
}

func (s state) untagged(c call) (state, outcome) {
	doc := s.tags[c.tag]
	if doc == none {
		return s, absent
	}
	last := true
	for i, other := range s.tags {
		last = last && (int8(i) == c.tag || other != doc)
	}
	if last && c.do == untag {
		return s.removed(doc)
	}
	s.tags[c.tag] = none
	return s, done
}

func (s state) removed(doc int8) (state, outcome) {
	switch {
	case s.images&bit(doc) == 0:
		return s, absent
	case s.images&indexBit != 0 && s.children&bit(doc) != 0:
		return s, needed
	}
	s.images &^= bit(doc)
	for i, other := range s.tags {
		if other == doc {
			s.tags[i] = none
		}
	}
	return s, done
}

// stepUpload is step for an upload. What a power cut leaves of one is not known but
// for its bounds, until somebody asks.
func stepUpload(s state, c call, r result) []state {
	switch c.do {
	case beginUpload:
		return []state{{upload: true, kept: c.durable, children: s.children}}
	case finishUpload: // whatever comes of it; the bytes are looked at by themselves
		s.mayGone = true
		return []state{s}
	case cut:
		s.lo, s.mayGone = s.durable, s.mayGone || !s.kept
		return []state{s}
	}
	switch {
	case r.outcome == absent:
		return only(s, s.mayGone)
	case r.outcome == unknown && c.do == appendUpload:
		s.hi = max(s.hi, c.at+c.length)
		return []state{s}
	case r.outcome == unknown || r.outcome == refused:
		return []state{s}
	case c.do == readUpload:
		ok := s.lo <= r.at && r.at <= s.hi
		s.lo, s.hi = r.at, r.at
		return only(s, ok)
	}
	ok := s.lo <= c.at && c.at <= s.hi && r.at == c.at+c.length
	s.lo, s.hi = r.at, r.at
	if c.durable {
		s.durable = r.at
	}
	return only(s, ok)
}
