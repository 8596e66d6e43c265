package replicate

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/registry/peer"
)

// remove deletes at the destination what was deleted here.
func (s *sending) remove(ctx context.Context) error {
	what := s.Digest.String()
	if !s.Tag.IsZero() {
		what = s.Tag.String()
		if moved, err := s.movedOn(ctx); err != nil || moved || s.WithImage && !s.heeded.Load() {
			return err
		}
	}
	var err error
	if s.ECR != nil {
		err = s.removeByAPI(ctx)
	} else {
		err = s.Peer.DeleteManifest(ctx, s.repo, what)
	}
	if errors.Is(err, peer.ErrNotFound) {
		return nil
	}
	return err
}

// movedOn says whether the tag names another image there, and so is none of ours. A
// Berth that heeds origins finds out by itself.
func (s *sending) movedOn(ctx context.Context) (bool, error) {
	at, err := s.Peer.Head(ctx, s.repo, s.Tag.String())
	if errors.Is(err, peer.ErrNotFound) {
		return !s.heeded.Load(), nil
	}
	return err == nil && at.Digest != s.Digest && !s.heeded.Load(), err
}

type imageID struct {
	ImageDigest string `json:"imageDigest,omitempty"`
	ImageTag    string `json:"imageTag,omitempty"`
}

// removeByAPI deletes at ECR, which removes no tags at /v2/ (ECR API reference:
// BatchDeleteImage).
func (s *sending) removeByAPI(ctx context.Context) error {
	in := struct {
		RegistryID     string    `json:"registryId"`
		RepositoryName string    `json:"repositoryName"`
		ImageIDs       []imageID `json:"imageIds"`
	}{s.to.Account, s.repo, []imageID{{ImageTag: s.Tag.String()}}}
	if s.Tag.IsZero() {
		in.ImageIDs = []imageID{{ImageDigest: s.Digest.String()}}
	}
	var out struct {
		Failures []struct{ FailureCode, FailureReason string }
	}
	if err := s.ECR.Call(ctx, "BatchDeleteImage", in, &out); err != nil {
		return err
	}
	for _, f := range out.Failures {
		if f.FailureCode != "ImageNotFound" {
			return &peer.Error{Host: s.Peer.Host(), Status: 400, Code: f.FailureCode, Message: f.FailureReason}
		}
	}
	return nil
}

// create makes the repository at ECR, if that is why an image was not taken, and says
// whether it did.
func (s *sending) create(ctx context.Context, why error) (bool, error) {
	if s.ECR == nil || !errors.Is(why, peer.ErrNotFound) {
		return false, nil
	}
	in := struct {
		RegistryID     string `json:"registryId"`
		RepositoryName string `json:"repositoryName"`
	}{s.to.Account, s.repo}
	err := s.ECR.Call(ctx, "CreateRepository", in, nil)
	if e := new(peer.Error); errors.As(err, &e) && e.Code == "RepositoryAlreadyExistsException" {
		return false, nil
	}
	return err == nil, err
}
