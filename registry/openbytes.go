package registry

// openBytes are the bytes of open uploads in a repository and in its registry, with
// what requests under way may add.
type openBytes struct{ repository, registry int64 }

// ending is what is to be known of an upload to forget it.
type ending struct {
	id, owner, repo string // repo is the repository's id
	registry        ID
	bytes           int64 // that were counted
}

func (u *session) ending() ending {
	return ending{u.id, u.owner, u.repo, u.name.id, u.counted}
}

// count notes how many bytes an upload has or is about to have, and returns those of
// all open uploads that have been counted up to now.
func (l *sessions) count(u *session, bytes int64) openBytes {
	l.mu.Lock()
	defer l.mu.Unlock()
	more := bytes - u.counted
	u.counted = bytes
	return l.addBytes(u.repo, u.name.id, more)
}

func (l *sessions) openIn(repo string, id ID) openBytes {
	l.mu.Lock()
	defer l.mu.Unlock()
	return openBytes{l.inRepoBytes[repo], l.inRegistryBytes[id]}
}

// addBytes counts more bytes, or fewer. The caller has the lock.
func (l *sessions) addBytes(repo string, id ID, more int64) openBytes {
	now := openBytes{l.inRepoBytes[repo] + more, l.inRegistryBytes[id] + more}
	setOrDelete(l.inRepoBytes, repo, now.repository)
	setOrDelete(l.inRegistryBytes, id, now.registry)
	return now
}

func setOrDelete[K comparable](counts map[K]int64, key K, n int64) {
	if n == 0 {
		delete(counts, key)
		return
	}
	counts[key] = n
}
