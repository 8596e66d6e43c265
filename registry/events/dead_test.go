package events_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage/memory"
)

func withAge(d time.Duration) func(*events.Webhook) {
	return func(h *events.Webhook) { h.MaxAge = d }
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.answers(func(env events.Envelope) int {
			if env.DetailType == created {
				return http.StatusFound // redirects are not followed
			}
			return http.StatusOK
		})
		w := start(t, memory.NewIndex(), hookTo(r, withAge(time.Minute)))
		defer w.stop()
		w.create("one", "two")
		w.change("one")
		pass(5 * time.Minute)
		letters := w.letters()
		if len(letters) != 2 {
			t.Fatalf("dead letters %+v", letters)
		}
		if d := letters[0]; d.Webhook != "hook" || d.Sequence != 1 || d.Error != "answered 302 Found" || d.Attempts < 3 || d.GivenUpAt.Sub(d.TakenAt) < time.Minute {
			t.Errorf("dead letter %+v", d)
		}
		if diff := cmp.Diff([]string{"one " + changed}, r.take()); diff != "" {
			t.Errorf("behind the dead letter (-want +got):\n%s", diff)
		}
		r.answers(nil)
		must(t, w.follower.Replay(t.Context(), letters[0].LetterID))
		must(t, w.follower.Drop(t.Context(), letters[1].LetterID))
		synctest.Wait()
		if diff := cmp.Diff([]string{"one " + created}, r.take()); diff != "" {
			t.Errorf("replayed (-want +got):\n%s", diff)
		}
		if left := w.letters(); len(left) != 0 {
			t.Errorf("there are still %+v", left)
		}
		for _, id := range []events.LetterID{letters[0].LetterID, letters[1].LetterID, {}, {Webhook: "a\x00b"}, {Webhook: "other", Sequence: 1}} {
			replay, drop := w.follower.Replay(t.Context(), id), w.follower.Drop(t.Context(), id)
			if !errors.Is(replay, events.ErrNoLetter) || !errors.Is(drop, events.ErrNoLetter) {
				t.Errorf("replay of %v: %v, and drop: %v", id, replay, drop)
			}
		}
	})
}

// A replayed event is tried as long as a new one, and may be given up again.
func TestReplayThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.answers(always(http.StatusGone))
		w := start(t, memory.NewIndex(), hookTo(r, withAge(time.Minute)))
		defer w.stop()
		w.create("one")
		pass(2 * time.Minute)
		first := w.letters()
		must(t, w.follower.Replay(t.Context(), first[0].LetterID))
		pass(30 * time.Second)
		if list := w.letters(); len(list) != 0 {
			t.Errorf("given up at once: %+v", list)
		}
		pass(time.Minute)
		again := w.letters()
		if len(again) != 1 || again[0].LetterID != first[0].LetterID || string(again[0].Envelope) != string(first[0].Envelope) || !again[0].TakenAt.After(first[0].GivenUpAt) {
			t.Errorf("given up as %+v, then as %+v", first, again)
		}
	})
}

// Letters of a webhook that is gone can be read and dropped, and are not sent into
// the void.
func TestLettersOfAWebhookThatWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, index := &receiver{}, memory.NewIndex()
		r.answers(always(http.StatusGone))
		w := start(t, index, hookTo(r, withAge(time.Second)))
		w.create("one")
		pass(time.Minute)
		w.stop()
		w = start(t, index, events.Options{})
		defer w.stop()
		list := w.letters()
		if len(list) != 1 {
			t.Fatalf("dead letters %+v", list)
		}
		if err := w.follower.Replay(t.Context(), list[0].LetterID); !errors.Is(err, events.ErrNoWebhook) || len(w.letters()) != 1 {
			t.Errorf("replay: %v, leaves %+v", err, w.letters())
		}
		must(t, w.follower.Drop(t.Context(), list[0].LetterID))
	})
}

func TestPagesOfLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.answers(always(http.StatusGone))
		o := hookTo(r, withAge(time.Second))
		other := o.Webhooks[0]
		other.Name = "another"
		o.Webhooks = append(o.Webhooks, other)
		w := start(t, memory.NewIndex(), o)
		defer w.stop()
		w.create(numbered("r", 12)...)
		pass(time.Minute)
		var got, want []string
		for after := (events.LetterID{}); ; {
			page, err := w.follower.DeadLetters(t.Context(), after, 5)
			must(t, err)
			for _, d := range page {
				got, after = append(got, fmt.Sprint(d.LetterID)), d.LetterID
			}
			if len(page) < 5 {
				break
			}
		}
		for _, hook := range []string{"another", "hook"} {
			for n := range 12 {
				want = append(want, fmt.Sprintf("{%s %d}", hook, n+1))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := w.follower.DeadLetters(t.Context(), events.LetterID{Webhook: "\x00"}, 5); !errors.Is(err, events.ErrNoLetter) {
			t.Errorf("behind no webhook: %v", err)
		}
	})
}
