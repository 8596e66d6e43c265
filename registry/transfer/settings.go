package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/peer"
)

// Settings have repositories made in the target, and given what they have at the
// source: tag mutability with what is excluded from it, scanning on push, encryption,
// tags, and their policies. What the source denies is left out, and noted.
//
// Policies are copied as they are. The accounts that their ARNs name are not changed.
type Settings struct {
	// From is the source; nil if it has no such API, so that repositories are made
	// with the settings that are usual.
	From *Account
	// To is the target.
	To Account
	// Bare leaves settings out: repositories are only made.
	Bare bool
	// Templates brings the creation templates that the target does not have.
	Templates bool
	// Registry brings what a registry has for itself: its policy, replication,
	// pull-through cache rules, scanning and signing configurations, settings of the
	// account; and templates that the target has are brought up to date.
	Registry bool
	// Rename is what a prefix of repositories is called in the target; nil: the same.
	Rename func(prefix string) string
}

// settings are those of one run. Its methods do nothing where none are wanted.
type settings struct {
	*Settings
	dry bool
}

func newSettings(s *Settings, dry bool) *settings { return &settings{s, dry} }

// reads says whether the source has settings that are wanted.
func (s *settings) reads() bool { return s.Settings != nil && s.From != nil && !s.Bare }

// repository is what a repository is made with.
type repository struct {
	RepositoryArn                      string          `json:"-"`
	ImageTagMutability                 string          `json:"imageTagMutability,omitempty"`
	ImageTagMutabilityExclusionFilters json.RawMessage `json:"imageTagMutabilityExclusionFilters,omitempty"`
	ImageScanningConfiguration         json.RawMessage `json:"imageScanningConfiguration,omitempty"`
	EncryptionConfiguration            json.RawMessage `json:"encryptionConfiguration,omitempty"`
	Tags                               json.RawMessage `json:"tags,omitempty"`
}

// given is its settings as members of an input.
func (r repository) given(a Account, name string) map[string]any {
	in := a.ask(name)
	for member, value := range map[string]json.RawMessage{
		"imageTagMutabilityExclusionFilters": r.ImageTagMutabilityExclusionFilters, "imageScanningConfiguration": r.ImageScanningConfiguration,
		"encryptionConfiguration": r.EncryptionConfiguration, "tags": r.Tags,
	} {
		if !isEmpty(value) {
			in[member] = value
		}
	}
	if r.ImageTagMutability != "" {
		in["imageTagMutability"] = r.ImageTagMutability
	}
	return in
}

// isEmpty says that a member is not there, or is an empty list.
func isEmpty(value json.RawMessage) bool {
	return len(value) == 0 || string(value) == "null" || string(value) == "[]"
}

// create makes a repository in the target, with its settings but the policies, which
// might be against what is still to be pushed.
func (s *settings) create(ctx context.Context, c *copier, j *job) error {
	if s.Settings == nil || s.dry {
		return nil
	}
	var r repository
	if s.reads() {
		var err error
		if r, err = s.read(ctx, c, j); err != nil {
			return fmt.Errorf("its settings: %w", err)
		}
	}
	err := s.To.API.Call(ctx, "CreateRepository", r.given(s.To, j.to), nil)
	switch {
	case err == nil:
	case peer.Code(err) == "RepositoryAlreadyExistsException":
		err = s.update(ctx, j, r)
	case errors.Is(err, peer.ErrDenied) && !s.reads():
		err = nil // it may be there, or be made by the push
	case !isEmpty(r.EncryptionConfiguration):
		c.tally.note("%s: the target does not take its encryption, and has its own: %v", j.from, err)
		r.EncryptionConfiguration = nil
		err = s.To.API.Call(ctx, "CreateRepository", r.given(s.To, j.to), nil)
	}
	if err != nil {
		return fmt.Errorf("repository %s of the target: %w", j.to, err)
	}
	if s.reads() {
		c.tally.made(j.from)
	}
	return nil
}

