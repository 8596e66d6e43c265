package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// blobOwners: every blob id has exactly one owner, and owners says which.
func (a *audit) blobOwners() {
	for f := range rowsOf(a, contents) {
		if owner, _ := get(a, owners, f.Row.Blob); owner.Content.String() != f.Key[0] {
			a.fault(FaultOwner, "content "+f.Key[0], "its blob %s is noted as of %s", f.Row.Blob, owner)
		}
	}
	for f := range rowsOf(a, uploads) {
		if owner, _ := get(a, owners, f.Row.Blob); !slices.Equal(owner.Upload, f.Key) {
			a.fault(FaultOwner, "upload "+join(f.Key), "its blob %s is noted as of %s", f.Row.Blob, owner)
		}
	}
	for f := range rowsOf(a, scanPages) {
		if owner, _ := get(a, owners, f.Row.Blob); !slices.Equal(owner.Scan, f.Key) {
			a.fault(FaultOwner, "scanpage "+join(f.Key), "its blob %s is noted as of %s", f.Row.Blob, owner)
		}
	}
	for f := range rowsOf(a, owners) {
		if !a.owns(f.Row, f.Key[0]) {
			a.fault(FaultOwner, "owner "+f.Key[0], "the blob is noted as of %s, which does not own it", f.Row)
		}
	}
	for f := range rowsOf(a, condemned) {
		if owner, ok := get(a, owners, f.Key[0]); ok {
			a.fault(FaultOwner, "condemned "+f.Key[0], "the blob is noted as of %s", owner)
		}
	}
}

// String says which row it is for people.
func (row ownerRow) String() string {
	switch {
	case row.Upload != nil:
		return "upload " + join(row.Upload)
	case row.Scan != nil:
		return "scanpage " + join(row.Scan)
	case row.Content.IsZero():
		return "nobody"
	}
	return "content " + row.Content.String()
}

// owns says whether the row that owns a blob by its note says so too.
func (a *audit) owns(owner ownerRow, blob string) bool {
	if owner.Upload != nil {
		upload, ok := get(a, uploads, owner.Upload...)
		return ok && upload.Blob == blob
	}
	if owner.Scan != nil {
		page, ok := get(a, scanPages, owner.Scan...)
		return ok && page.Blob == blob
	}
	content, ok := get(a, contents, owner.Content.String())
	return ok && content.Blob == blob
}

// contents: the count of holders is right.
func (a *audit) contents() {
	ids := a.holdingRegistries()
	for f := range rowsOf(a, contents) {
		n, by := 0, holdersXOR("")
		for _, id := range ids {
			for h := range rowsOf(a, holders, id.Account, id.Region, f.Key[0]) {
				n++
				by, _ = by.with(h.Key[3])
			}
		}
		if by != f.Row.By {
			a.fault(FaultHolders, "content "+f.Key[0], "its sum of holders is %q and should be %q", f.Row.By, by)
		}
		if n != f.Row.Holders || n == 0 {
			a.fault(FaultHolders, "content "+f.Key[0], "it counts %d holders and has %d", f.Row.Holders, n)
		}
	}
	for f := range rowsOf(a, holders) {
		if !has(a, contents, f.Key[2]) {
			a.fault(FaultHolders, "holder "+join(f.Key), "there is no content of that digest")
		}
	}
}

// holdingRegistries are those whose repositories hold layers. It leaps from one to
// the next.
func (a *audit) holdingRegistries() (ids []ID) {
	for sel := (table.Select{Limit: 1}); ; {
		id := ID{}
		for f, err := range holders.Scan(a.r, sel) {
			if err != nil && len(f.Key) == 0 {
				a.err = err
				return ids
			}
			id = ID{f.Key[0], f.Key[1]}
		}
		if id == (ID{}) {
			return ids
		}
		ids = append(ids, id)
		sel.After = []string{id.Account, id.Region, "\xff"} // digests come before
	}
}

// damaged: what is known to be damaged is there, and known of the bytes that it has.
func (a *audit) damaged() {
	for f := range rowsOf(a, damages) {
		content, ok := get(a, contents, f.Key[0])
		if !ok || content.Blob != f.Row.Blob {
			a.fault(FaultDamage, "damage "+f.Key[0], "it is of blob %s, the content has %s", f.Row.Blob, content.Blob)
		}
		a.fault(FaultDamage, "content "+f.Key[0], "it has been damaged since %s: %s", f.Row.At.Format(time.RFC3339), f.Row.Found)
	}
	for f := range rowsOf(a, manifestDamages) {
		if !has(a, trash, f.Key...) {
			a.ofImage(FaultDamage, "manifestdamage "+join(f.Key), f.Key[:3], f.Key[3])
		}
		a.fault(FaultDamage, "image "+join(f.Key), "its manifest has been damaged since %s: %s", f.Row.At.Format(time.RFC3339), f.Row.Found)
	}
}

