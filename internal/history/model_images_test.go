package history

import (
	"fmt"
	"slices"
	"strings"
)

// push stores an image, or leaves all as it was.
func (m *model) push(s step) outcome {
	before := m.clone()
	out := m.tryPush(s)
	if out != accepted {
		*m = *before
	}
	return out
}

func (m *model) tryPush(s step) outcome {
	doc := universe[s.Doc]
	if bad := m.badPush(s, doc); bad != "" {
		if m.repos[s.Repo] == nil && (s.Door == atAPI || !m.Create) {
			return repositoryMissing
		}
		return bad
	}
	r := m.forPush(s)
	if r == nil {
		return repositoryMissing
	}
	img, there := r.images[doc.digest]
	back := false
	if !there {
		var out outcome
		if img, out = m.newImage(r, doc); out != "" {
			return out
		}
		r.images[doc.digest] = img
		m.bringBackAll(s.Repo, r.children(img))
	} else if img.status != "ACTIVE" {
		back = true
		m.bringBack(s.Repo, img)
	}
	set, out := m.setTags(r, s.tagsFor(doc), img)
	switch {
	case out != "":
		return out
	case there && !back && len(set) == 0:
		return sameAgain
	case len(set) == 0:
		set = []string{""}
	}
	for _, tag := range set {
		m.record("image-pushed", s.Repo, img, tag)
	}
	return accepted
}

// badPush says what is wrong with a push in whatever repository.
func (m *model) badPush(s step, doc *document) outcome {
	switch {
	case doc.wrong:
		return manifestWrong
	case s.wrongDigest():
		return imageDigestWrong
	}
	return ""
}

// wrongDigest says whether a push says a digest that is not the document's.
func (s step) wrongDigest() bool { return s.Wrong && (s.Door == atAPI || s.byDigest()) }

// byDigest says whether a push at the OCI door goes to a digest.
func (s step) byDigest() bool { return s.Force || len(s.Tags) == 0 }

// tagsFor are the tags that a push sets. At the API a document without one may
// have its own.
func (s step) tagsFor(doc *document) []string {
	if s.Door == atAPI && len(s.Tags) == 0 && doc.tag != "" {
		return []string{doc.tag}
	}
	return s.Tags
}

// newImage is an image of a document whose content is there.
func (m *model) newImage(r *repository, doc *document) (*stored, outcome) {
	if len(r.images) >= mostImages {
		return nil, tooManyImages
	}
	img := &stored{document: doc, uses: map[string]string{}, status: "ACTIVE", pushed: m.now}
	missing := false
	for _, n := range doc.needs {
		size, held := r.layers[n.digest]
		if !held {
			size, held = r.trashed[n.digest]
		}
		switch {
		case !held:
			missing = missing || !n.far
			continue
		case n.size >= 0 && n.size != size:
			return nil, manifestWrong
		}
		img.uses[n.digest] = n.mediaType
		img.size += size
	}
	if missing {
		return nil, layersMissing
	}
	var largest int64
	for _, c := range doc.children {
		child := r.images[c]
		if child == nil {
			return nil, childrenMissing
		}
		largest = max(largest, child.size)
	}
	img.size += largest
	for d := range img.uses {
		if size, there := r.trashed[d]; there {
			r.layers[d] = size
		}
	}
	return img, ""
}

// setTags makes tags name an image, and says for which that is new.
func (m *model) setTags(r *repository, tags []string, img *stored) (set []string, out outcome) {
	for _, tag := range tags {
		named, there := r.tags[tag]
		switch {
		case there && named == img.digest:
			continue
		case there && r.immutable(tag):
			return nil, tagImmutable
		case len(r.tagsOf(img.digest)) >= mostTags:
			return nil, tooManyTags
		}
		r.tags[tag] = img.digest
		set = append(set, tag)
	}
	return set, ""
}

// untag removes a tag; with last the image goes with its last one.
func (m *model) untag(repo, tag string, last bool) outcome {
	r := m.repos[repo]
	img := r.images[r.tags[tag]]
	switch {
	case img == nil:
		return imageMissing
	case last && len(r.tagsOf(img.digest)) == 1:
		return m.remove(repo, img)
	}
	delete(r.tags, tag)
	m.record("tag-removed", repo, img, tag)
	return accepted
}

// remove takes an image out, with its tags.
func (m *model) remove(repo string, img *stored) outcome {
	r := m.repos[repo]
	switch {
	case img == nil:
		return imageMissing
	case len(r.parents(img.digest)) > 0:
		return imageInIndex
	}
	tags := r.tagsOf(img.digest)
	delete(r.images, img.digest)
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		delete(r.tags, tag)
		m.record("image-deleted", repo, img, tag)
	}
	if m.Trash {
		r.trash(img)
	}
	return accepted
}

