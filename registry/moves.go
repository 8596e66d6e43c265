package registry

import (
	"context"
	"fmt"
	"strconv"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Move is what a request does to one tag: makes it, moves it or removes it. Where
// a request is about an image without any, Tag is "".
type Move struct {
	Tag       string
	Digest    digest.Digest // of the image that is pushed, or of the one that loses the tag
	MediaType string        // of its manifest
	// TagExists says that the tag names an image which will lose it. A push of what
	// the tag names already takes it from none.
	TagExists bool
}

// May says whether a move may be made: nil, or the error that the request ends
// with. It is called inside a transaction, perhaps more than once, so it reads
// nothing. A nil May is that of the server, which may.
type May func(Move) error

func (may May) ask(m Move) error {
	if may == nil {
		return nil
	}
	return may(m)
}

// The condition keys of moves, which are Berth's own.
const (
	imageTagKey    = "berth:imagetag"
	imageDigestKey = "berth:imagedigest"
	mediaTypeKey   = "berth:mediatype"
	tagExistsKey   = "berth:tagexists"
)

// keys are the condition keys of a move. A move without a tag has no berth:ImageTag.
func (m Move) keys() policy.Keys {
	k := policy.Keys{
		imageDigestKey: {m.Digest.String()}, mediaTypeKey: {m.MediaType}, tagExistsKey: {strconv.FormatBool(m.TagExists)},
	}
	if m.Tag != "" {
		k[imageTagKey] = []string{m.Tag}
	}
	return k
}

// MayMove asks whether a request may be made of which the moves are known only in
// its transaction, and returns what decides them there. Tags are those of the
// request as it names them, "" for none: whoever may move none of them so named
// is refused at once, before anything is looked at. Without tags which ones they
// are is open too.
func MayMove(ctx context.Context, a auth.Authorizer, c auth.Check, tags ...string) (May, error) {
	if len(tags) == 0 {
		c.Pending = []string{imageTagKey, imageDigestKey, mediaTypeKey, tagExistsKey}
		decide, err := a.Prepare(ctx, c)
		return func(m Move) error { return decide(m.keys()) }, err
	}
	deciders := make(map[string]auth.Decider, len(tags))
	for _, tag := range tags {
		named := c.With(nil)
		if tag != "" {
			named = c.With(policy.Keys{imageTagKey: {tag}})
		}
		named.Pending = []string{imageDigestKey, mediaTypeKey, tagExistsKey}
		var err error
		if deciders[tag], err = a.Prepare(ctx, named); err != nil {
			return nil, err
		}
	}
	return func(m Move) error {
		decide, asked := deciders[m.Tag]
		if !asked {
			return fmt.Errorf("the tag %q moves, and nobody was asked whether it may", m.Tag)
		}
		return decide(m.keys())
	}, nil
}

// mayPush asks for each tag of a push, or once where it has none.
func (p pushing) mayPush(rd storage.Reader) error {
	if p.May == nil {
		return nil
	}
	asked := false
	for _, tag := range p.Tags {
		if tag.IsZero() {
			continue
		}
		asked = true
		old, err := tags.Get(rd, p.repo.key(tag.s)...)
		if ignoreNotFound(err) != nil {
			return err
		}
		m := p.move()
		m.Tag, m.TagExists = tag.s, err == nil && old.Digest != p.digest
		if err := p.May(m); err != nil {
			return err
		}
	}
	if asked {
		return nil
	}
	return p.May(p.move())
}

func (p pushing) move() Move { return Move{Digest: p.digest, MediaType: p.manifest.MediaType} }

// mayLose asks for each tag that an image is about to lose, or once where it has
// none and goes itself.
func (may May) mayLose(img stored, list []Tag) error {
	m := Move{Digest: img.digest, MediaType: img.row.MediaType}
	if len(list) == 0 {
		return may.ask(m)
	}
	m.TagExists = true
	for _, tag := range list {
		m.Tag = tag.s
		if err := may.ask(m); err != nil {
			return err
		}
	}
	return nil
}
