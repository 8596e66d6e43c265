package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Resource is what there is to know for decisions on the resource that an ARN
// names. Of a repository that is the registry's policy, the repository's own and
// its resource tags. Of a repository that is not there, of a pattern of names, and
// of "*", which is the registry of whoever ctx says is asking, it is the policy of
// the registry alone. What names nothing of a registry has no policies.
func (s *Service) Resource(ctx context.Context, arn string) (of auth.Resource, err error) {
	id, path, ok := resourceNamed(ctx, arn)
	if !ok {
		return auth.Resource{}, nil
	}
	err = s.view(ctx, func(rd storage.Reader) error {
		common, err := s.registryPolicies(rd, id)
		if err != nil {
			return err
		}
		of = auth.Resource{Policies: common}
		name, err := ParseName(id, path)
		if err != nil {
			return nil
		}
		repo, err := find(rd, name)
		if CodeOf(err) == RepositoryNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		of, err = s.resource(rd, repo, common)
		return err
	})
	return of, err
}

// resourceNamed is the registry that an ARN is of, and the path of a repository, if
// it may be one's.
func resourceNamed(ctx context.Context, arn string) (id ID, path string, ok bool) {
	if arn == "*" {
		by := auth.PrincipalOf(ctx)
		id, err := ParseID(by.Account, by.Region)
		return id, "", err == nil
	}
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[2] != "ecr" || part[1] != endpoint.Partition(part[3]) {
		return ID{}, "", false
	}
	id, err := ParseID(part[4], part[3])
	path, isRepository := strings.CutPrefix(part[5], "repository/")
	return id, path, err == nil && isRepository
}

// resource is what there is to know of a repository, beside what is common to all of
// its registry.
func (s *Service) resource(rd storage.Reader, repo repository, common []policy.Attached) (auth.Resource, error) {
	of := auth.Resource{Policies: common, Tags: repo.row.ResourceTags}
	doc, err := s.compiled.get(rd, repositoryTexts, repo.key(repositoryPolicyKind), func(text string) (*policy.Document, error) {
		return policy.ParseRepository(text, endpoint.Partition(repo.name.id.Region))
	})
	if err != nil {
		return of, fmt.Errorf("policy of %s: %w", repo.name.ARN(), err)
	}
	if doc != nil {
		own := policy.Attached{Name: "repository policy of " + repo.name.ARN(), Document: doc}
		of.Policies = append([]policy.Attached{own}, common...)
	}
	return of, nil
}

// registryPolicies is the policy of a registry, if it has one. It keeps to the scope
// that is set: neither is taken if it does not go with the other. So one of V1 speaks
// of three actions, and need not be looked at with the scope in hand.
func (s *Service) registryPolicies(rd storage.Reader, id ID) ([]policy.Attached, error) {
	doc, err := s.compiled.get(rd, registryTexts, id.documentKey(registryPolicyKind), func(text string) (*policy.Document, error) {
		return policy.ParseRegistry(text, endpoint.Partition(id.Region), policy.V2)
	})
	if err != nil {
		return nil, fmt.Errorf("policy of the registry %s of %s: %w", id.Account, id.Region, err)
	}
	if doc == nil {
		return nil, nil
	}
	return []policy.Attached{{Name: "registry policy", Document: doc}}, nil
}

// The rows of policies as they lie in the index, to look at without reading them.
var (
	repositoryTexts = table.New[lentRow]("repodocument", 4)
	registryTexts   = table.New[lentRow]("document", 3)
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

// compiled are policies that have been read, by the key of their row. It holds as
// many as are together as long as maxCompiled; then any of them go.
type compiled struct {
	mu    sync.RWMutex
	byKey map[string]compiledDocument
	bytes int
}

func newCompiled() compiled { return compiled{byKey: map[string]compiledDocument{}} }

type compiledDocument struct {
	head     string
	size     int
	document *policy.Document
}

// maxCompiled are bytes of text: a thousand of the longest policies. Read, a policy
// is a few times as large.
const maxCompiled = 10 << 20

// get is the policy under a key, nil if there is none.
func (c *compiled) get(rd storage.Reader, of table.Table[lentRow], key []string, parse func(string) (*policy.Document, error)) (*policy.Document, error) {
	row, err := of.Get(rd, key...)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	head := row.documentHead()
	if head == nil {
		return nil, nil
	}
	name := strings.Join(key, " ")
	if doc, ok := c.known(name, head); ok {
		return doc, nil
	}
	var whole documentRow
	if err := json.Unmarshal(row.value, &whole); err != nil {
		return nil, err
	}
	doc, err := parse(whole.Text)
	if err != nil {
		return nil, err
	}
	c.keep(name, compiledDocument{string(head), len(whole.Text), doc})
	return doc, nil
}

func (c *compiled) known(name string, head []byte) (*policy.Document, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	d, ok := c.byKey[name]
	return d.document, ok && d.head == string(head)
}

func (c *compiled) keep(name string, d compiledDocument) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += d.size - c.byKey[name].size
	c.byKey[name] = d
	for other, old := range c.byKey {
		if c.bytes <= maxCompiled {
			return
		}
		if other != name {
			delete(c.byKey, other)
			c.bytes -= old.size
		}
	}
}
