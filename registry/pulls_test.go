package registry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func pulledAt(t testing.TB, s *registry.Service, n registry.Name, d registry.Ref) time.Time {
	t.Helper()
	img, err := s.DescribeImage(alice(t), n, d)
	must(t, err)
	return img.PulledAt
}

func TestPullTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{PullTimeFlush: time.Minute})
		go func() { must(t, s.Run(t.Context())) }()
		n := create(t, s, "team/app")
		addImage(t, s, n, "1.0", "one")
		other := addImage(t, s, n, "2.0", "two")
		synctest.Wait()
		_, err := s.DescribeImage(alice(t), n, tagged(t, "2.0"))
		must(t, err)
		at := time.Now()
		_, _, err = s.Manifest(alice(t), n, tagged(t, "1.0"))
		must(t, err)
		if got := pulledAt(t, s, n, tagged(t, "1.0")); !got.IsZero() {
			t.Errorf("written at once: %v", got)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if got := pulledAt(t, s, n, tagged(t, "1.0")); !got.Equal(at) {
			t.Errorf("pulled at %v, want %v", got, at)
		}
		if got := pulledAt(t, s, n, registry.Ref{Digest: other.Digest}); !got.IsZero() {
			t.Errorf("what was described is pulled at %v", got)
		}
		_, err = s.Image(alice(t), n, registry.Ref{Digest: other.Digest}) // a HEAD counts
		must(t, err)
		must(t, s.Close(t.Context()))
		if got := pulledAt(t, s, n, tagged(t, "2.0")); got.IsZero() {
			t.Error("a stop forgets pulls")
		}
	})
}

// counting is an index that counts its writes.
type counting struct {
	storage.Index
	updates int
}

func (c *counting) Update(ctx context.Context, fn func(storage.Tx) error) error {
	c.updates++
	return c.Index.Update(ctx, fn)
}

func TestPullsDoNotWrite(t *testing.T) {
	index := &counting{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index, ReadEvents: true})
	n := create(t, s, "team/app")
	addImage(t, s, n, "1.0", "one")
	before := index.updates
	for range 100 {
		_, _, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
		must(t, err)
	}
	if index.updates != before {
		t.Errorf("100 pulls wrote %d times", index.updates-before)
	}
	must(t, s.FlushPulls(t.Context()))
	if index.updates != before+2 {
		t.Errorf("100 pulls of one image are written by %d updates, want one for the time and one for the events", index.updates-before)
	}
}

// Many pulls are written before their time.
func TestManyPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openUnchecked(t, registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), PullTimeFlush: time.Hour, ReadEvents: true})
		go func() { must(t, s.Run(t.Context())) }()
		n := create(t, s, "team/app")
		addImage(t, s, n, "1.0", "one")
		synctest.Wait()
		for range 10_000 {
			_, _, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
			must(t, err)
		}
		synctest.Wait()
		if got := pulledAt(t, s, n, tagged(t, "1.0")); got.IsZero() {
			t.Error("10,000 pulls wait for their hour")
		}
		if got := len(readEvents(t, s, 20_000)); got < 10_000 {
			t.Errorf("%d events of 10,000 pulls", got)
		}
	})
}

// No restore is due: nobody writes.
func TestLookingForRestoresDoesNotWrite(t *testing.T) {
	index := &counting{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index, RestoreTime: time.Hour})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	setClass(t, s, n, img, registry.ArchiveClass)
	setClass(t, s, n, img, registry.StandardClass)
	before := index.updates
	must(t, registry.FinishRestores(t.Context(), s))
	if index.updates != before {
		t.Error("an update for nothing")
	}
}

