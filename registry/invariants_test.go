package registry

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Faults holds all rows of a service against each other and contents against
// their bytes, and says what does not agree.
func Faults(ctx context.Context, s *Service) (faults []string, err error) {
	err = s.index.View(ctx, func(r storage.Reader) error {
		a := audit{ctx: ctx, s: s, r: r, alive: map[string]repository{}}
		for _, f := range rows(&a, repositories) {
			repo := repository{Name{ID{f.Key[0], f.Key[1]}, f.Key[2]}, f.Row}
			a.alive[join(repo.key())] = repo
		}
		a.blobOwners()
		a.contents()
		a.heldRows()
		a.images()
		a.tags()
		a.references()
		a.events()
		a.replicas()
		a.counts()
		a.archive()
		a.configurations()
		a.policies()
		a.lifecycles()
		a.previews()
		a.plans()
		faults = a.faults
		return nil
	})
	return faults, err
}

// audit is one look at all rows.
type audit struct {
	ctx    context.Context
	s      *Service
	r      storage.Reader
	alive  map[string]repository // by the key parts of its rows, joined
	faults []string
}

func (a *audit) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

func join(parts []string) string { return strings.Join(parts, " ") }

func rows[Row any](a *audit, t table.Table[Row]) (list []table.Found[Row]) {
	for f, err := range t.Scan(a.r, table.Select{}) {
		if err != nil {
			a.fault("scan: %v", err)
			return list
		}
		list = append(list, f)
	}
	return list
}

func has[Row any](a *audit, t table.Table[Row], key ...string) bool {
	ok, err := t.Has(a.r, key...)
	if err != nil {
		a.fault("look for %q: %v", key, err)
	}
	return ok
}

// blobOwners: every blob id has exactly one owner, and owners says which.
func (a *audit) blobOwners() {
	owned := map[string][]string{}
	for _, f := range rows(a, contents) {
		owned[f.Row.Blob] = append(owned[f.Row.Blob], "content "+f.Key[0])
	}
	for _, f := range rows(a, uploads) {
		owned[f.Row.Blob] = append(owned[f.Row.Blob], "upload "+join(f.Key))
	}
	noted := map[string]string{}
	for _, f := range rows(a, owners) {
		noted[f.Key[0]] = "content " + f.Row.Content.String()
		if f.Row.Upload != nil {
			noted[f.Key[0]] = "upload " + join(f.Row.Upload)
		}
	}
	for _, f := range rows(a, condemned) {
		owned[f.Key[0]] = append(owned[f.Key[0]], "condemned")
		if noted[f.Key[0]] != "" {
			a.fault("blob %s is condemned, and noted as of %s", f.Key[0], noted[f.Key[0]])
		}
		noted[f.Key[0]] = "condemned"
	}
	a.sameOwners(owned, noted)
}

func (a *audit) sameOwners(owned map[string][]string, noted map[string]string) {
	for blob, list := range owned {
		if len(list) != 1 || noted[blob] != list[0] {
			a.fault("blob %s is owned by %q, noted as of %q", blob, list, noted[blob])
		}
	}
	for blob, by := range noted {
		if owned[blob] == nil {
			a.fault("blob %s is noted as of %s, which does not own it", blob, by)
		}
	}
}

// contents: the count of holders is right, and the bytes have the digest.
func (a *audit) contents() {
	holders := map[string]int{}
	for _, f := range rows(a, held) {
		holders[f.Key[3]]++
	}
	for _, f := range rows(a, contents) {
		if n := holders[f.Key[0]]; n != f.Row.Holders || n == 0 {
			a.fault("content %s counts %d holders, has %d", f.Key[0], f.Row.Holders, n)
		}
		delete(holders, f.Key[0])
		a.contentBytes(f.Key[0], f.Row)
	}
	for d, n := range holders {
		a.fault("%d repositories hold %s, which has no content", n, d)
	}
}

