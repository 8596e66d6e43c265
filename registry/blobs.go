package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Layer is a blob that a repository holds: a layer, a config or any other.
type Layer struct {
	Digest digest.Digest
	Size   int64
	// MediaType is what an image that uses the layer calls it; "" if none does.
	// OpenLayer and FinishUpload leave it, Referenced, Archived and Damaged out.
	MediaType string
	// Referenced says that a stored image uses the layer.
	Referenced bool
	// Archived says that all images that use the layer are archived or on their
	// way back.
	Archived bool
	// Damaged says that the bytes are known to be damaged or lost. Nobody gets them,
	// and whoever sends them again heals the layer.
	Damaged bool
	// Doubtful says that the layer is to come from upstream, and did not when it was last
	// fetched.
	Doubtful bool
	// Existed says, of a finished upload, that the repository held it before.
	Existed bool
}

// layer reads what a repository holds, or refuses with LayerNotFound.
func (r repository) layer(rd storage.Reader, d digest.Digest) (Layer, error) {
	row, err := held.Get(rd, r.key(d.String())...)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Hidden {
		return Layer{}, layerNotFound(r.name, d)
	}
	return Layer{Digest: d, Size: row.Size}, err
}

func layerNotFound(name Name, d digest.Digest) *Error {
	e := refuse(LayerNotFound, "layer %s is not in %q", d, name)
	e.Name, e.Digests = name, []digest.Digest{d}
	return e
}

// Layer finds a layer of the repository. Refusals: RepositoryNotFound,
// LayerNotFound, also where only other repositories hold it.
func (s *Service) Layer(ctx context.Context, name Name, d digest.Digest) (l Layer, err error) {
	var repo repository
	err = s.view(ctx, func(r storage.Reader) (err error) {
		repo, l, err = usedLayer(r, name, d)
		return err
	})
	if CodeOf(err) == LayerNotFound {
		return s.layerOnItsWay(ctx, name, d, err)
	}
	if err == nil {
		s.asked.note(repo.key(d.String()), s.now())
	}
	return l, err
}

// layerOnItsWay is a layer that upstream has; missing is why it is not here.
func (s *Service) layerOnItsWay(ctx context.Context, name Name, d digest.Digest, missing error) (Layer, error) {
	p, ok, err := s.pendingLayer(ctx, name, d)
	if err != nil {
		return Layer{}, err
	}
	if ok {
		return Layer{Digest: d, Size: p.Size, Referenced: true, Doubtful: !s.mirror.Expects(p)}, nil
	}
	if l, _, err := s.locate(ctx, name, d); err == nil && s.mirror != nil { // it has come since
		return l, nil
	}
	return Layer{}, missing
}

// usedLayer finds a layer with what is known of its use, and its repository.
func usedLayer(rd storage.Reader, name Name, d digest.Digest) (repo repository, l Layer, err error) {
	if repo, err = find(rd, name); err != nil {
		return repo, Layer{}, err
	}
	if l, err = repo.layer(rd, d); err != nil {
		return repo, Layer{}, err
	}
	if l.MediaType, l.Referenced, l.Archived, err = repo.use(rd, d); err != nil {
		return repo, Layer{}, err
	}
	l.Damaged, err = damages.Has(rd, d.String())
	return repo, l, err
}

// checkReadable refuses what only images use that are not active.
func (r repository) checkReadable(rd storage.Reader, d digest.Digest) error {
	if r.row.Inactive == 0 {
		return nil
	}
	_, _, archived, err := r.use(rd, d)
	if err == nil && archived {
		err = layerArchived(r.name, d)
	}
	return err
}

func layerArchived(name Name, d digest.Digest) *Error {
	e := refuse(LayerArchived, "layer %s of %q is archived", d, name)
	e.Name, e.Digests = name, []digest.Digest{d}
	return e
}

// ReadableLayer is Layer, but refuses with LayerArchived or LayerDamaged what cannot
// be read.
func (s *Service) ReadableLayer(ctx context.Context, name Name, d digest.Digest) (Layer, error) {
	l, err := s.Layer(ctx, name, d)
	switch {
	case err == nil && l.Archived:
		err = layerArchived(name, d)
	case err == nil && l.Damaged:
		err = layerDamaged(name, d)
	}
	if err != nil {
		return Layer{}, err
	}
	return l, nil
}

