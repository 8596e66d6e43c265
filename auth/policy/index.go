package policy

// entry is the place of a statement, with what can be said of it at a glance.
type entry struct {
	actions actionSet // known ones that it is about
	head    string    // with which each resource begins that it is about
	last    uint64    // the last characters of that, if it has as many
	at      int
}

// index sorts the statements of a document.
func (d *Document) index() {
	for i := range d.statements {
		s := &d.statements[i]
		e := entry{actions: s.actions.known(), head: s.resources.head(), at: i}
		if len(e.head) >= word {
			e.last = lastOf(e.head)
		}
		if s.allows {
			d.grants = append(d.grants, e)
		} else {
			d.denials = append(d.denials, e)
		}
	}
}

// concerns says whether a statement may be about a request. Most are not, which the
// end of what resources have in common tells most quickly: the beginnings of ARNs are
// all alike.
func (e *entry) concerns(q *query) bool {
	if q.number >= 0 && !e.actions.has(q.number) {
		return false
	}
	n := len(e.head)
	if n == 0 {
		return true
	}
	return n <= len(q.Resource) && (n < word || e.last == lastOf(q.Resource[:n])) && e.head == q.Resource[:n]
}

// word is how many characters are compared at once.
const word = 8

// lastOf is the last word of a text that has one.
func lastOf(s string) uint64 {
	s = s[len(s)-word:]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
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
