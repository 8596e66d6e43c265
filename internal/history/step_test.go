package history

import (
	"encoding/json"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// step is a call, or something else that happens. It names nothing that only a
// run of a history knows, so that steps can be left out of it.
type step struct {
	Do   verb
	Door door   `json:",omitempty"`
	Wait int    `json:",omitempty"` // seconds before it
	Repo string `json:",omitempty"`

	Doc   string   `json:",omitempty"` // name of a document
	Tags  []string `json:",omitempty"`
	Docs  []string `json:",omitempty"` // of a batch, besides Tags
	Blob  string   `json:",omitempty"` // name of a blob
	From  string   `json:",omitempty"` // repository to mount from
	Slot  int      `json:",omitempty"` // of an upload or a list that goes on
	Rule  string   `json:",omitempty"` // mutability, storage class or value of a setting
	Force bool     `json:",omitempty"`
	Wrong bool     `json:",omitempty"` // with a digest or an offset that is wrong
	Size  int      `json:",omitempty"` // of pages
}

// door is where a call is made.
type door string

const (
	atOCI door = "oci"
	atAPI door = "api"
)

type verb string

// What happens. Those that have one door alone say so.
const (
	create     verb = "create" // API
	drop       verb = "drop"   // API
	mutability verb = "mutability"
	mounting   verb = "mounting" // API: the account setting
	setPolicy  verb = "set-policy"
	dropPolicy verb = "drop-policy"

	setLifecycle  verb = "set-lifecycle"  // API
	dropLifecycle verb = "drop-lifecycle" // API
	expire        verb = "expire"         // a run of all lifecycle policies

	layer     verb = "layer" // all of an upload
	begin     verb = "begin"
	send      verb = "send"
	finish    verb = "finish"
	cancel    verb = "cancel" // OCI
	mount     verb = "mount"  // OCI
	dropLayer verb = "drop-layer"

	push    verb = "push"
	untag   verb = "untag"
	remove  verb = "remove"
	batch   verb = "batch" // API
	store   verb = "store" // API: into a storage class
	pull    verb = "pull"
	look    verb = "look" // HEAD
	list    verb = "list"
	page    verb = "page" // of a list that others may change between its pages
	restart verb = "restart"
)

// choice is a way to make a step up, with how often it is taken.
type choice struct {
	weight int
	make   func(*rand.Rand) step
}

var (
	repoNames = []string{"app", "team/app", "team/tool"}
	tagNames  = []string{"1", "2", "dev-1", "own", "v1"}
	blobNames = sorted(blobs)
	doors     = []door{atOCI, atAPI}
	rules     = []string{"MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}
)

// exclusions are those of the rules that have some.
var exclusions = []string{"dev*", "o*n"}

var choices = []choice{
	{4, func(r *rand.Rand) step { return step{Do: create, Door: atAPI, Rule: pick(r, rules)} }},
	{1, func(r *rand.Rand) step { return step{Do: drop, Door: atAPI, Force: r.IntN(3) == 0} }},
	{3, func(r *rand.Rand) step { return step{Do: mutability, Door: atAPI, Rule: pick(r, rules)} }},
	{1, func(r *rand.Rand) step {
		return step{Do: mounting, Door: atAPI, Rule: pick(r, []string{"ENABLED", "DISABLED"})}
	}},
	{1, func(*rand.Rand) step { return step{Do: setPolicy, Door: atAPI} }},
	{1, func(*rand.Rand) step { return step{Do: dropPolicy, Door: atAPI} }},
	{2, func(r *rand.Rand) step {
		return step{Do: setLifecycle, Door: atAPI, Rule: pick(r, []string{"any", "untagged"}), Size: 1 + r.IntN(5)}
	}},
	{1, func(*rand.Rand) step { return step{Do: dropLifecycle, Door: atAPI} }},
	{4, func(*rand.Rand) step { return step{Do: expire} }},

	{22, func(r *rand.Rand) step { return step{Do: layer, Door: pick(r, doors), Blob: pick(r, blobNames)} }},
	{4, func(r *rand.Rand) step { return step{Do: begin, Door: pick(r, doors), Slot: r.IntN(2)} }},
	{5, func(r *rand.Rand) step {
		return step{Do: send, Door: pick(r, doors), Blob: pick(r, blobNames), Slot: r.IntN(2), Wrong: r.IntN(5) == 0}
	}},
	{4, func(r *rand.Rand) step {
		return step{Do: finish, Door: pick(r, doors), Blob: pick(r, blobNames), Slot: r.IntN(2)}
	}},
	{1, func(r *rand.Rand) step { return step{Do: cancel, Door: atOCI, Slot: r.IntN(2)} }},
	{5, func(r *rand.Rand) step {
		return step{Do: mount, Door: atOCI, Blob: pick(r, blobNames), From: pick(r, append([]string{""}, repoNames...))}
	}},
	{3, func(r *rand.Rand) step { return step{Do: dropLayer, Door: atOCI, Blob: pick(r, blobNames)} }},

	{50, makePush},
	{12, func(r *rand.Rand) step { return step{Do: untag, Door: pick(r, doors), Tags: []string{pickTag(r)}} }},
	{12, func(r *rand.Rand) step { return step{Do: remove, Door: pick(r, doors), Doc: pick(r, documentNames)} }},
	{4, makeBatch},
	{12, func(r *rand.Rand) step {
		return step{Do: store, Door: atAPI, Doc: pick(r, documentNames), Rule: pick(r, []string{"ARCHIVE", "ARCHIVE", "STANDARD"})}
	}},
	{6, func(r *rand.Rand) step { return step{Do: pull, Door: pick(r, doors), Doc: pick(r, documentNames)} }},
	{4, func(r *rand.Rand) step { return step{Do: pull, Door: pick(r, doors), Tags: []string{pickTag(r)}} }},
	{2, func(r *rand.Rand) step { return step{Do: look, Door: atOCI, Tags: []string{pickTag(r)}} }},
	{6, func(r *rand.Rand) step { return step{Do: list, Door: pick(r, doors), Size: 1 + r.IntN(4)} }},
	{8, func(r *rand.Rand) step {
		return step{Do: page, Door: pick(r, doors), Slot: r.IntN(2), Size: 1 + r.IntN(3)}
	}},
	{1, func(*rand.Rand) step { return step{Do: restart} }},
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func pickTag(r *rand.Rand) string {
	if r.IntN(12) == 0 {
		return fallbackTag
	}
	return pick(r, tagNames)
}

// makePush makes a push up: to a tag, to a digest, or to a digest with tags, of
// which the API takes one.
func makePush(r *rand.Rand) step {
	s := step{Do: push, Door: pick(r, doors), Doc: pick(r, documentNames), Wrong: r.IntN(20) == 0}
	n := 1
	switch {
	case r.IntN(4) == 0:
		n = 0
	case s.Door == atOCI && r.IntN(4) == 0:
		n, s.Force = 1+r.IntN(3), true // to the digest
	}
	for range n {
		s.Tags = append(s.Tags, pickTag(r))
	}
	return s
}

func makeBatch(r *rand.Rand) step {
	s := step{Do: batch, Door: atAPI}
	for range r.IntN(3) {
		s.Tags = append(s.Tags, pickTag(r))
	}
	for range 1 + r.IntN(3) {
		s.Docs = append(s.Docs, pick(r, documentNames))
	}
	s.Force = r.IntN(3) == 0 // the first tag and the first digest are of one identifier
	return s
}

// dull are outcomes of which there would be too many if all steps were made up
// without a thought of what is there.
var dull = []outcome{
	repositoryMissing, repositoryThere, imageMissing, "400 ImageNotFoundException", layersMissing, childrenMissing,
	layerThere, uploadMissing, policyMissing, lifecycleMissing, notAtThisDoor, uploadEmpty, layerDigestWrong, manifestWrong,
}

// tries is how often another step is made up in the place of a dull one.
const tries = 5

// invent makes a history up.
func invent(r *rand.Rand, c config, length int) []step {
	m := newModel(c, time.Time{})
	var all []step
	for range length {
		s := somewhere(r, choose(r).make(r))
		for n := 0; n < tries && slices.Contains(dull, m.clone().play(s)); n++ {
			s = somewhere(r, choose(r).make(r))
		}
		m.play(s)
		m.events = nil
		all = append(all, s)
	}
	return all
}

func choose(r *rand.Rand) choice {
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := r.IntN(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			return c
		}
	}
	panic("the weights have changed")
}

// somewhere gives a step its time and its repository. Most of them are in the
// first one, lest all stay empty.
func somewhere(r *rand.Rand, s step) step {
	s.Repo, s.Wait = repoNames[max(0, r.IntN(6)-3)], 1
	switch r.IntN(40) {
	case 0:
		s.Wait = 60 + r.IntN(120)
	case 1, 2, 3, 4:
		s.Wait = 2 + r.IntN(20)
	}
	if s.Do == restart || s.Do == mounting || s.Do == expire {
		s.Repo = ""
	}
	return s
}

// String is the step as the replay of a history reads it.
func (s step) String() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a plain struct
	}
	return string(text)
}

// turn is whose turn it is of n things, by what the step is: a step that is left
// out of a history changes nothing for the others.
func (s step) turn(n int) int {
	return int(crc32.ChecksumIEEE([]byte(s.String()))) % n
}

func lines(all []step) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}