// trash takes the layers out of sight that an image in the trash alone uses. They stay
// there for good: a push of the image has them used again.
func (r *repository) trash(img *stored) {
	for d := range img.uses {
		size, there := r.layers[d]
		if there {
			r.trashed[d] = size
		}
		if there && len(r.users(d)) == 0 {
			delete(r.layers, d)
			r.left[d] = true
		}
	}
}

// identifier is one of a batch.
type identifier struct{ tag, digest string }

// identifiers are those of a batch, each once.
func (s step) identifiers() (list []identifier) {
	docs, tags := s.Docs, s.Tags
	if s.Force && len(tags) > 0 {
		list = append(list, identifier{tags[0], universe[docs[0]].digest})
		docs, tags = docs[1:], tags[1:]
	}
	for _, tag := range tags {
		list = append(list, identifier{tag: tag})
	}
	for _, d := range docs {
		list = append(list, identifier{digest: universe[d].digest})
	}
	var once []identifier
	for _, n := range list {
		if !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	return once
}

// batch removes images one by one, lists before what they hold, and is the text
// of what went and what failed.
func (m *model) batch(s step) outcome {
	var failed []string
	first := len(m.events)
	waiting := s.identifiers()
	for progress := true; progress; {
		var blocked []identifier
		progress = false
		for _, n := range waiting {
			switch code := m.removeOne(s.Repo, n); code {
			case "":
				progress = true
			case "ImageReferencedByManifestList":
				blocked = append(blocked, n)
			default:
				failed = append(failed, code)
			}
		}
		waiting = blocked
	}
	for range waiting {
		failed = append(failed, "ImageReferencedByManifestList")
	}
	var gone []string
	for _, e := range m.events[first:] {
		gone = append(gone, e.Image+":"+e.Tag)
	}
	return batchText(gone, failed)
}

func batchText(gone, failed []string) outcome {
	slices.Sort(gone)
	slices.Sort(failed)
	return outcome(fmt.Sprintf("gone [%s], failed [%s]", strings.Join(gone, " "), strings.Join(failed, " ")))
}

// removeOne removes what an identifier names, and is the code of the failure.
func (m *model) removeOne(repo string, n identifier) string {
	r := m.repos[repo]
	out := accepted
	switch named, tagged := r.tags[n.tag]; {
	case n.digest == "":
		out = m.untag(repo, n.tag, true)
	case n.tag != "" && !tagged:
		out = imageMissing
	case n.tag != "" && named != n.digest:
		return "ImageTagDoesNotMatchDigest"
	default:
		out = m.remove(repo, r.images[n.digest])
	}
	return strings.TrimPrefix(words[out].api, "failure ")
}

// store moves an image into a storage class, and what refers to it.
func (m *model) store(s step, img *stored) outcome {
	switch {
	case img == nil:
		return "400 ImageNotFoundException"
	case s.Rule == "ARCHIVE" && !m.archive(s.Repo, img):
		return classUnchangeable
	case s.Rule == "STANDARD" && !m.restore(s.Repo, img):
		return classUnchangeable
	}
	return accepted
}

func (m *model) archive(repo string, img *stored) bool {
	r := m.repos[repo]
	needs := func(index *stored) bool { return index.status != "ARCHIVED" }
	if img.status != "ACTIVE" || slices.ContainsFunc(r.parents(img.digest), needs) {
		return false
	}
	img.status, img.archived = "ARCHIVED", m.now
	m.recordClass(repo, img, "ARCHIVE")
	for _, other := range r.referrers(img.digest) {
		m.archive(repo, other)
	}
	return true
}

func (m *model) restore(repo string, img *stored) bool {
	if img.status != "ARCHIVED" {
		return false
	}
	img.status, img.due = "ACTIVATING", m.now.Add(restoreTime)
	for _, other := range m.repos[repo].followers(img) {
		m.restore(repo, other)
	}
	return true
}

// bringBack makes an image active at once, and what follows it.
func (m *model) bringBack(repo string, img *stored) {
	if img.status == "ACTIVE" {
		return
	}
	m.activate(repo, img)
	m.bringBackAll(repo, m.repos[repo].followers(img))
}

func (m *model) bringBackAll(repo string, list []*stored) {
	for _, img := range list {
		m.bringBack(repo, img)
	}
}
