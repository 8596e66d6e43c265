package policy

import (
	"slices"
	"strings"
)

// Pending of one name, Any, are all keys that a request does not have.
const Any = "*"

// query is a request with what is found out once for all statements.
type query struct {
	*Request
	action string // in lower case
	number int    // its number among known actions, -1 for another
	found  [maxSlots]found
}

// found is what was found out about a key with a slot.
type found struct {
	values        []string
	looked, known bool
}

// ask looks the action up.
func (q *query) ask() {
	n, known := actionNumbers[q.Action]
	if known {
		q.action, q.number = knownActions[n].lower, n
		return
	}
	q.action, q.number = strings.ToLower(q.Action), -1
	if n, known := actionNumbers[q.action]; known {
		q.number = n
	}
}

// values are those of a key, none for one that is absent. It is not known where the
// key is pending.
func (q *query) values(key string) (values []string, known bool) {
	if values, there := q.Keys[key]; there {
		return values, true
	}
	return nil, len(q.Pending) == 0 || !slices.Contains(q.Pending, key) && !slices.Contains(q.Pending, Any)
}

// valuesIn is values for a key with a slot, -1 for none, and looks once.
func (q *query) valuesIn(slot int, key string) ([]string, bool) {
	if slot < 0 {
		return q.values(key)
	}
	f := &q.found[slot]
	if !f.looked {
		f.values, f.known = q.values(key)
		f.looked = true
	}
	return f.values, f.known
}

// keySlots are places for what is found out about the keys that are known, in lower
// case: all but those of tags. There are maxSlots at most.
const maxSlots = 32

var keySlots = slotKeys(KnownKeys)

func slotKeys(names []string) map[string]int {
	slots := map[string]int{}
	for _, name := range names {
		if !strings.HasSuffix(name, "/") && len(slots) < maxSlots {
			slots[strings.ToLower(name)] = len(slots)
		}
	}
	return slots
}

// slotOf is the slot of a key in lower case, -1 if it has none.
func slotOf(key string) int {
	if slot, ok := keySlots[key]; ok {
		return slot
	}
	return -1
}

// actionSet is a set of known actions, by number.
type actionSet [2]uint64

func (s *actionSet) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *actionSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

// knownAction is an action by which statements are indexed.
type knownAction struct{ name, lower string }

// knownActions are those of ECR and of STS; actionNumbers has their places there,
// by their names and by these in lower case.
var (
	knownActions  = listActions(Actions, TrustActions)
	actionNumbers = numberActions(knownActions)
)

func listActions(lists ...[]string) []knownAction {
	var all []knownAction
	for _, list := range lists {
		for _, name := range list {
			all = append(all, knownAction{name, strings.ToLower(name)})
		}
	}
	return all
}

func numberActions(all []knownAction) map[string]int {
	numbers := map[string]int{}
	for n, a := range all {
		numbers[a.name], numbers[a.lower] = n, n
	}
	return numbers
}
