package table

import (
	"fmt"
	"iter"

	"github.com/seed-78150930/berth/storage"
)

// Names yields the last key parts of the rows that s selects, in order. Its prefix has
// all the other parts. Rows are not read, which is most of what a scan costs.
func (t Table[Row]) Names(r storage.Reader, s Select) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		rng, err := t.scanRange(s)
		if err == nil && len(s.Prefix) != t.parts-1 {
			err = fmt.Errorf("%w: names of table %s stand behind %d parts", ErrBadKey, t.name, t.parts-1)
		}
		if err != nil {
			yield("", err)
			return
		}
		for e, err := range r.Scan(rng) {
			name := ""
			if err == nil {
				name = e.Key[len(rng.Prefix):]
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}
