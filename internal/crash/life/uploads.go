package life

// Uploads that go on over several lives are all in the repository that is never
// deleted. Each has bytes of its own, so that whoever goes on with one knows what
// comes next.

const uploadRepo = 1 // of repositories

// largestUpload is when one is finished.
const largestUpload = 12000

// goOn begins an upload, or goes on with one, or ends it.
func (c *client) goOn() {
	u := c.pickUpload()
	if u == nil {
		c.begin()
		return
	}
	c.mu.Lock()
	at := u.at
	c.mu.Unlock()
	switch n := c.random.IntN(10); {
	case at > largestUpload || at > 0 && n == 0:
		c.finish(u)
	case n < 3:
		c.where(u)
	default:
		c.append(u)
	}
}

// pickUpload picks one that is open.
func (c *client) pickUpload() *upload {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open []*upload
	for _, u := range c.ups {
		if !u.finished {
			open = append(open, u)
		}
	}
	if len(open) == 0 || len(open) < 3 && c.random.IntN(3) == 0 {
		return nil
	}
	return open[c.random.IntN(len(open))]
}

func (c *client) begin() {
	u := &upload{key: c.key(), api: c.random.IntN(2) == 0, seed: c.random.Uint64()}
	r := c.note(c.number, call{do: beginUpload, key: u.key, durable: u.api}, c.gone, func() result {
		id, r := c.beginAt(repositories[uploadRepo], u.api)
		u.id = id
		return r
	})
	if r.outcome == done {
		c.addUpload(u)
	}
}

func (c *client) append(u *upload) {
	c.mu.Lock()
	at := u.at
	c.mu.Unlock()
	n := int64(2 + c.random.IntN(2500)) // "Range: 0-0" is said of one byte and of none
	in := call{do: appendUpload, key: u.key, at: at, length: n, durable: u.api}
	r := c.note(c.number, in, c.gone, func() result {
		r := c.sendPart(repositories[uploadRepo], u.id, u.api, at, bytesOf(u.seed, int(at+n))[at:])
		c.expect(in, r)
		return r
	})
	c.stands(u, r)
}

// where asks where an upload stands, at /v2/, where those of the API can be seen too.
func (c *client) where(u *upload) {
	in := call{do: readUpload, key: u.key}
	r := c.note(c.number, in, c.gone, func() result {
		r := standing(c.at("GET", uploadPath(repositories[uploadRepo], u.id), "", nil))
		c.expect(in, r)
		return r
	})
	c.stands(u, r)
}

// stands notes what is now thought of an upload.
func (c *client) stands(u *upload, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.outcome {
	case done:
		u.at = max(u.at, r.at) // another client may have gone on since
	case absent:
		u.finished = true
	}
}

// finish ends an upload: from then on nobody goes on with it.
func (c *client) finish(u *upload) {
	c.mu.Lock()
	at, taken := u.at, u.finished
	u.finished = true
	c.mu.Unlock()
	if taken || c.random.IntN(4) == 0 {
		return // somebody else, or nobody ever
	}
	blob := bytesOf(u.seed, int(at))
	c.learn(blob)
	repo := repositories[uploadRepo]
	since := c.since(repo)
	r := c.note(c.number, call{do: finishUpload, key: u.key}, c.gone, func() result {
		return c.finishAt(repo, u.id, u.api, sum(blob))
	})
	if r.outcome == done && !c.gone() {
		c.keep(repo, sum(blob), since)
	}
}
