package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Origin says on which server a tag, or an image, came where it is, or was deleted, and
// when. Of two for the same tag the later one counts, and of two at the same time the one
// of the server whose id is greater: so servers that tell each other of their moves end
// up with the same, in whatever order the words come.
//
// The times of one server never stand still: a move is later than what it moves, even
// if that came from a server whose clock is ahead.
type Origin struct {
	Server string
	At     time.Time
}

// after says whether o counts rather than an other one.
func (o Origin) after(other Origin) bool {
	return cmp.Or(o.At.Compare(other.At), strings.Compare(o.Server, other.Server)) > 0
}

// String is what ParseOrigin reads.
func (o Origin) String() string { return o.Server + " " + o.At.UTC().Format(time.RFC3339Nano) }

const maxServerID = 64

// ParseOrigin reads the text of an origin.
func ParseOrigin(text string) (Origin, error) {
	server, at, ok := strings.Cut(text, " ")
	when, err := time.Parse(time.RFC3339Nano, at)
	if !ok || err != nil || server == "" || len(server) > maxServerID ||
		strings.Trim(server, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return Origin{}, fmt.Errorf("%.100q is no origin: the id of a server and a time are asked for", text)
	}
	return Origin{server, when.UTC()}, nil
}

// maxAhead is how far the clock of another server may be ahead of this one.
const maxAhead = 24 * time.Hour

// stampRow says when a tag, or an image, last came where it is. There is none of what
// was never sent to another server, nor came from one.
type stampRow struct {
	At     time.Time
	Server string
	// Gone says that it was deleted then, or with its image, and that what is not later is
	// not to come back. It is known for tombstoneTime.
	Gone bool `json:",omitempty"`
	// DiedAt and DiedOn are, of an image that came again, when it was last deleted: moves of
	// tags to it before that do not count.
	DiedAt time.Time `json:",omitzero"`
	DiedOn string    `json:",omitempty"`
}

// died is when what the row is of was last deleted, zero for never.
func (row stampRow) died() Origin { return Origin{row.DiedOn, row.DiedAt} }

func (row stampRow) origin() Origin { return Origin{row.Server, row.At} }

// serverRow is what other servers know this one by.
type serverRow struct {
	ID string
}

// ServerID is what other servers know this one by: it is made with the first use.
func (s *Service) ServerID(ctx context.Context) (id string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		row, err := servers.Get(r, "")
		id = row.ID
		return ignoreNotFound(err)
	})
	if err != nil || id != "" {
		return id, err
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		id, err = ownServer(tx)
		return err
	})
	return id, err
}

func ownServer(tx storage.Tx) (string, error) {
	row, err := servers.Get(tx, "")
	if errors.Is(err, storage.ErrNotFound) {
		row = serverRow{newID()}
		err = servers.Put(tx, row, "")
	}
	return row.ID, err
}

// stampMoves notes that tags have come to an image just now, all at one time, unless
// nothing of it is ever sent to another server: always says that it is.
func (s *Service) stampMoves(tx storage.Tx, repo repository, d digest.Digest, named []Tag, always bool) error {
	if len(named) == 0 {
		return nil
	}
	last, known, err := repo.lastStamp(tx, d, named)
	if err != nil || !known && !always {
		return err
	}
	at, err := s.nextMove(tx, last)
	if err != nil {
		return err
	}
	for _, tag := range append([]Tag{{}}, named...) {
		if err := repo.note(tx, cmp.Or(tag.s, d.String()), at); err != nil {
			return err
		}
	}
	return nil
}

// lastStamp is the latest stamp of an image and of tags, if any of them has one.
func (r repository) lastStamp(rd storage.Reader, d digest.Digest, named []Tag) (last stampRow, known bool, err error) {
	for _, tag := range append([]Tag{{}}, named...) {
		row, err := stamps.Get(rd, r.key(cmp.Or(tag.s, d.String()))...)
		if ignoreNotFound(err) != nil {
			return last, false, err
		}
		known = known || err == nil
		if row.At.After(last.At) {
			last = row
		}
	}
	return last, known, nil
}

// nextMove is the origin of what happens now, behind what was.
func (s *Service) nextMove(tx storage.Tx, old stampRow) (Origin, error) {
	server, err := ownServer(tx)
	at := Origin{server, s.now().UTC()}
	if !at.At.After(old.At) {
		at.At = old.At.Add(time.Nanosecond)
	}
	return at, err
}

// movedAt is when a tag, or the image if it is zero, came where it is. What has no stamp
// came with the image's last tag, as far as is known.
func (r repository) movedAt(tx storage.Tx, tag Tag, d digest.Digest) (Origin, error) {
	row, err := stamps.Get(tx, r.key(cmp.Or(tag.s, d.String()))...)
	if !errors.Is(err, storage.ErrNotFound) {
		return row.origin(), err
	}
	server, err := ownServer(tx)
	if err != nil {
		return Origin{}, err
	}
	img, err := images.Get(tx, r.key(d.String())...)
	at := img.PushedAt
	if img.TaggedAt.After(at) {
		at = img.TaggedAt
	}
	return Origin{server, at.UTC()}, ignoreNotFound(err)
}

// buryMoved leaves tombstones of tags that are deleted now, or of an image that goes
// whole, for which one time is found that is later than all that is known of them.
func (s *Service) buryMoved(tx storage.Tx, repo repository, d digest.Digest, named []Tag, whole bool) (at Origin, err error) {
	last, _, err := repo.lastStamp(tx, d, named)
	if err != nil {
		return at, err
	}
	if at, err = s.nextMove(tx, last); err != nil {
		return at, err
	}
	if whole {
		return at, repo.buryImage(tx, d, named, at)
	}
	for _, tag := range named {
		if err := repo.bury(tx, tag.s, at); err != nil {
			return at, err
		}
	}
	return at, nil
}

// buryImage leaves the tombstone of an image. Its tags are not deleted at that time, but
// go with it: what is known of each is that it came where it was, and is not to come
// there again. So an older move of one to another image, of which is not known yet, still
// counts if it is later than that.
func (r repository) buryImage(tx storage.Tx, d digest.Digest, named []Tag, at Origin) error {
	for _, tag := range named {
		moved, err := r.movedAt(tx, tag, d)
		if err != nil {
			return err
		}
		if err := r.bury(tx, tag.s, moved); err != nil {
			return err
		}
	}
	return r.bury(tx, d.String(), at)
}

// bury leaves a tombstone, unless something later is known; then it is only known that
// it was deleted before.
func (r repository) bury(tx storage.Tx, what string, at Origin) error {
	row, err := stamps.Get(tx, r.key(what)...)
	if ignoreNotFound(err) != nil {
		return err
	}
	if !row.origin().after(at) {
		row.At, row.Server, row.Gone = at.At, at.Server, true
	}
	if at.after(row.died()) {
		row.DiedAt, row.DiedOn = at.At, at.Server
	}
	return stamps.Put(tx, row, r.key(what)...)
}

// note keeps when something came, unless something later is known of it.
func (r repository) note(tx storage.Tx, what string, at Origin) error {
	row, err := stamps.Get(tx, r.key(what)...)
	if ignoreNotFound(err) != nil || err == nil && !at.after(row.origin()) {
		return ignoreNotFound(err)
	}
	row.At, row.Server, row.Gone = at.At, at.Server, false
	return stamps.Put(tx, row, r.key(what)...)
}