func (a *audit) contentBytes(name string, row contentRow) {
	d, err := digest.Parse(name)
	if err != nil {
		a.fault("content: %v", err)
		return
	}
	r, err := a.s.blobs.Open(a.ctx, row.Blob)
	if err != nil {
		a.fault("content %s: %v", d, err)
		return
	}
	defer r.Close()
	h := d.Algorithm().New()
	if n, err := io.Copy(h, r); err != nil || n != row.Size || digest.FromHash(d.Algorithm(), h) != d {
		a.fault("content %s has %d bytes of another digest, should have %d: %v", d, n, row.Size, err)
	}
}

// heldRows: held and holders mirror each other, sizes are those of contents.
func (a *audit) heldRows() {
	mirror := 0
	for _, f := range rows(a, held) {
		a.ofKnownRepository("held", f.Key)
		holder, err := holders.Get(a.r, f.Key[0], f.Key[1], f.Key[3], f.Key[2])
		if err != nil {
			a.fault("held %s is not in holders: %v", join(f.Key), err)
		}
		if repo, ok := a.alive[join(f.Key[:3])]; ok && repo.name.path != holder.Repository {
			a.fault("holder of %s is %q, should be %q", join(f.Key), holder.Repository, repo.name.path)
		}
		if content, err := contents.Get(a.r, f.Key[3]); err != nil || content.Size != f.Row.Size {
			a.fault("held %s has %d bytes, content %d: %v", join(f.Key), f.Row.Size, content.Size, err)
		}
		mirror++
	}
	if n := len(rows(a, holders)); n != mirror {
		a.fault("%d rows of holders, %d of held", n, mirror)
	}
}

// ofKnownRepository: rows lie in a repository or in one that is being cleared.
func (a *audit) ofKnownRepository(what string, key []string) {
	if _, ok := a.alive[join(key[:3])]; !ok && !has(a, dropped, key[:3]...) {
		a.fault("%s row %s is of no repository", what, join(key))
	}
}

// images: repositories count theirs; manifests are whole and of an image.
func (a *audit) images() {
	count := map[string]int{}
	for _, f := range rows(a, images) {
		a.ofKnownRepository("image", f.Key)
		repo, ok := a.alive[join(f.Key[:3])]
		if !ok {
			continue
		}
		count[join(f.Key[:3])]++
		d, err := digest.Parse(f.Key[3])
		if err != nil {
			a.fault("image: %v", err)
			continue
		}
		m, err := repo.parsed(a.r, stored{d, f.Row})
		if err != nil {
			a.fault("image %s: %v", d, err)
		}
		a.refersTo(repo, stored{d, f.Row}, m)
	}
	for key, repo := range a.alive {
		if count[key] != repo.row.Images {
			a.fault("repository %q counts %d images, has %d", repo.name, repo.row.Images, count[key])
		}
	}
	for _, f := range rows(a, manifests) {
		a.ofImage("manifest", f.Key[:3], f.Key[3])
	}
}

// ofImage: what belongs to an image has that image, unless its repository is
// being cleared.
func (a *audit) ofImage(what string, repo []string, image string) {
	if _, ok := a.alive[join(repo)]; !ok {
		a.ofKnownRepository(what, repo)
		return
	}
	if !has(a, images, append(slices.Clone(repo), image)...) {
		a.fault("%s row of %s has no image %s", what, join(repo), image)
	}
}

// refersTo: what an image refers to is there, with a row that says so.
func (a *audit) refersTo(repo repository, img stored, m manifest.Manifest) {
	image, uses, others := img.digest, layerUses, idleUses
	if img.row.status() != Active {
		uses, others = idleUses, layerUses
	}
	for _, b := range blobsOf(m) {
		if !b.Foreign && !b.Optional && !has(a, uses, repo.key(b.Digest.String(), image.String())...) {
			a.fault("image %s uses layer %s without a row", image, b.Digest)
		}
		if has(a, others, repo.key(b.Digest.String(), image.String())...) {
			a.fault("image %s, which is %s, uses layer %s as if it were not", image, img.row.status(), b.Digest)
		}
	}
	for _, c := range m.Manifests {
		if !c.Optional && !has(a, children, repo.key(c.Digest.String(), image.String())...) {
			a.fault("index %s has child %s without a row", image, c.Digest)
		}
	}
	if m.Subject != nil && !has(a, referrers, repo.key(m.Subject.Digest.String(), image.String())...) {
		a.fault("image %s refers to %s without a row", image, m.Subject.Digest)
	}
}

