package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Source is where a repository's images come from: the rule that it falls under, and
// its name at the rule's upstream.
type Source struct {
	Rule       PullThroughRule
	Repository string
}

// sourceOf finds the rule with the longest prefix of a name, RootPrefix being the
// shortest (ECR reference, policies.md section 8). ok is false if there is none, or if
// nothing is left of the name behind the prefix.
func sourceOf(rd storage.Reader, name Name) (from Source, ok bool, err error) {
	for _, prefix := range append(prefixes(name.path), RootPrefix) {
		row, err := pullThroughRules.Get(rd, name.id.pullThroughKey(prefix)...)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return Source{}, false, err
		}
		rule := row.public()
		return Source{rule, rule.upstreamName(name.path)}, true, nil
	}
	return Source{}, false, nil
}

// upstreamName is what upstream calls a repository that falls under the rule.
func (rule PullThroughRule) upstreamName(path string) string {
	if rule.Prefix != RootPrefix {
		path = strings.TrimPrefix(path, strings.TrimSuffix(rule.Prefix, "/")+"/")
	}
	return joinPrefix(rule.UpstreamPrefix, path)
}

// localPath is the path here of a repository of upstream's; ok is false if the rule does
// not cover it.
func (rule PullThroughRule) localPath(upstream string) (path string, ok bool) {
	if rule.UpstreamPrefix != RootPrefix {
		upstream, ok = strings.CutPrefix(upstream, strings.TrimSuffix(rule.UpstreamPrefix, "/")+"/")
		if !ok {
			return "", false
		}
	}
	return joinPrefix(rule.Prefix, upstream), true
}

// joinPrefix puts a prefix before a path, with the slash between them that is implied.
func joinPrefix(prefix, path string) string {
	if prefix == RootPrefix {
		return path
	}
	return strings.TrimSuffix(prefix, "/") + "/" + path
}

// dockerHub is the host by which clients know the registry at dockerHubHost.
const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io"
)

// MirroredName finds the name here of a repository of another registry, which clients of
// a mirror know by its host: that of the first rule, in order of prefix, whose upstream
// is at the host and covers the path, and under which the name falls. ok is false if
// there is none.
func (s *Service) MirroredName(ctx context.Context, id ID, host, path string) (name Name, ok bool, err error) {
	if host == dockerHub {
		host = dockerHubHost
	}
	err = s.view(ctx, func(r storage.Reader) error {
		name, ok = Name{}, false
		for f, err := range pullThroughRules.Scan(r, table.Select{Prefix: []string{id.Account, id.Region}}) {
			if err != nil {
				return err
			}
			rule := f.Row.public()
			if rule.UpstreamHost != host {
				continue
			}
			local, covered := rule.localPath(path)
			if !covered {
				continue
			}
			parsed, err := ParseName(id, local)
			if err != nil {
				continue // upstream has names that ours may not be
			}
			from, _, err := sourceOf(r, parsed)
			if err != nil {
				return err
			}
			if from.Rule.Prefix == rule.Prefix {
				name, ok = parsed, true
				return nil
			}
		}
		return nil
	})
	return name, ok, err
}
