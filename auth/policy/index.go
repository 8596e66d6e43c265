package policy

// entry is the place of a statement, with what can be said of it at a glance.
type entry struct {
	actions actionSet // known ones that it is about
	head    string    // with which each resource begins that it is about
	at      int
}

// index sorts the statements of a document.
func (d *Document) index() {
	for i := range d.statements {
		s := &d.statements[i]
		e := entry{actions: s.actions.known(), head: s.resources.head(), at: i}
		if s.allows {
			d.grants = append(d.grants, e)
		} else {
			d.denials = append(d.denials, e)
		}
	}
}

// concerns says whether a statement may be about a request. Most are not, which the
// last character of what resources have in common tells most quickly.
func (e *entry) concerns(q *query) bool {
	if q.number >= 0 && !e.actions.has(q.number) {
		return false
	}
	n := len(e.head)
	return n == 0 || len(q.Resource) >= n && q.Resource[n-1] == e.head[n-1] && q.Resource[:n] == e.head
}

// head is what all resources have in common at their beginning.
func (r *resources) head() string {
	if r.not || len(r.patterns) == 0 {
		return ""
	}
	head := r.patterns[0].glob.head
	for i := range r.patterns {
		head = common(head, r.patterns[i].glob.head)
	}
	return head
}

func common(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