// heldRows: held and holders mirror each other, sizes are those of contents.
func (a *audit) heldRows() {
	for f := range rowsOf(a, held) {
		row := "held " + join(f.Key)
		a.ofKnownRepository(FaultHolders, row, f.Key)
		holder, ok := get(a, holders, f.Key[0], f.Key[1], f.Key[3], f.Key[2])
		if !ok {
			a.fault(FaultHolders, row, "it is not among the holders of the layer")
		}
		if ok && a.nameDiffers(f.Key, holder.Repository) {
			a.fault(FaultHolders, row, "its holder is called %q and should be %q", holder.Repository, a.alive[join(f.Key[:3])])
		}
		if content, ok := get(a, contents, f.Key[3]); !ok || content.Size != f.Row.Size {
			a.fault(FaultHolders, row, "it has %d bytes and its content %d", f.Row.Size, content.Size)
		}
		if f.Row.Hidden && a.isAlive(f.Key) {
			a.hidden(row, f.Key)
		}
	}
	for f := range rowsOf(a, holders) {
		if !has(a, held, f.Key[0], f.Key[1], f.Key[3], f.Key[2]) {
			a.fault(FaultHolders, "holder "+join(f.Key), "the repository does not hold the layer")
		}
	}
}

// blobs holds contents against their bytes, and then the store of blobs against
// the rows.
func (a *audit) blobs() error {
	for after := []string(nil); ; {
		page, err := a.contentsAfter(after)
		if err != nil || len(page) == 0 {
			return errors.Join(err, a.scanned(), a.strays())
		}
		for _, f := range page {
			if f.Row == (contentRow{}) {
				continue // it has been told of
			}
			if a.bytes(f.Key[0], f.Row); a.err != nil {
				return a.err
			}
		}
		after = page[len(page)-1].Key
	}
}

// contentsAfter reads some contents in a short view.
func (a *audit) contentsAfter(after []string) (page []table.Found[contentRow], err error) {
	err = a.s.index.View(a.ctx, func(r storage.Reader) error {
		page = nil
		for f, err := range contents.Scan(r, table.Select{After: after, Limit: batch}) {
			if err != nil && len(f.Key) == 0 {
				return err
			}
			page = append(page, f) // the zero row for one that cannot be read, which ends the scan
		}
		return nil
	})
	return page, err
}

// bytes: a content has its bytes. One that went meanwhile needs none.
func (a *audit) bytes(name string, row contentRow) {
	f, bad := a.lookAt(name, row)
	if a.err = a.ended(); a.err != nil || !bad {
		return
	}
	now, err := a.contentNow(name)
	if err == nil && now.Blob == row.Blob {
		a.fault(f.Kind, f.Row, "%s", f.Text)
	}
	a.err = cmp.Or(a.err, ignoreNotFound(err))
}

func (a *audit) contentNow(name string) (row contentRow, err error) {
	err = a.s.index.View(a.ctx, func(r storage.Reader) (err error) {
		row, err = contents.Get(r, name)
		return err
	})
	return row, err
}

// lookAt says what is wrong with the bytes of a content.
func (a *audit) lookAt(name string, row contentRow) (f Fault, bad bool) {
	f.Row = "content " + name
	d, err := digest.Parse(name)
	if err != nil {
		return Fault{FaultRow, f.Row, err.Error()}, true
	}
	r, err := a.s.openContent(a.ctx, row.Blob)
	if err != nil {
		return Fault{FaultMissing, f.Row, fmt.Sprintf("its bytes are not there: %v", err)}, true
	}
	defer r.Close()
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return Fault{FaultSize, f.Row, fmt.Sprintf("nobody knows how large blob %s is: %v", row.Blob, err)}, true
	}
	if size != row.Size {
		return Fault{FaultSize, f.Row, fmt.Sprintf("blob %s has %d bytes and should have %d", row.Blob, size, row.Size)}, true
	}
	if !a.check.Hash {
		return f, false
	}
	got, err := a.s.hashFrom(a.ctx, r, d.Algorithm())
	if err != nil || got != d {
		return Fault{FaultDigest, f.Row, fmt.Sprintf("blob %s: %s", row.Blob, foundInstead(got, err))}, true
	}
	return f, false
}

// strays: every blob that is no upload under way is owned.
func (a *audit) strays() error {
	for info, err := range a.s.blobs.List(a.ctx, "") {
		if err != nil {
			return err
		}
		owned := false
		err := a.s.index.View(a.ctx, func(r storage.Reader) (err error) {
			owned, err = isOwned(r, info.ID)
			return err
		})
		if err != nil {
			return err
		}
		// An upload has no row before its first checkpoint.
		young := info.ModTime.After(a.s.now().Add(-a.s.live.Load().UploadExpiry))
		if !owned && !young && !a.s.sessions.hasBlob(info.ID) {
			a.fault(FaultStray, "blob "+info.ID, "no row owns its %d bytes, and it is older than uploads may be", info.Size)
		}
		if a.err != nil {
			return a.err
		}
	}
	return nil
}
