package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// The refusals of what is done to identities.
var (
	ErrNoUser     = errors.New("accounts: no such user")
	ErrNoGroup    = errors.New("accounts: no such group")
	ErrNoRole     = errors.New("accounts: no such role")
	ErrNoPolicy   = errors.New("accounts: no such policy")
	ErrNoProvider = errors.New("accounts: no such identity provider")
	ErrNoRobot    = errors.New("accounts: no such robot key")
	ErrExists     = errors.New("accounts: there is one of that name already")
	ErrInUse      = errors.New("accounts: it is still in use")
	ErrLimit      = errors.New("accounts: there are as many as there may be")
	// ErrDeclared says that the account's identities are those of a file, and change
	// with it alone.
	ErrDeclared = errors.New("accounts: the identities of the account are declared in a file; change them there")
	ErrInvalid  = errors.New("accounts: not valid")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// The beginnings of the ids of identities, as AWS's (IAM user guide, "IAM
// identifiers").
const (
	prefixUser   = "AIDA"
	prefixGroup  = "AGPA"
	prefixRole   = "AROA"
	prefixPolicy = "ANPA"
)

func newID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b) // does not fail: crypto/rand
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// policies are what a user, a group or a role is given.
type policies struct {
	Inline   map[string]string `json:"inline,omitempty"`   // texts by name
	Attached []string          `json:"attached,omitempty"` // ARNs in order
}

type userRow struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	CreatedAt time.Time `json:"createdAt"`
	policies
	Groups   []string          `json:"groups,omitempty"` // names in order
	Boundary string            `json:"boundary,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Password string            `json:"password,omitempty"` // as hashPassword writes it
	Life     time.Duration     `json:"life,omitempty"`     // of registry passwords
	Disabled bool              `json:"disabled,omitempty"`
	Epoch    int               `json:"epoch,omitempty"` // counts revocations
}

type groupRow struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	CreatedAt time.Time `json:"createdAt"`
	policies
}

type roleRow struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	CreatedAt time.Time `json:"createdAt"`
	policies
	Trust      string            `json:"trust"`
	MaxSession time.Duration     `json:"maxSession"`
	Boundary   string            `json:"boundary,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Life       time.Duration     `json:"life,omitempty"`
	Epoch      int               `json:"epoch,omitempty"`
}

