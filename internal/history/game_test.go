package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

// game is a history that is played on a world and on the model.
type game struct {
	*player
	model *model
	after uint64 // sequence number of the last event
	seen  int    // events of the model
}

// failure is a history that the model does not allow.
type failure struct {
	at   int // step, or how many there are if it was the end
	what error
}

// play plays a history from an empty registry, which may be set otherwise than
// the model says, and returns where it went wrong, nil if it did not.
func play(t *testing.T, c config, history []step, change ...func(*registry.Options)) (failed *failure) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w, err := open(c, change...)
		if err != nil {
			failed = &failure{0, err}
			return
		}
		defer func() { w.stop() }()
		g := &game{player: &player{world: w, slots: map[int]string{}, sent: map[string]int{}, lists: map[int]*listing{}}, model: newModel(c, time.Now())}
		for i, s := range history {
			if err := g.step(s); err != nil {
				failed = &failure{i, err}
				return
			}
		}
		if err := g.end(); err != nil {
			failed = &failure{len(history), err}
		}
	})
	return failed
}

func (g *game) step(s step) error {
	time.Sleep(time.Duration(s.Wait) * time.Second)
	synctest.Wait()
	if err := g.lookForExpired(s); err != nil {
		return err
	}
	want := g.model.play(s).at(g.config, s.Door)
	got := g.play(s)
	synctest.Wait()
	if s.Do == look { // an answer to HEAD has no code
		want, got = firstWord(want), firstWord(got)
	}
	if got != want {
		return fmt.Errorf("the answer is %q, want %q", got, want)
	}
	return g.check(s)
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// lookForExpired forgets an upload that the registry has forgotten, when it may
// have done so.
func (g *game) lookForExpired(s step) error {
	u, now := g.model.uploads[s.Slot], time.Now()
	id, began := g.slots[s.Slot]
	if !began || !u.expiring(now) {
		return nil
	}
	name, err := registry.ParseName(here, u.repo)
	if err != nil {
		return err
	}
	_, err = g.service.Upload(as(caller), name, id)
	switch {
	case err != nil:
		delete(g.model.uploads, s.Slot)
	case now.Sub(u.touched) > uploadExpiry+2*time.Minute:
		return fmt.Errorf("an upload of %s is still there after %s", u.repo, now.Sub(u.touched))
	}
	return nil
}

// check holds what there is to see after a step against the model.
func (g *game) check(s step) error {
	if err := g.checkEvents(); err != nil {
		return err
	}
	g.settle()
	if s.Do == expire {
		return g.checkExpired()
	}
	switch {
	case s.Do == list:
		return g.checkLists(s)
	case s.Do == page:
		return g.turnPage(s)
	case s.touches() != nothing:
		if err := g.checkState(s.Repo, s.touches(), s.turn(3) == 0); err != nil {
			return err
		}
	}
	if s.turn(50) == 0 {
		return g.checkAll()
	}
	return nil
}

// checkExpired looks at the repositories that have a lifecycle policy.
func (g *game) checkExpired() error {
	for repo, r := range g.model.repos {
		if r.keeps != nil {
			if err := g.checkState(repo, content, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkAll is check of all repositories, and of the bytes of layers.
func (g *game) checkAll() error {
	for _, repo := range repoNames {
		if err := errors.Join(g.checkState(repo, everything, true), g.checkLayers(repo)); err != nil {
			return err
		}
	}
	return g.checkRepositories()
}

// checkEvents holds the events since the last time against those of the model.
func (g *game) checkEvents() error {
	page, err := g.service.Events(context.Background(), g.after, 1000)
	if err != nil {
		return err
	}
	var got []event
	for _, e := range page {
		if g.after++; e.Sequence != g.after {
			return fmt.Errorf("event %d comes as the one after %d", e.Sequence, g.after-1)
		}
		if e.Kind != registry.LifecycleRun { // of which package registry's tests say more
			got = append(got, shown(e))
		}
	}
	want := g.model.events[g.seen:]
	g.seen = len(g.model.events)
	slices.SortStableFunc(want, inOrder)
	slices.SortStableFunc(got, inOrder)
	if diff := cmp.Diff(want, got, sameIfEmpty); diff != "" {
		return fmt.Errorf("events (-model +log):\n%s", diff)
	}
	return nil
}

// inOrder compares events whose order is promised: those of one repository, but
// for pulls, which are written later than what else happens.
func inOrder(a, b event) int {
	switch {
	case a.Repo != b.Repo:
		return strings.Compare(a.Repo, b.Repo)
	case a.Kind != pullKind && b.Kind == pullKind:
		return -1
	case a.Kind == pullKind && b.Kind != pullKind:
		return 1
	}
	return 0
}

// sameIfEmpty takes no events for the same as none.
var sameIfEmpty = cmp.Transformer("list", func(list []event) map[int]event {
	m := map[int]event{}
	for i, e := range list {
		m[i] = e
	}
	return m
})

func shown(e registry.Event) event {
	out := event{
		Kind: string(e.Kind), Repo: e.Repository.String(), MediaType: e.MediaType, Tag: e.Tag.String(), Actor: e.Actor, At: e.At.UTC(),
	}
	if !e.Digest.IsZero() {
		out.Image = called(e.Digest.String())
	}
	var d registry.StorageClassDetail
	if e.Kind == registry.StorageClassChanged && json.Unmarshal(e.Detail, &d) == nil {
		out.Target = string(d.Target)
	}
	return out
}

// end waits for the end of all uploads and has the trash emptied, and then there are
// no more blobs than repositories hold; and none when they are gone.
func (g *game) end() error {
	wait := func() {
		time.Sleep(uploadExpiry + 2*time.Minute)
		synctest.Wait()
		g.model.advance(int((uploadExpiry + 2*time.Minute) / time.Second))
	}
	wait()
	if err := g.emptyTrash(); err != nil {
		return err
	}
	if err := errors.Join(g.checkEvents(), g.checkAll(), g.checkBlobs()); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	for _, repo := range sorted(g.model.repos) {
		drop := step{Do: drop, Door: atAPI, Repo: repo, Force: true, Wait: 1}
		if err := g.step(drop); err != nil {
			return fmt.Errorf("in the end: %v: %w", drop, err)
		}
	}
	wait()
	return errors.Join(g.emptyTrash(), g.checkBlobs())
}

// emptyTrash lets go what is in the trash: of the layers that repositories show it has
// none.
func (g *game) emptyTrash() error {
	_, err := g.world.service.EmptyTrash(context.Background(), registry.TrashFilter{})
	for _, r := range g.model.repos {
		clear(r.trashed)
		clear(r.left)
	}
	synctest.Wait()
	return err
}

// checkBlobs counts what lies in the store, once no upload is open.
func (g *game) checkBlobs() error {
	held := map[string]bool{}
	for _, r := range g.model.repos {
		for d := range r.layers {
			held[d] = true
		}
	}
	n, err := g.countBlobs()
	if err == nil && n != len(held) {
		err = fmt.Errorf("%d blobs are kept, and repositories hold %d", n, len(held))
	}
	return err
}
