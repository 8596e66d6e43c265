package history

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits and times of the servers that histories are played on: small, so that
// histories meet them.
const (
	mostImages   = 9
	mostTags     = 3
	restoreTime  = 30 * time.Second
	uploadExpiry = 5 * time.Minute
	flushEvery   = 10 * time.Second
)

// caller is who makes all calls.
const caller = "arn:aws:iam::123456789012:root"

// model is what a registry is.
type model struct {
	config
	repos    map[string]*repository
	uploads  map[int]*upload // by slot
	mounting bool
	events   []event
	pulls    map[pulled]time.Time // that are not written yet
	noted    []event              // of pulls, likewise
	flushAt  time.Time
	now      time.Time
	created  int // repositories
}

type repository struct {
	number  int // no other has it
	created time.Time
	rule    string
	policy  bool
	keeps   *step // its lifecycle policy, nil if it has none
	layers  map[string]int64
	trashed map[string]int64 // layers that images in the trash use
	left    map[string]bool  // of them, those out of sight with their images, that can be deleted once
	images  map[string]*stored
	tags    map[string]string
}

// stored is an image in a repository.
type stored struct {
	*document
	size                                int64
	uses                                map[string]string // media type by digest of each blob that was there
	status                              string
	pushed, archived, activated, pulled time.Time
	due                                 time.Time // when it comes back, if it is on its way
}

// upload is an upload in a slot.
type upload struct {
	repo    string
	number  int // of the repository
	data    string
	touched time.Time
}

// pulled is an image that was pulled.
type pulled struct {
	repo   int // its number
	digest string
}

// event is what the log must have.
type event struct {
	Kind, Repo, Image, MediaType, Tag, Actor, Target string
	At                                               time.Time
}

// pullKind is the kind of events of pulls.
const pullKind = "image-pulled"

func newModel(c config, now time.Time) *model {
	return &model{config: c, repos: map[string]*repository{}, uploads: map[int]*upload{}, pulls: map[pulled]time.Time{}, now: now, flushAt: now.Add(flushEvery)}
}

// record adds an event of the caller's.
func (m *model) record(kind, repo string, img *stored, tag string) {
	e := event{Kind: kind, Repo: repo, Tag: tag, Actor: caller, At: m.now}
	if img != nil {
		e.Image, e.MediaType = called(img.digest), img.mediaType
	}
	m.events = append(m.events, e)
}

// advance lets time pass, second by second.
func (m *model) advance(seconds int) {
	for range seconds {
		m.now = m.now.Add(time.Second)
		if m.now.Equal(m.flushAt) {
			m.flush()
			m.flushAt = m.now.Add(flushEvery)
		}
		m.restoreDue()
	}
}

// flush writes the pulls. One of an image that went meanwhile is of no other
// that has come since.
func (m *model) flush() {
	for _, r := range m.repos {
		for d, img := range r.images {
			if at, there := m.pulls[pulled{r.number, d}]; there && !at.Before(img.pushed) {
				img.pulled = at
			}
		}
	}
	clear(m.pulls)
	m.events = append(m.events, m.noted...)
	m.noted = nil
}

func (m *model) restoreDue() {
	for _, name := range sorted(m.repos) {
		r := m.repos[name]
		for _, d := range sorted(r.images) {
			if img := r.images[d]; img.status == "ACTIVATING" && !img.due.After(m.now) {
				m.activate(name, img)
				m.events[len(m.events)-1].Actor = "" // nobody's
			}
		}
	}
}

// activate makes an image active.
func (m *model) activate(repo string, img *stored) {
	img.status, img.activated = "ACTIVE", m.now
	m.recordClass(repo, img, "STANDARD")
}

func (m *model) recordClass(repo string, img *stored, target string) {
	tag := ""
	if list := m.repos[repo].tagsOf(img.digest); len(list) > 0 {
		tag = list[0]
	}
	m.record("storage-class-changed", repo, img, tag)
	m.events[len(m.events)-1].Target = target
}

// tagsOf are the tags of an image, in order.
func (r *repository) tagsOf(digest string) (list []string) {
	for _, tag := range sorted(r.tags) {
		if r.tags[tag] == digest {
			list = append(list, tag)
		}
	}
	return list
}

// referrers are the images whose subject is a digest, in order.
func (r *repository) referrers(subject string) (list []*stored) {
	for _, d := range sorted(r.images) {
		if r.images[d].subject == subject {
			list = append(list, r.images[d])
		}
	}
	return list
}

// children are the images that an index names, in its order.
func (r *repository) children(index *stored) (list []*stored) {
	for _, d := range index.document.children {
		list = append(list, r.images[d])
	}
	return list
}

// followers are what comes back from the archive with an image: what refers to it
// and, of an index, what it names.
func (r *repository) followers(img *stored) []*stored {
	return append(r.referrers(img.digest), r.children(img)...)
}

// parents are the indexes that name an image.
func (r *repository) parents(digest string) (list []*stored) {
	for _, img := range r.images {
		if slices.Contains(img.children, digest) {
			list = append(list, img)
		}
	}
	return list
}

// users are the images that use a blob, in order.
func (r *repository) users(blob string) (list []*stored) {
	for _, d := range sorted(r.images) {
		if _, uses := r.images[d].uses[blob]; uses {
			list = append(list, r.images[d])
		}
	}
	return list
}