// tags: tags and imageTags mirror each other, and images count theirs.
func (a *audit) tags() {
	count, mirror := map[string]int{}, 0
	for _, f := range rows(a, tags) {
		d := f.Row.Digest.String()
		a.ofImage("tag "+f.Key[3], f.Key[:3], d)
		if _, ok := a.alive[join(f.Key[:3])]; !ok {
			continue
		}
		mirror++
		count[join(append(slices.Clone(f.Key[:3]), d))]++
		if !has(a, imageTags, append(slices.Clone(f.Key[:3]), d, f.Key[3])...) {
			a.fault("tag %s is not among those of its image", join(f.Key))
		}
	}
	for _, f := range rows(a, imageTags) {
		a.ofImage("tag "+f.Key[4], f.Key[:3], f.Key[3])
		if _, ok := a.alive[join(f.Key[:3])]; ok {
			mirror--
		}
	}
	if mirror != 0 {
		a.fault("%d tags more than tags of images", mirror)
	}
	for _, f := range rows(a, images) {
		if _, ok := a.alive[join(f.Key[:3])]; ok && f.Row.Tags != count[join(f.Key)] {
			a.fault("image %s counts %d tags, has %d", join(f.Key), f.Row.Tags, count[join(f.Key)])
		}
	}
}

// references: no row is left of an image that is gone, and what an image keeps
// from removal is there.
func (a *audit) references() {
	for _, f := range append(rows(a, layerUses), rows(a, idleUses)...) {
		a.ofImage("use of layer "+f.Key[3], f.Key[:3], f.Key[4])
		if _, ok := a.alive[join(f.Key[:3])]; ok && !has(a, held, f.Key[:4]...) {
			a.fault("layer %s is used by image %s and not held", join(f.Key[:4]), f.Key[4])
		}
	}
	for _, f := range rows(a, children) {
		a.ofImage("child "+f.Key[3], f.Key[:3], f.Key[4])
		if !a.s.live.Load().SparseIndexes {
			a.ofImage("child of "+f.Key[4], f.Key[:3], f.Key[3])
		}
	}
	for _, f := range rows(a, referrers) {
		a.ofImage("referrer to "+f.Key[3], f.Key[:3], f.Key[4])
	}
}

// counts: registries count their repositories, and those their images that are
// not active.
// replicas: each is one that the status of an image waits for, and the other way
// round.
func (a *audit) replicas() {
	waiting := map[string]bool{}
	for _, f := range rows(a, replications) {
		a.ofImage("replication", f.Key[:3], f.Key[3])
		for _, number := range f.Row.Waiting {
			waiting[join(append(slices.Concat(f.Key[4:6], f.Key[:3]), number, f.Key[3]))] = true
		}
	}
	for _, f := range rows(a, replicas) {
		key := join(append(slices.Clone(f.Key), f.Row.Digest.String()))
		if !waiting[key] {
			a.fault("no status waits for replica %s", key)
		}
		delete(waiting, key)
	}
	for key := range waiting {
		if repo := strings.Split(key, " ")[2:5]; has(a, dropped, repo...) {
			continue // the worker has seen that the repository is gone
		}
		a.fault("a status waits for replica %s, which is not there", key)
	}
}

// counts: registries count their repositories.
func (a *audit) counts() {
	inactive := map[string]int{}
	for _, f := range rows(a, images) {
		if f.Row.status() != Active {
			inactive[join(f.Key[:3])]++
		}
	}
	for key, repo := range a.alive {
		if repo.row.Inactive != inactive[key] {
			a.fault("repository %s counts %d images that are not active, has %d", key, repo.row.Inactive, inactive[key])
		}
	}
	n := map[ID]int{}
	for _, f := range rows(a, repositories) {
		n[ID{f.Key[0], f.Key[1]}]++
	}
	for _, f := range rows(a, registries) {
		if id := (ID{f.Key[0], f.Key[1]}); f.Row.Repositories != n[id] {
			a.fault("registry %v counts %d repositories, has %d", id, f.Row.Repositories, n[id])
		}
	}
}

