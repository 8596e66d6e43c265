package policy

// truth is what is known of a statement: a condition on a key that is known only
// later may or may not be met.
type truth int8

const (
	no truth = iota
	maybe
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// not turns a truth round. What is open stays open.
func (t truth) not() truth { return yes - t }
