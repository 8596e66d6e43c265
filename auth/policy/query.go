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
}

func ask(r *Request) query {
	if n, known := actionNumbers[r.Action]; known {
		return query{r, knownActions[n].lower, n}
	}
	lower := strings.ToLower(r.Action)
	if n, known := actionNumbers[lower]; known {
		return query{r, lower, n}
	}
	return query{r, lower, -1}
}

// values are those of a key, none for one that is absent. It is not known where the
// key is pending.
func (q *query) values(key string) (values []string, known bool) {
	if values, there := q.Keys[key]; there {
		return values, true
	}
	return nil, len(q.Pending) == 0 || !slices.Contains(q.Pending, key) && !slices.Contains(q.Pending, Any)
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