// PresentLayer is ReadableLayer for those who ask whether a layer is there, but
// refuses with LayerNotFound what is damaged too. A client that is to push such a layer
// sees that it is not there, and sends it, which heals it: with any other answer clients
// give up (containerd's pusher takes 200 and 404 alone). So it is with what is doubtful.
func (s *Service) PresentLayer(ctx context.Context, name Name, d digest.Digest) (Layer, error) {
	l, err := s.ReadableLayer(ctx, name, d)
	if CodeOf(err) == LayerDamaged || l.Doubtful {
		return Layer{}, layerNotFound(name, d)
	}
	return l, err
}

// OpenLayer finds a layer and opens its bytes, which the caller closes. They are those
// of the digest as far as Options.Verify has them looked at. Over
// files on disk the reader is an *os.File, so that copies of it go by
// sendfile. Refusals as for ReadableLayer.
func (s *Service) OpenLayer(ctx context.Context, name Name, d digest.Digest) (l Layer, r io.ReadSeekCloser, err error) {
	for tried := ""; ; {
		l, row, err := s.locate(ctx, name, d)
		if CodeOf(err) == LayerNotFound {
			return s.openPending(ctx, name, d, err)
		}
		if err != nil {
			return Layer{}, nil, err
		}
		r, err := s.openProven(ctx, d, row)
		if err == nil {
			return l, r, nil
		}
		// If it was deleted or healed between the two steps it is gone, or has come
		// back as another blob; else its bytes are lost.
		gone := errors.Is(err, storage.ErrNotFound)
		if gone && row.Blob == tried {
			err = s.noteLost(ctx, d, row)
		}
		damaged := errors.Is(err, errDamaged)
		if damaged && row.Blob == tried { // which could not be noted, or it would be known
			return Layer{}, nil, layerDamaged(name, d)
		}
		if !gone && !damaged {
			return Layer{}, nil, fmt.Errorf("open layer %s: %w", d, err)
		}
		tried = row.Blob
	}
}

// heldLayer is a layer by the repository that holds it.
type heldLayer struct {
	repository Name
	digest     digest.Digest
}

// located is a layer that can be read, and the content that has its bytes.
type located struct {
	layer   Layer
	content contentRow
}

// maxLocated is how many of them are known without looking them up again.
const maxLocated = 4096

// locate finds a layer and the content that has its bytes. Bytes are deleted after the
// change that gave them up, so a look after they were found missing is a new one.
func (s *Service) locate(ctx context.Context, name Name, d digest.Digest) (Layer, contentRow, error) {
	found, err := s.located.Get(heldLayer{name, d}, func() (found located, err error) {
		err = s.view(ctx, func(r storage.Reader) (err error) {
			found, err = lookUpLayer(r, name, d)
			return err
		})
		return found, err
	})
	return found.layer, found.content, err
}

func lookUpLayer(r storage.Reader, name Name, d digest.Digest) (found located, err error) {
	repo, err := find(r, name)
	if err != nil {
		return found, err
	}
	if found.layer, err = repo.layer(r, d); err != nil {
		return found, err
	}
	if err := repo.checkReadable(r, d); err != nil {
		return found, err
	}
	if damaged, err := damages.Has(r, d.String()); err != nil || damaged {
		return found, cmp.Or(err, error(layerDamaged(name, d)))
	}
	found.content, err = contents.Get(r, d.String())
	return found, err
}

// openContent is OpenContent with the service's own blobs.
func (s *Service) openContent(ctx context.Context, blob string) (io.ReadSeekCloser, error) {
	return OpenContent(ctx, s.blobs, blob)
}

// OpenContent opens a blob that a content row names, which therefore has been
// sealed once: a power cut may have undone that, and then it is sealed again.
func OpenContent(ctx context.Context, blobs storage.Blobs, blob string) (io.ReadSeekCloser, error) {
	r, err := blobs.Open(ctx, blob)
	if !errors.Is(err, storage.ErrNotFound) {
		return r, err
	}
	if err := blobs.Seal(ctx, blob); err != nil {
		return nil, err
	}
	return blobs.Open(ctx, blob)
}

