package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-78150930/berth/registry/peer"
)

// registry copies what a registry has for itself.
func (s *settings) registry(ctx context.Context, c *copier) error {
	if !s.reads() || s.dry {
		return nil
	}
	if s.Templates || s.Registry {
		s.templates(ctx, c)
	}
	if !s.Registry {
		return nil
	}
	for _, one := range wide {
		err := s.one(ctx, one)
		switch {
		case isGone(err):
		case errors.Is(err, errSource) && errors.Is(err, peer.ErrDenied):
			c.tally.note("%s may not be read: %s", one.what, peer.Code(err))
		case err != nil:
			c.tally.fail(ctx, "", "", fmt.Errorf("%s: %w", one.what, err))
		}
	}
	return ctx.Err()
}

var errSource = errors.New("the source")

// setting is one of a registry.
type setting struct {
	what, get string
	in        map[string]any
	list      string // member of the answer that lists several; "" if it is one alone
	put       string
	// taken are the members that are put; "of" is that in which they are.
	of    string
	taken []string
	had   string // exception that says that the target has one already, which stays
}

// wide are the settings of a registry.
var wide = []setting{
	{what: "the setting of basic scans", get: "GetAccountSetting", in: map[string]any{"name": "BASIC_SCAN_TYPE_VERSION"}, put: "PutAccountSetting", taken: []string{"name", "value"}},
	{what: "the scope of the registry policy", get: "GetAccountSetting", in: map[string]any{"name": "REGISTRY_POLICY_SCOPE"}, put: "PutAccountSetting", taken: []string{"name", "value"}},
	{what: "the setting of mounting", get: "GetAccountSetting", in: map[string]any{"name": "BLOB_MOUNTING"}, put: "PutAccountSetting", taken: []string{"name", "value"}},
	{what: "the registry policy", get: "GetRegistryPolicy", put: "PutRegistryPolicy", taken: []string{"policyText"}},
	{what: "the replication configuration", get: "DescribeRegistry", put: "PutReplicationConfiguration", taken: []string{"replicationConfiguration"}},
	{what: "the scanning configuration", get: "GetRegistryScanningConfiguration", put: "PutRegistryScanningConfiguration", of: "scanningConfiguration", taken: []string{"scanType", "rules"}},
	{what: "the signing configuration", get: "GetSigningConfiguration", put: "PutSigningConfiguration", taken: []string{"signingConfiguration"}},
	{what: "the pull-through cache rules", get: "DescribePullThroughCacheRules", list: "pullThroughCacheRules", put: "CreatePullThroughCacheRule",
		taken: []string{"ecrRepositoryPrefix", "upstreamRegistryUrl", "upstreamRegistry", "credentialArn", "customRoleArn", "upstreamRepositoryPrefix"}, had: "PullThroughCacheRuleAlreadyExistsException"},
	{what: "the exclusions from pull times", get: "ListPullTimeUpdateExclusions", list: "pullTimeUpdateExclusions", put: "RegisterPullTimeUpdateExclusion",
		taken: []string{"principalArn"}, had: "ExclusionAlreadyExistsException"},
}

// one copies one setting.
func (s *settings) one(ctx context.Context, set setting) error {
	in := map[string]any{}
	for k, v := range set.in {
		in[k] = v
	}
	for {
		var said map[string]json.RawMessage
		if err := s.From.API.Call(ctx, set.get, in, &said); err != nil {
			return fmt.Errorf("%w: %w", errSource, err)
		}
		values, err := set.values(said)
		if err != nil {
			return err
		}
		for _, v := range values {
			err := s.To.API.Call(ctx, set.put, v, nil)
			if err != nil && (set.had == "" || peer.Code(err) != set.had) {
				return fmt.Errorf("the target: %w", err)
			}
		}
		var next string
		if json.Unmarshal(said["nextToken"], &next) != nil || next == "" {
			return nil
		}
		in["nextToken"] = next
	}
}

// values are the inputs that an answer makes.
func (set setting) values(said map[string]json.RawMessage) ([]map[string]any, error) {
	from := []map[string]json.RawMessage{said}
	switch {
	case set.list == "pullTimeUpdateExclusions": // a list of texts
		var names []string
		if err := json.Unmarshal(said[set.list], &names); err != nil {
			return nil, fmt.Errorf("%w: %w", peer.ErrWrong, err)
		}
		from = nil
		for _, n := range names {
			text, _ := json.Marshal(n)
			from = append(from, map[string]json.RawMessage{"principalArn": text})
		}
	case set.list != "":
		from = nil
		if err := json.Unmarshal(said[set.list], &from); err != nil {
			return nil, fmt.Errorf("%w: %w", peer.ErrWrong, err)
		}
	case set.of != "":
		inner := map[string]json.RawMessage{}
		if err := json.Unmarshal(said[set.of], &inner); err != nil {
			return nil, fmt.Errorf("%w: %w", peer.ErrWrong, err)
		}
		from = []map[string]json.RawMessage{inner}
	}
	var all []map[string]any
	for _, f := range from {
		in := map[string]any{}
		for _, member := range set.taken {
			if len(f[member]) > 0 && string(f[member]) != "null" {
				in[member] = f[member]
			}
		}
		if len(in) > 0 {
			all = append(all, in)
		}
	}
	return all, nil
}

// templateMembers are those of a creation template that are put.
var templateMembers = []string{
	"prefix", "description", "encryptionConfiguration", "resourceTags", "imageTagMutability", "imageTagMutabilityExclusionFilters",
	"repositoryPolicy", "lifecyclePolicy", "appliedFor", "customRoleArn",
}

// templates copies the creation templates.
func (s *settings) templates(ctx context.Context, c *copier) {
	err := s.From.pages(ctx, "DescribeRepositoryCreationTemplates", map[string]any{"maxResults": pageSize}, func(call func(any) error) (string, error) {
		var said struct {
			RepositoryCreationTemplates []map[string]json.RawMessage
			NextToken                   string
		}
		if err := call(&said); err != nil {
			return "", err
		}
		for _, t := range said.RepositoryCreationTemplates {
			s.template(ctx, c, t)
		}
		return said.NextToken, nil
	})
	if err = c.denied("the registry", "its creation templates", err); err != nil {
		c.tally.fail(ctx, "", "", fmt.Errorf("the creation templates: %w", err))
	}
}

func (s *settings) template(ctx context.Context, c *copier, t map[string]json.RawMessage) {
	in := map[string]any{}
	for member, value := range t {
		if slices.Contains(templateMembers, member) && !isEmpty(value) {
			in[member] = value
		}
	}
	var prefix string
	_ = json.Unmarshal(t["prefix"], &prefix) // what is none the target refuses
	if s.Rename != nil {
		in["prefix"] = s.Rename(prefix)
	}
	err := s.To.API.Call(ctx, "CreateRepositoryCreationTemplate", in, nil)
	if peer.Code(err) == "TemplateAlreadyExistsException" {
		if !s.Registry {
			c.tally.note("the target has a creation template for %s, which stays", in["prefix"])
			return
		}
		err = s.To.API.Call(ctx, "UpdateRepositoryCreationTemplate", in, nil)
	}
	if err != nil {
		c.tally.fail(ctx, "", "", fmt.Errorf("the creation template for %s: %w", prefix, err))
	}
}