func TestExclusions(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{PullTimeExclusions: 3}})
	n := create(t, s, "team/app")
	addImage(t, s, n, "1.0", "one")
	const user, role, path = "arn:aws:iam::000000000000:user/ci", "arn:aws:iam::000000000000:role/scanner", "arn:aws:iam::000000000000:role/deep/er/mirror"
	for _, p := range []string{user, role, path} {
		at, err := s.ExcludePulls(alice(t), here, p)
		if err != nil || at.IsZero() {
			t.Errorf("%s: since %v, %v", p, at, err)
		}
	}
	_, err := s.ExcludePulls(alice(t), here, user)
	wantCode(t, "twice", err, registry.ExclusionExists)
	_, err = s.ExcludePulls(alice(t), here, user+"2")
	wantCode(t, "a fourth", err, registry.TooManyExclusions)
	for _, bad := range []string{"", "arn:aws:iam::000000000000:root", "arn:aws:iam::1:user/x", "arn:aws:iam::000000000000:user/" + fmt.Sprintf("%0200d", 0)} {
		_, err := s.ExcludePulls(alice(t), here, bad)
		wantCode(t, bad, err, registry.SettingInvalid)
	}
	for actor, counts := range map[string]bool{
		user: false, "arn:aws:sts::000000000000:assumed-role/scanner/session": false, "arn:aws:sts::000000000000:assumed-role/mirror/session": false,
		role: false, "arn:aws:sts::111111111111:assumed-role/scanner/session": true, "arn:aws:iam::000000000000:user/ci2": true,
	} {
		before := pulledAt(t, s, n, tagged(t, "1.0"))
		_, _, err := s.Manifest(auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: actor}), n, tagged(t, "1.0"))
		must(t, err)
		must(t, s.FlushPulls(t.Context()))
		if got := pulledAt(t, s, n, tagged(t, "1.0")); got.Equal(before) == counts {
			t.Errorf("a pull by %s moves the time from %v to %v", actor, before, got)
		}
	}
	list, more, err := s.PullExclusions(alice(t), here, "", 2)
	must(t, err)
	rest, last, err := s.PullExclusions(alice(t), here, list[1], 2)
	must(t, err)
	if diff := cmp.Diff([]string{path, role, user}, append(list, rest...)); diff != "" || !more || last {
		t.Errorf("more %v, %v, listed (-want +got):\n%s", more, last, diff)
	}
	must(t, s.IncludePulls(alice(t), here, user))
	wantCode(t, "end it twice", s.IncludePulls(alice(t), here, user), registry.ExclusionNotFound)
}

// What was pulled before an exclusion began counts, and what was pulled during one
// does not.
func TestExclusionsBeginAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		addImage(t, s, n, "1.0", "one")
		pull := func() time.Time {
			time.Sleep(time.Second)
			_, _, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
			must(t, err)
			return time.Now()
		}
		counted := pull()
		_, err := s.ExcludePulls(alice(t), here, arn("alice"))
		must(t, err)
		pull()
		must(t, s.IncludePulls(alice(t), here, arn("alice")))
		must(t, s.FlushPulls(t.Context()))
		if got := pulledAt(t, s, n, tagged(t, "1.0")); !got.Equal(counted) {
			t.Errorf("pulled at %v, want %v", got, counted)
		}
	})
}

func TestReadEvents(t *testing.T) {
	for _, on := range []bool{false, true} {
		s := open(t, registry.Options{ReadEvents: on})
		n := create(t, s, "team/app")
		img := addImage(t, s, n, "1.0", "one")
		before := len(readEvents(t, s, 100))
		_, err := s.Image(by(t, "bob"), n, tagged(t, "1.0")) // a HEAD is no event
		must(t, err)
		_, _, err = s.Manifest(by(t, "bob"), n, tagged(t, "1.0"))
		must(t, err)
		s.NoteDenied(by(t, "eve"), here, &auth.Denied{Check: auth.Check{Action: "ecr:PutImage", Resource: n.ARN()}, Reason: "no"})
		must(t, s.FlushPulls(t.Context()))
		got := readEvents(t, s, 100)[before:]
		if !on {
			if len(got) != 0 {
				t.Errorf("unasked events %+v", got)
			}
			continue
		}
		if len(got) != 2 || got[0].Kind != registry.ImagePulled || got[0].Digest != img.Digest || got[0].Tag != tag(t, "1.0") || got[0].Actor != arn("bob") ||
			got[0].Repository != n || got[1].Kind != registry.AccessDenied || got[1].Actor != arn("eve") || len(got[1].Detail) == 0 {
			t.Errorf("events %+v", got)
		}
	}
}

// A pull of an image that went, and was pushed again, is not one of the new image.
func TestPullsOfImagesThatWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		img := addImage(t, s, n, "1.0", "one")
		_, body, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
		must(t, err)
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
		must(t, err)
		time.Sleep(time.Second)
		put(t, s, n, "1.0", body)
		must(t, s.FlushPulls(t.Context()))
		if got := pulledAt(t, s, n, tagged(t, "1.0")); !got.IsZero() {
			t.Errorf("pulled at %v, before it was pushed", got)
		}
	})
}