// DeleteLayer takes a layer from the repository. One that only images in the trash use
// can be deleted too, once: it went out of sight with them, and whoever deletes an image
// and then its layers, as the OCI specification has it, is not to be told that they are
// not there. Refusals: RepositoryNotFound, LayerNotFound, LayerReferenced.
func (s *Service) DeleteLayer(ctx context.Context, name Name, d digest.Digest) error {
	ctx = storage.UseReserve(ctx)
	err := s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		if err := repo.checkDeletable(tx, d); err != nil {
			return err
		}
		if err := repo.checkUnused(tx, d); err != nil {
			return err
		}
		if err := s.giveUp(tx, repo, d); err != nil {
			return err
		}
		return s.record(ctx, tx, LayerDeleted, repo, eventRow{Digest: d})
	})
	if err == nil {
		s.wakeJanitor()
	}
	return err
}

// hold gives a repository the right to the bytes of a content row.
func (r repository) hold(tx storage.Tx, d digest.Digest, content contentRow, row heldRow) error {
	content, err := resizeHolder(tx, r.key(), d.String(), content, true, row.Size)
	if err != nil {
		return err
	}
	if err := contents.Put(tx, content, d.String()); err != nil {
		return err
	}
	if err := holders.Put(tx, holderRow{r.name.path}, r.name.id.Account, r.name.id.Region, d.String(), r.row.ID); err != nil {
		return err
	}
	row.Fresh = true
	return held.Put(tx, row, r.key(d.String())...)
}

// admit gives a repository the right to a layer unless it has it, which existed
// says. One that was there begins its grace anew, and is in sight again if only the
// trash used it: then it is as if it were new.
func (s *Service) admit(tx storage.Tx, repo repository, d digest.Digest, content contentRow) (existed bool, err error) {
	row, err := held.Get(tx, repo.key(d.String())...)
	if errors.Is(err, storage.ErrNotFound) {
		return false, repo.hold(tx, d, content, heldRow{Size: content.Size, At: s.now().UTC()})
	}
	if err != nil {
		return false, err
	}
	existed = !row.Hidden
	row.At = s.now().UTC()
	row.show()
	return existed, held.Put(tx, row, repo.key(d.String())...)
}

// letGo takes that right back; repo is the key of the repository. The bytes
// are condemned with their last holder.
func (s *Service) letGo(tx storage.Tx, repo []string, d string) error {
	key := append(repo[:3:3], d)
	row, err := held.Get(tx, key...)
	if err != nil {
		return fmt.Errorf("layer %s to let go: %w", d, err)
	}
	if row.Fresh {
		if err := resize(tx, repo, sizeRow{Fresh: -row.Size}); err != nil {
			return err
		}
	}
	if err := held.Delete(tx, key...); err != nil {
		return err
	}
	if err := holders.Delete(tx, repo[0], repo[1], d, repo[2]); err != nil {
		return err
	}
	content, err := contents.Get(tx, d)
	if err != nil {
		return fmt.Errorf("content of %s: %w", d, err)
	}
	if content, err = resizeHolder(tx, repo, d, content, false, 0); err != nil {
		return err
	}
	if content.Holders > 0 {
		return contents.Put(tx, content, d)
	}
	if err := errors.Join(contents.Delete(tx, d), damages.Delete(tx, d)); err != nil {
		return err
	}
	if err := resizeStore(tx, storeSizeRow{Contents: -content.Size}); err != nil {
		return err
	}
	return s.condemn(tx, content.Blob, content.Size)
}

// condemn hands a blob over to the janitor. Its former owner's row must go in
// the same transaction.
func (s *Service) condemn(tx storage.Tx, blob string, size int64) error {
	if err := owners.Delete(tx, blob); err != nil {
		return err
	}
	if err := resizeStore(tx, storeSizeRow{Condemned: size}); err != nil {
		return err
	}
	return condemned.Put(tx, condemnedRow{s.now().UTC(), size}, blob)
}

// Mount says where a layer may be mounted from.
type Mount struct {
	// From is the repository that holds the layer; zero means any of the same
	// registry.
	From Name
	// MayRead says whether the caller may read layers of a repository. It is
	// required, and asked outside of transactions.
	MayRead func(ctx context.Context, n Name) bool
	// MayCreate is as in Push.
	MayCreate bool
	// AsECR mounts as ECR does: where the account setting BlobMounting is
	// Enabled, what a stored image of the source uses, from a named repository
	// of the same registry that says the same of its encryption (ECR reference,
	// registry-http.md section 4).
	AsECR bool
}

