package peer

import (
	"context"
	"errors"
	"iter"
	"net/http"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// errStop ends a list that nobody reads on.
var errStop = errors.New("read no further")

// Tags lists the tags of a repository, page by page. An error ends the list.
func (r *Registry) Tags(ctx context.Context, repo string) iter.Seq2[string, error] {
	return r.list(func(page func([]string) error) error {
		target, err := r.repository(repo)
		if err != nil {
			return err
		}
		return target.Tags(ctx, "", page)
	})
}

// Repositories lists the repositories of the registry, page by page, where it lets
// its catalogue be read. An error ends the list.
func (r *Registry) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return r.list(func(page func([]string) error) error { return r.oras.Repositories(ctx, "", page) })
}

func (r *Registry) list(pages func(func([]string) error) error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := pages(func(page []string) error {
			for _, text := range page {
				if !yield(text, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield("", r.fault(err))
		}
	}
}

// noReferrers are the answers of registries that do not know the API of referrers,
// beside the 404 that is meant for that.
var noReferrers = map[int]bool{
	http.StatusBadRequest: true, http.StatusMethodNotAllowed: true, http.StatusNotAcceptable: true, http.StatusNotImplemented: true,
}

// Referrers lists what refers to a manifest: by the API or, where the registry has
// none, by the tag that stands for it.
func (r *Registry) Referrers(ctx context.Context, repo string, d digest.Digest) ([]Descriptor, error) {
	target, err := r.repository(repo)
	if err != nil {
		return nil, err
	}
	found, err := target.Predecessors(ctx, v1.Descriptor{Digest: d.OCI()})
	if refused := new(Error); errors.As(err, &refused) && noReferrers[refused.Status] && target.SetReferrersCapability(false) == nil {
		found, err = target.Predecessors(ctx, v1.Descriptor{Digest: d.OCI()})
	}
	if err != nil {
		return nil, r.fault(err)
	}
	return r.descriptors(found)
}

func (r *Registry) descriptors(found []v1.Descriptor) ([]Descriptor, error) {
	all := make([]Descriptor, 0, len(found))
	for _, f := range found {
		d, err := digest.Of(f.Digest)
		if err != nil || f.Size < 0 {
			return nil, wrong(r.base.Host, "its list of referrers is broken")
		}
		all = append(all, Descriptor{Digest: d, MediaType: f.MediaType, Size: f.Size, ArtifactType: f.ArtifactType, Annotations: f.Annotations})
	}
	return all, nil
}
