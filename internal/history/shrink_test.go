package history

import (
	"slices"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// shrink leaves out of a history whatever it fails without: halves, then
// quarters, down to single steps (delta debugging), and the time between steps.
func shrink(history []step, fails func([]step) bool) []step {
	for size := (len(history) + 1) / 2; size > 0; {
		shorter := leaveOut(history, size, fails)
		if len(shorter) == len(history) {
			size /= 2
		} else {
			size = min(size, (len(shorter)+1)/2)
		}
		history = shorter
	}
	for i, s := range history {
		for _, simpler := range s.simpler() {
			if shorter := replaced(history, i, simpler); fails(shorter) {
				history = shorter
			}
		}
	}
	return history
}

// leaveOut leaves out what it can in pieces of a size.
func leaveOut(history []step, size int, fails func([]step) bool) []step {
	for from := 0; from < len(history); {
		to := min(from+size, len(history))
		shorter := slices.Concat(history[:from], history[to:])
		if fails(shorter) {
			history = shorter
		} else {
			from = to
		}
	}
	return history
}

func replaced(history []step, i int, s step) []step {
	changed := slices.Clone(history)
	changed[i] = s
	return changed
}

// simpler are forms of a step that have less of something.
func (s step) simpler() (list []step) {
	if s.Wait > 1 {
		one := s
		one.Wait = 1
		list = append(list, one)
	}
	if len(s.Tags) > 1 {
		one := s
		one.Tags = s.Tags[:1]
		list = append(list, one)
	}
	return list
}

func TestShrink(t *testing.T) {
	var history []step
	for i := range 200 {
		history = append(history, step{Do: page, Slot: i, Wait: 5})
	}
	tries := 0
	least := shrink(history, func(h []step) bool { // it takes the three, in order
		tries++
		var found []int
		for _, s := range h {
			if s.Slot == 17 || s.Slot == 90 || s.Slot == 180 {
				found = append(found, s.Slot)
			}
		}
		return slices.Equal(found, []int{17, 90, 180})
	})
	var got []int
	for _, s := range least {
		got = append(got, s.Slot)
		if s.Wait != 1 {
			t.Errorf("step %v still waits", s)
		}
	}
	if !slices.Equal(got, []int{17, 90, 180}) || tries > 300 {
		t.Errorf("%v are left after %d tries", got, tries)
	}
}

// TestFailuresAreFound plays histories on a registry that is set otherwise than
// the model says: that is found, and shrinks to what it takes.
func TestFailuresAreFound(t *testing.T) {
	oneImage := func(o *registry.Options) { o.Limits.Images = 1 }
	for seed := uint64(1); ; seed++ {
		c, history := historyOf(seed)
		failed := play(t, c, history, oneImage)
		if failed == nil {
			continue
		}
		least := shrink(history[:failed.at+1], func(h []step) bool { return play(t, c, h, oneImage) != nil })
		if n := len(least); n > 8 { // a repository, two blobs or three, two images
			t.Errorf("%d steps are left:\n%s", n, lines(least))
		}
		text := line(c) + lines(least)
		again, read, err := readHistory([]byte(text))
		if err != nil || line(again)+lines(read) != text {
			t.Errorf("a history is read otherwise than it was written: %v\n%s", err, lines(read))
		}
		if play(t, again, read, oneImage) == nil {
			t.Errorf("what is left does not fail:\n%s", lines(least))
		}
		return
	}
}