// takes says whether a layer of a repository may be mounted in another one.
func (m Mount) takes(rd storage.Reader, l Layer, from, to repository) (bool, error) {
	if l.Archived || l.Damaged { // nobody may read it there
		return false, nil
	}
	if !m.AsECR {
		return true, nil
	}
	if !l.Referenced || from.name.id != to.name.id || from.row.Encryption != to.row.Encryption {
		return false, nil
	}
	value, err := settingOf(rd, to.name.id, BlobMounting)
	return value == Enabled, err
}

// maxSources bounds how many holders of a layer a mount without a source asks
// about.
const maxSources = 100

// Mount gives the repository a layer that another one holds. LayerNotFound
// says that there is none that the caller may read, and not why: whether he may is
// asked, and what is there looked at, whatever the other says.
// Refusals: RepositoryNotFound, LayerNotFound, QuotaExceeded.
func (s *Service) Mount(ctx context.Context, name Name, d digest.Digest, m Mount) (l Layer, err error) {
	from, err := s.source(ctx, name, d, m)
	if err != nil {
		return Layer{}, err
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		source, found, err := usedLayer(tx, from, d)
		if CodeOf(err) != "" {
			return layerNotFound(name, d)
		}
		if err != nil {
			return err
		}
		repo, err := s.findForPush(ctx, tx, name, m.MayCreate)
		if err != nil {
			return err
		}
		ok, err := m.takes(tx, found, source, repo)
		if err != nil {
			return err
		}
		if !ok {
			return layerNotFound(name, d)
		}
		l = found
		content, err := contents.Get(tx, d.String())
		if err != nil {
			return fmt.Errorf("content of %s: %w", d, err)
		}
		if l.Existed, err = s.admit(tx, repo, d, content); err != nil || l.Existed {
			return err
		}
		return s.checkQuota(tx, repo)
	})
	return l, err
}

// source is the repository to mount a layer from: one that holds it, which the
// caller may read.
func (s *Service) source(ctx context.Context, name Name, d digest.Digest, m Mount) (Name, error) {
	if !m.From.IsZero() {
		_, err := s.PresentLayer(ctx, m.From, d)
		if err != nil && CodeOf(err) == "" {
			return Name{}, err
		}
		if may := m.MayRead(ctx, m.From); may && err == nil {
			return m.From, nil
		}
		return Name{}, layerNotFound(name, d)
	}
	if m.AsECR {
		return Name{}, layerNotFound(name, d)
	}
	candidates, err := s.holdersOf(ctx, name.id, d)
	if err != nil {
		return Name{}, err
	}
	for _, c := range candidates {
		if m.MayRead(ctx, c) {
			return c, nil
		}
	}
	return Name{}, layerNotFound(name, d)
}

// holdersOf lists repositories of a registry that hold a layer which can be read
// there. A deleted one whose rows have not been cleared away yet is none.
func (s *Service) holdersOf(ctx context.Context, id ID, d digest.Digest) (list []Name, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		if damaged, err := damages.Has(r, d.String()); err != nil || damaged {
			return err
		}
		for f, err := range holders.Scan(r, table.Select{Prefix: []string{id.Account, id.Region, d.String()}, Limit: maxSources}) {
			if err != nil {
				return err
			}
			name := Name{id, f.Row.Repository}
			ok, err := readableIn(r, name, f.Key[3], d)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			list = append(list, name)
		}
		return nil
	})
	return list, err
}

// readableIn says whether a repository that holds a layer is still the one of its
// name, and the layer can be read there.
func readableIn(rd storage.Reader, name Name, id string, d digest.Digest) (bool, error) {
	repo, err := find(rd, name)
	if err == nil && repo.row.ID == id {
		if _, err = repo.layer(rd, d); err == nil {
			err = repo.checkReadable(rd, d)
		}
	}
	if code := CodeOf(err); code == RepositoryNotFound || code == LayerArchived || code == LayerNotFound {
		return false, nil
	}
	return repo.row.ID == id, err
}
