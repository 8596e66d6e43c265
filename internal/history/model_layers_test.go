package history

import "time"

func (m *model) judgeLayer(s step) outcome {
	switch s.Do {
	case begin:
		return m.begin(s)
	case mount:
		return m.mount(s)
	case layer:
		return m.layer(s)
	case dropLayer:
		return m.dropLayer(s)
	}
	if m.repos[s.Repo] == nil {
		return repositoryMissing
	}
	u := m.open(s)
	switch {
	case u == nil && s.Do == finish && s.Door == atAPI && m.holds(s):
		return layerThere // the answer to the first one may have been lost
	case u == nil:
		return uploadMissing
	case s.Do == send && s.Wrong:
		return offsetWrong
	case s.Do == send:
		u.data += blobs[s.Blob]
		u.touched = m.now
		return accepted
	case s.Do == finish:
		return m.finish(s, u)
	}
	delete(m.uploads, s.Slot)
	return accepted
}

// open is the upload in a slot, nil if the repository knows none.
func (m *model) open(s step) *upload {
	u, r := m.uploads[s.Slot], m.repos[s.Repo]
	if u == nil || u.repo != s.Repo || u.number != r.number {
		return nil
	}
	return u
}

// expiring says whether an upload may be there or not: when exactly those are
// removed that lie idle is nobody's business.
func (u *upload) expiring(now time.Time) bool {
	return u != nil && now.Sub(u.touched) >= uploadExpiry
}

func (m *model) holds(s step) bool {
	_, there := m.repos[s.Repo].layers[sum(blobs[s.Blob])]
	return there
}

func (m *model) begin(s step) outcome {
	r := m.forPush(s)
	if r == nil {
		return repositoryMissing
	}
	m.uploads[s.Slot] = &upload{repo: s.Repo, number: r.number, touched: m.now}
	return accepted
}

func (m *model) finish(s step, u *upload) outcome {
	if u.data == "" && (s.Door == atAPI || m.asECR()) {
		return uploadEmpty
	}
	delete(m.uploads, s.Slot)
	if u.data != blobs[s.Blob] {
		return layerDigestWrong
	}
	return m.keep(s)
}

// keep gives a repository a blob.
func (m *model) keep(s step) outcome {
	if m.holds(s) {
		return layerThere
	}
	m.repos[s.Repo].layers[sum(blobs[s.Blob])] = int64(len(blobs[s.Blob]))
	return accepted
}

func (m *model) layer(s step) outcome {
	if m.forPush(s) == nil {
		return repositoryMissing
	}
	return m.keep(s)
}

func (m *model) mount(s step) outcome {
	found := m.mountable(s)
	if m.forPush(s) == nil {
		return repositoryMissing
	}
	if !found {
		return began
	}
	m.keep(s)
	return mounted
}

// mountable says whether there is a blob to be mounted that can be read: as ECR
// does only what an image uses, from a repository that is named.
func (m *model) mountable(s step) bool {
	for name, r := range m.repos {
		_, holds := r.layers[sum(blobs[s.Blob])]
		if !holds || r.archivedLayer(sum(blobs[s.Blob])) || s.From != "" && s.From != name {
			continue
		}
		if !m.asECR() || s.From != "" && m.mounting && len(r.users(sum(blobs[s.Blob]))) > 0 {
			return true
		}
	}
	return false
}

func (m *model) dropLayer(s step) outcome {
	r, d := m.repos[s.Repo], sum(blobs[s.Blob])
	switch {
	case m.asECR():
		return notAtThisDoor
	case r == nil:
		return repositoryMissing
	case !m.holds(s) && !r.left[d]:
		return layerMissing
	case len(r.users(d)) > 0:
		return layerInImage
	}
	delete(r.layers, d)
	delete(r.left, d)
	m.record("layer-deleted", s.Repo, nil, "")
	m.events[len(m.events)-1].Image = called(d)
	return accepted
}