// archive: no archived image is named by an index that is not, and what is on its
// way back has a row that brings it.
func (a *audit) archive() {
	status := map[string]ImageStatus{}
	for _, f := range rows(a, images) {
		status[join(f.Key)] = f.Row.status()
	}
	for _, f := range rows(a, children) {
		repo, child, parent := f.Key[:3:3], f.Key[3], f.Key[4]
		if of := status[join(append(repo, parent))]; status[join(append(repo, child))] == Archived && of != Archived && of != "" {
			a.fault("image %s is archived, index %s that names it is %s", child, parent, of)
		}
	}
	due := map[string]bool{}
	for _, f := range rows(a, restores) {
		due[join(f.Key[1:])+f.Row.ArchivedAt.String()] = true
	}
	for _, f := range rows(a, images) {
		if f.Row.status() == Activating && !due[join(f.Key)+f.Row.ArchivedAt.String()] {
			a.fault("nothing brings image %s back", join(f.Key))
		}
	}
}

// configurations: what registries have set passes its checks, and rules stand
// under their prefixes.
func (a *audit) configurations() {
	for _, f := range rows(a, documents) {
		id := ID{f.Key[0], f.Key[1]}
		if c, err := scanningOf(a.r, id); err != nil || c.check() != nil {
			a.fault("scanning configuration %+v of %v: %v, %v", c, id, err, c.check())
		}
		if c, err := signingOf(a.r, id); CodeOf(err) != SigningNotFound && (err != nil || c.check(id.Region, a.s.Limits()) != nil) {
			a.fault("signing configuration %+v of %v: %v", c, id, err)
		}
	}
	for _, f := range rows(a, pullThroughRules) {
		rule, id := f.Row.public(), ID{f.Key[0], f.Key[1]}
		if err := rule.settle(id); err != nil || rule.Upstream != f.Row.Upstream || join(id.pullThroughKey(rule.Prefix)) != join(f.Key) {
			a.fault("pull-through rule %+v at %s: %v", f.Row, join(f.Key), err)
		}
	}
}

// policies: each is kept as it is shown and keeps to the registry's scope. What was
// deleted has left its version alone.
func (a *audit) policies() {
	for _, f := range rows(a, documents) {
		id := ID{f.Key[0], f.Key[1]}
		if f.Row.Version < 1 {
			a.fault("document %s has version %d", join(f.Key), f.Row.Version)
		}
		if f.Key[2] == registryPolicyKind && f.Row.Text != "" {
			if p, err := registryPolicy(a.r, id); err != nil || p.Text() != f.Row.Text {
				a.fault("registry policy %s of %v: %v", f.Row.Text, id, err)
			}
		}
		if err := a.inScope(id); err != nil {
			a.fault("registry policy of %v and its scope: %v", id, err)
		}
	}
	for _, f := range rows(a, repositoryDocuments) {
		p, err := parseRepositoryPolicy(ID{f.Key[0], f.Key[1]}, f.Row.Text)
		if f.Row.Version < 1 || f.Row.Text != "" && (err != nil || p.Text() != f.Row.Text) {
			a.fault("document %s, %+v: %v", join(f.Key), f.Row, err)
		}
	}
}

// inScope says what is wrong between a registry's policy and its scope.
func (a *audit) inScope(id ID) error {
	scope, err := settingOf(a.r, id, RegistryPolicyScope)
	if err != nil {
		return err
	}
	return checkScope(a.r, id, RegistryPolicyScope, scope)
}

