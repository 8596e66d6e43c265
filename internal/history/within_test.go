package history

import (
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// within is the state of a part of a repository as the domain has it, behind the
// doors. To read it costs a tenth of what the doors cost.
func (w *world) within(repo string, which part) (s state, err error) {
	name, err := registry.ParseName(here, repo)
	if err != nil {
		return s, err
	}
	if which != content {
		if s, err = w.settingsWithin(name); err != nil || which == settings {
			return s, err
		}
	}
	if s.Images, err = w.imagesWithin(name); err != nil {
		return s, err
	}
	if s.Layers, err = w.layersWithin(name); err != nil {
		return s, err
	}
	tags, _, err := w.service.Tags(as(caller), name, "", 1000)
	for _, tag := range tags {
		s.Tags = append(s.Tags, tag.String())
	}
	return s, err
}

func (w *world) settingsWithin(name registry.Name) (s state, err error) {
	repo, err := w.service.Repository(as(caller), name)
	if err != nil {
		return s, err
	}
	s.Rule, s.Created = string(repo.TagRule.Mutability), repo.CreatedAt.Unix()
	_, err = w.service.RepositoryPolicy(as(caller), name)
	s.Policy = err == nil
	if code := registry.CodeOf(err); err != nil && code != registry.RepositoryPolicyNotFound {
		return s, err
	}
	policy, err := w.service.LifecyclePolicy(as(caller), name)
	s.Keeps = policy.Text
	if registry.CodeOf(err) == registry.LifecyclePolicyNotFound {
		err = nil
	}
	return s, err
}

func (w *world) imagesWithin(name registry.Name) (map[string]imageState, error) {
	page, _, err := w.service.Images(as(caller), name, registry.ImageFilter{Status: registry.AnyStatus}, "", 1000)
	list := map[string]imageState{}
	for _, img := range page {
		i := imageState{
			MediaType: img.MediaType, Status: string(img.Status), Subject: img.Subject.String(), Config: img.ConfigMediaType, Size: img.Size,
			Pushed: unix(img.PushedAt), Archived: unix(img.ArchivedAt), Activated: unix(img.ActivatedAt), Pulled: unix(img.PulledAt),
		}
		for _, tag := range img.Tags {
			i.Tags = append(i.Tags, tag.String())
		}
		list[called(img.Digest.String())] = i
	}
	return list, err
}

func (w *world) layersWithin(name registry.Name) (map[string]layerState, error) {
	list := map[string]layerState{}
	for _, blob := range blobNames {
		l, err := w.service.Layer(as(caller), name, digest.FromBytes(digest.SHA256, []byte(blobs[blob])))
		is := layerState{"AVAILABLE", l.MediaType, l.Size}
		switch code := registry.CodeOf(err); {
		case code == registry.LayerNotFound:
			is = layerState{Availability: "UNAVAILABLE"}
		case err != nil:
			return nil, err
		case l.Archived:
			is.Availability = "ARCHIVED"
		}
		list[blob] = is
	}
	return list, nil
}