type policyRow struct {
	ID          string    `json:"id"`
	Path        string    `json:"path"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	Text        string    `json:"text"`
}

// The tables of identities: account, name. The generation of an account counts
// their changes.
var (
	userRows       = table.New[userRow]("iam-user", 2)
	groupRows      = table.New[groupRow]("iam-group", 2)
	roleRows       = table.New[roleRow]("iam-role", 2)
	policyRows     = table.New[policyRow]("iam-policy", 2)
	providerRows   = table.New[providerRow]("iam-provider", 2)
	generationRows = table.New[uint64]("iam-generation", 1)
)

// book is where identities are looked up: in the declaration for an account that
// has one, else in the index.
type book struct {
	r        storage.Reader
	declared *declaration
}

func (s *Store) book(r storage.Reader) book { return book{r, s.declared.Load()} }

// look finds a row of an account by its name, or storage.ErrNotFound. Names come from
// whoever asks: one that no key can hold is nobody's.
func look[Row any](b book, t table.Table[Row], declared map[string]map[string]Row, account, name string) (Row, error) {
	if !b.declared.has(account) {
		row, err := t.Get(b.r, account, name)
		if errors.Is(err, table.ErrBadKey) {
			err = storage.ErrNotFound
		}
		return row, err
	}
	row, ok := declared[account][name]
	if !ok {
		return row, storage.ErrNotFound
	}
	return row, nil
}

func (b book) user(account, name string) (userRow, error) {
	row, err := look(b, userRows, b.declared.users, account, name)
	return row, orMissing(err, ErrNoUser)
}

func (b book) group(account, name string) (groupRow, error) {
	row, err := look(b, groupRows, b.declared.groups, account, name)
	return row, orMissing(err, ErrNoGroup)
}

func (b book) role(account, name string) (roleRow, error) {
	row, err := look(b, roleRows, b.declared.roles, account, name)
	return row, orMissing(err, ErrNoRole)
}

func (b book) policy(account, name string) (policyRow, error) {
	row, err := look(b, policyRows, b.declared.policies, account, name)
	return row, orMissing(err, ErrNoPolicy)
}

func (b book) provider(account, url string) (providerRow, error) {
	row, err := look(b, providerRows, b.declared.providers, account, url)
	return row, orMissing(err, ErrNoProvider)
}

// orMissing is missing for a row that is not there.
func orMissing(err, missing error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return missing
	}
	return err
}

// named is a row with its name.
type named[Row any] struct {
	name string
	row  Row
}

// all are the rows of an account in order of name.
func all[Row any](b book, t table.Table[Row], declared map[string]map[string]Row, account string) (list []named[Row], err error) {
	if b.declared.has(account) {
		for _, name := range slices.Sorted(maps.Keys(declared[account])) {
			list = append(list, named[Row]{name, declared[account][name]})
		}
		return list, nil
	}
	for f, err := range t.Scan(b.r, table.Select{Prefix: []string{account}}) {
		if err != nil {
			return nil, err
		}
		list = append(list, named[Row]{strings.Clone(f.Key[1]), f.Row})
	}
	return list, nil
}

// generation is the count of changes to an account's identities.
func (b book) generation(account string) (uint64, error) {
	n, err := generationRows.Get(b.r, account)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// view reads identities.
func (s *Store) view(ctx context.Context, fn func(book) error) error {
	return s.index.View(ctx, func(r storage.Reader) error { return fn(s.book(r)) })
}

// change changes identities of an account, which then is in force for the next
// request.
func (s *Store) change(ctx context.Context, account string, fn func(storage.Tx, book) error) error {
	if !isAccount(account) {
		return ErrBadAccount
	}
	if s.declared.Load().has(account) {
		return ErrDeclared
	}
	return s.index.Update(ctx, func(tx storage.Tx) error {
		if err := fn(tx, s.book(tx)); err != nil {
			return err
		}
		return bump(tx, account)
	})
}

func bump(tx storage.Tx, account string) error {
	n, err := book{r: tx}.generation(account)
	if err != nil {
		return err
	}
	return generationRows.Put(tx, n+1, account)
}

var (
	// nameSyntax is that of users, roles and managed policies; groups may be longer in
	// AWS, and are not here (IAM API reference, CreateUser).
	nameSyntax = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	pathSyntax = regexp.MustCompile(`^/([\x21-\x7E]+/)?$`)
)

// checkName refuses what cannot be the name or the path of an identity. "" is the
// path "/".
func checkName(name string, path *string) error {
	if *path == "" {
		*path = "/"
	}
	switch {
	case !nameSyntax.MatchString(name):
		return invalid("a name has 1 to 64 letters, digits and characters of _+=,.@-")
	case len(*path) > 512 || !pathSyntax.MatchString(*path):
		return invalid("a path begins and ends with a slash, such as /teams/build/")
	}
	return nil
}

// maxTags is how many tags an identity has at most (IAM user guide, "IAM and AWS
// STS quotas").
const maxTags = 50

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("%w: %d tags at most", ErrLimit, maxTags)
	}
	lower := map[string]bool{}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 {
			return invalid("a tag has a key of 1 to 128 characters and a value of at most 256")
		}
		if lower[strings.ToLower(k)] {
			return invalid("the tag %.128q is there twice: keys differ by more than case", k)
		}
		lower[strings.ToLower(k)] = true
	}
	return nil
}

// checkNew refuses an identity that is there already.
func checkNew(err, missing error) error {
	switch {
	case err == nil:
		return ErrExists
	case errors.Is(err, missing):
		return nil
	}
	return err
}

func (s *Store) today() time.Time { return s.now().UTC().Truncate(time.Second) }