// lifecycles: what is due to a policy is one row, at the time that it says.
func (a *audit) lifecycles() {
	due := map[string]bool{}
	for _, f := range rows(a, lifecycles) {
		a.ofKnownRepository("lifecycle", f.Key)
		if f.Row.Text == "" {
			continue
		}
		due[join(dueKey(f.Row.Since, f.Key))] = true
		if _, err := a.s.parseLifecycle(f.Row.Text); err != nil && a.s.live.Load().LifecycleExtensions {
			a.fault("lifecycle policy of %s: %v", join(f.Key), err)
		}
	}
	a.sameDue("lifecycle policy", due, rows(a, lifecyclesDue))
}

// previews: likewise, unless nothing is due to them any more.
func (a *audit) previews() {
	due := map[string]bool{}
	for _, f := range rows(a, previews) {
		a.ofKnownRepository("preview", f.Key)
		if f.Row.State == PreviewInProgress || f.Row.State == PreviewComplete {
			due[join(dueKey(f.Row.Due, f.Key))] = true
		}
	}
	a.sameDue("preview", due, rows(a, previewsDue))
}

func (a *audit) sameDue(what string, want map[string]bool, list []table.Found[dueRow]) {
	for _, f := range list {
		if !want[join(f.Key)] {
			a.fault("%s due at %s, where nothing is", what, join(f.Key))
		}
		if repo, ok := a.alive[join(f.Key[1:])]; ok && repo.name.path != f.Row.Repository {
			a.fault("%s of %q due to %q", what, f.Row.Repository, repo.name)
		}
		delete(want, join(f.Key))
	}
	for key := range want {
		a.fault("%s at %s is not due", what, key)
	}
}

// plans: decisions are of a run or a preview, or about to be cleared away.
func (a *audit) plans() {
	needed := map[string]bool{}
	for _, f := range rows(a, lifecycles) {
		if f.Row.Plan != nil {
			needed[join(f.Key)+" "+f.Row.Plan.ID] = true
		}
	}
	for _, f := range rows(a, previews) {
		needed[join(f.Key)+" "+f.Row.ID] = true
	}
	for _, f := range rows(a, oldPlans) {
		a.ofKnownRepository("old plan", f.Key)
		needed[join(f.Key)] = true
	}
	var keys [][]string
	for _, f := range rows(a, decisions) {
		keys = append(keys, f.Key)
	}
	for _, f := range rows(a, decided) {
		keys = append(keys, f.Key)
		if !has(a, decisions, f.Key[0], f.Key[1], f.Key[2], f.Key[3], f.Row.Number) && !has(a, oldPlans, f.Key[:4]...) {
			a.fault("decision %s on %s is not there", f.Row.Number, f.Key[4])
		}
	}
	for _, key := range keys {
		a.ofKnownRepository("decision", key)
		if _, alive := a.alive[join(key[:3])]; alive && !needed[join(key[:4])] {
			a.fault("decision %s is of no plan", join(key))
		}
	}
}

// events: the sequence stands where the last event does.
func (a *audit) events() {
	last := ""
	for _, f := range rows(a, events) {
		last = f.Key[0]
	}
	seq, err := sequences.Get(a.r, eventSequence)
	if ignoreNotFound(err) != nil {
		a.fault("sequence: %v", err)
	}
	if last != "" && last != sequenceKey(seq.Last) {
		a.fault("last event is %s, the sequence stands at %s", last, sequenceKey(seq.Last))
	}
}

// PutByOldRules stores an image that the rules of today refuse.
func PutByOldRules(ctx context.Context, s *Service, name Name, mediaType string, body []byte) error {
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		m, err := manifest.Reread(mediaType, body)
		if err != nil {
			return err
		}
		_, err = s.put(ctx, tx, pushing{repo: repo, manifest: m, digest: digest.FromBytes(digest.SHA256, body), Push: Push{Body: body}})
		return err
	})
}

// FinishRestores does at once what Run does about images on their way back.
func FinishRestores(ctx context.Context, s *Service) error { return s.finishRestores(ctx) }

// Tidy does at once what Run does in the background after a removal.
func Tidy(ctx context.Context, s *Service) error {
	if err := s.clearDropped(ctx); err != nil {
		return err
	}
	return s.deleteCondemned(ctx)
}
