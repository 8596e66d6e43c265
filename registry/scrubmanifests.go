package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// manifests looks at those of all images. The place where it goes on is the key of a
// repository and a digest.
func (w *scrubbing) manifests(ctx context.Context) error {
	for !w.row.ManifestsDone {
		looked, err := w.somePages(ctx)
		if err == nil {
			err = w.settle(ctx, looked)
		}
		if err != nil {
			return err
		}
		w.row.After, w.row.ManifestsDone = looked.after, looked.after == nil
		if err := w.save(ctx, w.row.ManifestsDone); err != nil {
			return err
		}
	}
	return nil
}

// trash looks at those of images in the trash, from the first on.
func (w *scrubbing) trash(ctx context.Context) error {
	for after, more := []string(nil), true; more; more = after != nil {
		looked, err := w.someTrash(ctx, after)
		if err == nil {
			err = w.settle(ctx, looked)
		}
		if err != nil {
			return err
		}
		after = looked.after
	}
	return nil
}

// settle notes what came of some looks, and waits as long as the pace says.
func (w *scrubbing) settle(ctx context.Context, looked manifestLooks) error {
	w.row.Manifests += looked.images
	w.row.Bytes += looked.bytes
	w.s.integrity.scrubbed.Add(looked.images)
	w.s.integrity.scrubBytes.Add(looked.bytes)
	for _, m := range looked.damaged {
		w.row.Damaged++
		if err := w.s.noteDamagedManifest(ctx, m); err != nil {
			return err
		}
	}
	for _, m := range looked.healed {
		if err := w.s.manifestRight(ctx, m.repo, m.img); err != nil {
			return err
		}
	}
	return w.pace.wait(ctx, looked.bytes)
}

// someTrash reads some manifests in the trash, after a key, in one short view.
func (w *scrubbing) someTrash(ctx context.Context, after []string) (looked manifestLooks, err error) {
	err = w.s.view(ctx, func(r storage.Reader) error {
		looked = manifestLooks{}
		n := 0
		for f, err := range trash.Scan(r, table.Select{After: after, Limit: scrubPage}) {
			if err != nil {
				return err
			}
			if n++; n == scrubPage {
				looked.after = f.Key
			}
			due, err := trashDue.Get(r, trashDueKey(f.Row.At, f.Key[:3], f.Key[3])...)
			if errors.Is(err, storage.ErrNotFound) { // its repository is being cleared away
				continue
			}
			if err != nil {
				return err
			}
			repo := repository{Name{ID{f.Key[0], f.Key[1]}, due.Repository}, repositoryRow{ID: f.Key[2]}}
			if err := looked.image(r, repo, table.Found[imageRow]{Key: f.Key, Row: f.Row.Image}); err != nil {
				return err
			}
		}
		return nil
	})
	return looked, err
}

// manifestLooks is what came of looking at some manifests.
type manifestLooks struct {
	damaged, healed []*manifestDamaged
	images          int64
	bytes           int64
	after           []string // where to go on, nil at the end
}

// somePages reads some manifests in one short view.
func (w *scrubbing) somePages(ctx context.Context) (looked manifestLooks, err error) {
	err = w.s.view(ctx, func(r storage.Reader) error {
		looked = manifestLooks{}
		repo, digest, err := w.place(r)
		for ; err == nil && repo != nil; repo, digest, err = w.nextRepository(r, *repo) {
			full, err := looked.read(r, *repo, digest)
			if err != nil || full {
				return err
			}
		}
		looked.after = nil
		return err
	})
	return looked, err
}

// place is the repository at which the run stands, nil after the last, and the digest
// after which it goes on there.
func (w *scrubbing) place(r storage.Reader) (*repository, string, error) {
	if len(w.row.After) < 4 {
		return w.nextRepository(r, repository{})
	}
	name := Name{ID{w.row.After[0], w.row.After[1]}, w.row.After[2]}
	repo, err := find(r, name)
	if CodeOf(err) == RepositoryNotFound {
		return w.nextRepository(r, repository{name: name})
	}
	return &repo, w.row.After[3], err
}

func (w *scrubbing) nextRepository(r storage.Reader, last repository) (*repository, string, error) {
	sel := table.Select{Limit: 1}
	if !last.name.IsZero() {
		sel.After = last.name.key()
	}
	for f, err := range repositories.Scan(r, sel) {
		return &repository{Name{ID{f.Key[0], f.Key[1]}, f.Key[2]}, f.Row}, "", err
	}
	return nil, "", nil
}

// read looks at the manifests of a repository after a digest, and says whether it has
// looked at enough.
func (l *manifestLooks) read(r storage.Reader, repo repository, after string) (full bool, err error) {
	sel := table.Select{Prefix: repo.key()}
	if after != "" {
		sel.After = []string{after}
	}
	for f, err := range images.Scan(r, sel) {
		if err != nil {
			return false, err
		}
		if err := l.image(r, repo, f); err != nil {
			return false, err
		}
		l.after = append(repo.name.key(), f.Key[3])
		if l.images >= scrubPage {
			return true, nil
		}
	}
	return false, nil
}

func (l *manifestLooks) image(r storage.Reader, repo repository, f table.Found[imageRow]) error {
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return err
	}
	img := stored{d, f.Row}
	l.images++
	body, err := repo.manifest(r, img)
	l.bytes += int64(len(body))
	var damaged *manifestDamaged
	if errors.As(err, &damaged) {
		l.damaged = append(l.damaged, damaged)
		return nil
	}
	if err != nil {
		return err
	}
	known, err := manifestDamages.Has(r, f.Key...)
	if known {
		l.healed = append(l.healed, &manifestDamaged{repo: repo, img: img})
	}
	return err
}

// manifestRight ends the damage of a manifest that is right.
func (s *Service) manifestRight(ctx context.Context, repo repository, img stored) error {
	return s.update(ctx, func(tx storage.Tx) error {
		body, err := repo.manifest(tx, img)
		if err != nil {
			return err
		}
		return s.healManifest(ctx, tx, repo, img, body, "the bytes were found to be right")
	})
}

// byteRate keeps reading to a rate.
type byteRate struct {
	rate int64 // bytes a second, 0 for no limit
	due  time.Time
}

// wait waits until n more bytes may have been read.
func (p *byteRate) wait(ctx context.Context, n int64) error {
	if p.rate <= 0 || n == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	pause := time.NewTimer(p.due.Sub(now))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// paced is a reader at a pace, which counts.
type paced struct {
	io.ReadSeeker
	ctx  context.Context
	pace *byteRate
	n    int64
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.ReadSeeker.Read(b)
	p.n += int64(n)
	if waited := p.pace.wait(p.ctx, int64(n)); waited != nil {
		return n, waited
	}
	return n, err
}