// read reads the settings of a repository of the source.
func (s *settings) read(ctx context.Context, c *copier, j *job) (r repository, err error) {
	var said struct {
		Repositories []struct {
			repository
			RepositoryArn string
		}
	}
	err = s.From.API.Call(ctx, "DescribeRepositories", s.From.ask("", "repositoryNames", []string{j.from}), &said)
	if err != nil || len(said.Repositories) == 0 {
		return r, c.denied(j.from, "its settings", err)
	}
	r = said.Repositories[0].repository
	r.RepositoryArn = said.Repositories[0].RepositoryArn
	var tags struct{ Tags json.RawMessage }
	err = s.From.API.Call(ctx, "ListTagsForResource", map[string]any{"resourceArn": r.RepositoryArn}, &tags)
	r.Tags = own(tags.Tags)
	return r, c.denied(j.from, "its tags", err)
}

// own are the tags that people gave. Those of AWS's services, which nobody else may
// give, begin with "aws:" (AWS General Reference, "Tag naming limits").
func own(tags json.RawMessage) json.RawMessage {
	var all []struct{ Key, Value string }
	if json.Unmarshal(tags, &all) != nil {
		return nil
	}
	all = slices.DeleteFunc(all, func(t struct{ Key, Value string }) bool { return strings.HasPrefix(strings.ToLower(t.Key), "aws:") })
	text, err := json.Marshal(all)
	if err != nil {
		return nil
	}
	return text
}

// denied notes what the source does not let be read, which is no error.
func (c *copier) denied(repo, what string, err error) error {
	if !errors.Is(err, peer.ErrDenied) {
		return err
	}
	c.tally.note("%s: %s may not be read: %s", repo, what, peer.Code(err))
	return nil
}

// update gives a repository that is there its settings.
func (s *settings) update(ctx context.Context, j *job, r repository) error {
	if r.ImageTagMutability != "" {
		in := s.To.ask(j.to, "imageTagMutability", r.ImageTagMutability)
		if !isEmpty(r.ImageTagMutabilityExclusionFilters) {
			in["imageTagMutabilityExclusionFilters"] = r.ImageTagMutabilityExclusionFilters
		}
		if err := s.To.API.Call(ctx, "PutImageTagMutability", in, nil); err != nil {
			return err
		}
	}
	if !isEmpty(r.ImageScanningConfiguration) {
		if err := s.To.API.Call(ctx, "PutImageScanningConfiguration", s.To.ask(j.to, "imageScanningConfiguration", r.ImageScanningConfiguration), nil); err != nil {
			return err
		}
	}
	if isEmpty(r.Tags) {
		return nil
	}
	var said struct {
		Repositories []struct{ RepositoryArn string }
	}
	err := s.To.API.Call(ctx, "DescribeRepositories", s.To.ask("", "repositoryNames", []string{j.to}), &said)
	if err != nil || len(said.Repositories) == 0 {
		return err
	}
	return s.To.API.Call(ctx, "TagResource", map[string]any{"resourceArn": said.Repositories[0].RepositoryArn, "tags": r.Tags}, nil)
}

// documents are the policies of a repository: how they are read, which member they
// are, and how they are put.
var documents = []struct{ what, get, member, put string }{
	{"its policy", "GetRepositoryPolicy", "policyText", "SetRepositoryPolicy"},
	{"its lifecycle policy", "GetLifecyclePolicy", "lifecyclePolicyText", "PutLifecyclePolicy"},
}

// finish gives a repository its policies, when its images are there: a lifecycle
// policy would remove what others need that are still to come.
func (s *settings) finish(ctx context.Context, c *copier, j *job) {
	if !s.reads() || s.dry || ctx.Err() != nil {
		return
	}
	for _, d := range documents {
		var said map[string]any
		err := s.From.API.Call(ctx, d.get, s.From.ask(j.from), &said)
		if isGone(err) {
			continue // it has none
		}
		if err := c.denied(j.from, d.what, err); err != nil {
			c.tally.fail(ctx, j.from, "", fmt.Errorf("%s: %w", d.what, err))
			continue
		}
		text, ok := said[d.member].(string)
		if !ok {
			continue
		}
		if err := s.To.API.Call(ctx, d.put, s.To.ask(j.to, d.member, text), nil); err != nil {
			c.tally.fail(ctx, j.from, "", fmt.Errorf("the target does not take %s: %w", d.what, err))
		}
	}
}