// archivedLayer says whether only images use a layer that cannot be pulled.
func (r *repository) archivedLayer(blob string) bool {
	users := r.users(blob)
	return len(users) > 0 && !slices.ContainsFunc(users, func(img *stored) bool { return img.status == "ACTIVE" })
}

// immutable says whether a tag stays with its image.
func (r *repository) immutable(tag string) bool {
	excluded := strings.HasPrefix(tag, "dev") || strings.HasPrefix(tag, "o") && strings.HasSuffix(tag, "n")
	switch r.rule {
	case "IMMUTABLE":
		return true
	case "IMMUTABLE_WITH_EXCLUSION":
		return !excluded
	case "MUTABLE_WITH_EXCLUSION":
		return excluded
	}
	return false
}

// create makes a repository.
func (m *model) create(name, rule string) *repository {
	m.created++
	m.repos[name] = &repository{
		number: m.created, created: m.now, rule: rule,
		layers: map[string]int64{}, trashed: map[string]int64{}, left: map[string]bool{}, images: map[string]*stored{}, tags: map[string]string{},
	}
	m.record("repository-created", name, nil, "")
	return m.repos[name]
}

// forPush is the repository that something is pushed to, nil if there is none.
func (m *model) forPush(s step) *repository {
	if r := m.repos[s.Repo]; r != nil || s.Door == atAPI || !m.Create {
		return r
	}
	return m.create(s.Repo, "MUTABLE")
}

// play is what must come of a step, which it makes happen.
func (m *model) play(s step) outcome {
	m.advance(s.Wait)
	switch s.Do {
	case restart:
		m.flush()
		m.flushAt = m.now.Add(flushEvery)
		return accepted
	case expire:
		m.flush()
		m.expire()
		return accepted
	}
	return m.judge(s)
}

func (m *model) judge(s step) outcome {
	switch s.Do {
	case create, drop, mutability, mounting, setPolicy, dropPolicy, setLifecycle, dropLifecycle:
		return m.judgeRepository(s)
	case layer, begin, send, finish, cancel, mount, dropLayer:
		return m.judgeLayer(s)
	case push:
		return m.push(s)
	}
	r := m.repos[s.Repo]
	switch {
	case r == nil:
		return repositoryMissing
	case s.Do == untag:
		return m.untag(s.Repo, s.Tags[0], s.Door == atAPI || m.asECR())
	case s.Do == remove:
		return m.remove(s.Repo, r.images[universe[s.Doc].digest])
	case s.Do == batch:
		return m.batch(s)
	case s.Do == store:
		return m.store(s, r.images[universe[s.Doc].digest])
	case s.Do == pull, s.Do == look:
		return m.pull(s, r)
	}
	return accepted // lists, whose content is compared
}

func (m *model) judgeRepository(s step) outcome {
	r := m.repos[s.Repo]
	switch {
	case s.Do == mounting:
		m.mounting = s.Rule == "ENABLED"
		m.record("registry-changed", "", nil, "")
		return accepted
	case s.Do == create && r != nil:
		return repositoryThere
	case s.Do == create:
		m.create(s.Repo, s.Rule)
		return accepted
	case r == nil:
		return repositoryMissing
	case s.Do == drop && !s.Force && len(r.images) > 0:
		return notEmpty
	case s.Do == drop:
		delete(m.repos, s.Repo)
		m.record("repository-deleted", s.Repo, nil, "")
		return accepted
	case s.Do == dropPolicy && !r.policy:
		return policyMissing
	case s.Do == dropLifecycle && r.keeps == nil:
		return lifecycleMissing
	}
	r.set(s)
	m.record("repository-changed", s.Repo, nil, "")
	return accepted
}

// set changes a setting.
func (r *repository) set(s step) {
	switch s.Do {
	case mutability:
		r.rule = s.Rule
	case setLifecycle:
		r.keeps = &s
	case dropLifecycle:
		r.keeps = nil
	default:
		r.policy = s.Do == setPolicy
	}
}

// pull finds an image by tag or document.
func (m *model) pull(s step, r *repository) outcome {
	img := r.find(s)
	if img == nil || img.status != "ACTIVE" {
		return imageMissing
	}
	m.pulls[pulled{r.number, img.digest}] = m.now // HEAD counts too, but is no event
	if s.Do == pull && m.Reads {
		e := event{Kind: pullKind, Repo: s.Repo, Image: called(img.digest), MediaType: img.mediaType, Actor: caller, At: m.now}
		if len(s.Tags) > 0 {
			e.Tag = s.Tags[0]
		}
		m.noted = append(m.noted, e)
	}
	return accepted
}

func (r *repository) find(s step) *stored {
	if len(s.Tags) > 0 {
		return r.images[r.tags[s.Tags[0]]]
	}
	return r.images[universe[s.Doc].digest]
}

// clone is a copy, to try something on.
func (m *model) clone() *model {
	c := *m
	c.events, c.noted, c.pulls = slices.Clone(m.events), slices.Clone(m.noted), maps.Clone(m.pulls)
	c.repos, c.uploads = map[string]*repository{}, map[int]*upload{}
	for slot, u := range m.uploads {
		c.uploads[slot] = new(*u)
	}
	for name, r := range m.repos {
		copied := *r
		copied.layers, copied.tags, copied.images = maps.Clone(r.layers), maps.Clone(r.tags), map[string]*stored{}
		copied.trashed, copied.left = maps.Clone(r.trashed), maps.Clone(r.left)
		for d, img := range r.images {
			copied.images[d] = new(*img)
		}
		c.repos[name] = &copied
	}
	return &c
}
