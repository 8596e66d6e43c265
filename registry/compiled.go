package registry

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// compiled is what every request asks of a repository before it is begun, read:
// policies and the rows of repositories. What is kept is held against the bytes in
// the index each time, so it is never older than they are.
type compiled struct {
	mu       sync.RWMutex
	policies map[string]compiledPolicy // by the key of their row
	bytes    int                       // of the policies' texts
	rows     map[Name]compiledRow
}

type compiledPolicy struct {
	head string
	size int
	policy.Attached
}

type compiledRow struct {
	text string
	row  repositoryRow
}

func newCompiled() compiled {
	return compiled{policies: map[string]compiledPolicy{}, rows: map[Name]compiledRow{}}
}

// How much is kept; then any of it goes. Policies are counted by their texts, a
// thousand of the longest; read, they are a few times as large.
const maxCompiledPolicies, maxCompiledRows = 10 << 20, 10_000

// The rows as they lie in the index.
var (
	repositoryTexts = table.New[lentRow]("repodocument", 4)
	registryTexts   = table.New[lentRow]("document", 3)
	repositoryRows  = table.New[lentRow]("repository", 3)
)

// lentRow is a row's bytes, for as long as the transaction lasts.
type lentRow struct{ value []byte }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (l *lentRow) UnmarshalBinary(b []byte) error {
	l.value = b
	return nil
}

// documentHead is what a document's row begins with: its version and when it was
// set, which no other text of the same key ever has.
func (l lentRow) documentHead() []byte {
	if end := bytes.Index(l.value, []byte(`,"Text":`)); end >= 0 {
		return l.value[:end]
	}
	return nil // a document that was deleted
}

// repository reads the row of a repository, which is not to be changed; or
// storage.ErrNotFound.
func (c *compiled) repository(rd storage.Reader, name Name) (repository, error) {
	lent, err := repositoryRows.Get(rd, name.key()...)
	if err != nil {
		return repository{}, err
	}
	c.mu.RLock()
	kept, ok := c.rows[name]
	c.mu.RUnlock()
	if ok && kept.text == string(lent.value) {
		return repository{name, kept.row}, nil
	}
	kept.text, kept.row = string(lent.value), repositoryRow{}
	if err := json.Unmarshal(lent.value, &kept.row); err != nil {
		return repository{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[name] = kept
	for other := range c.rows {
		if len(c.rows) <= maxCompiledRows {
			break
		}
		delete(c.rows, other)
	}
	return repository{name, kept.row}, nil
}

// policy is the policy under a key as parse reads it, without a document if there is
// none.
func (c *compiled) policy(rd storage.Reader, of table.Table[lentRow], key []string, parse func(text string) (policy.Attached, error)) (policy.Attached, error) {
	row, err := of.Get(rd, key...)
	if missing(err) {
		return policy.Attached{}, nil
	}
	if err != nil {
		return policy.Attached{}, err
	}
	head := row.documentHead()
	if head == nil {
		return policy.Attached{}, nil
	}
	name := strings.Join(key, " ")
	if p, ok := c.known(name, head); ok {
		return p, nil
	}
	var whole documentRow
	if err := json.Unmarshal(row.value, &whole); err != nil {
		return policy.Attached{}, err
	}
	p, err := parse(whole.Text)
	if err != nil {
		return policy.Attached{}, err
	}
	c.keep(name, compiledPolicy{string(head), len(whole.Text), p})
	return p, nil
}

func (c *compiled) known(name string, head []byte) (policy.Attached, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.policies[name]
	return p.Attached, ok && p.head == string(head)
}

func (c *compiled) keep(name string, d compiledPolicy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += d.size - c.policies[name].size
	c.policies[name] = d
	for other, old := range c.policies {
		if c.bytes <= maxCompiledPolicies {
			return
		}
		if other != name {
			delete(c.policies, other)
			c.bytes -= old.size
		}
	}
}
