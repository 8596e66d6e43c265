package registry

import (
	"slices"

	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Protection keeps repositories, or images by their tags, from deletion: by anyone
// at either door, and by lifecycle policies. It keeps nobody from pushing, nor a tag
// from moving to another image, for which there are immutable tags, nor an image from
// the archive. Patterns may have stars for any run of characters.
type Protection struct {
	// Account and Region narrow it to the registries of an account and of a region;
	// "" narrows nothing.
	Account, Region string
	// Repositories are patterns of names, of which one must match.
	Repositories []string
	// Tags are patterns. An image with a tag that one of them matches stays, as does the tag
	// and the repository. Without any, everything stays that the repository has.
	Tags []string
}

// covers says whether it is about a repository.
func (p Protection) covers(name Name) bool {
	return (p.Account == "" || p.Account == name.id.Account) && (p.Region == "" || p.Region == name.id.Region) &&
		slices.ContainsFunc(p.Repositories, func(word string) bool { return pattern.Match(word, name.path) })
}

// protections are those that are about a repository.
func (s *Service) protections(name Name) (list []Protection) {
	for _, p := range s.live.Load().Protected {
		if p.covers(name) {
			list = append(list, p)
		}
	}
	return list
}

// wholly says whether all of a repository is protected.
func wholly(list []Protection) bool {
	return slices.ContainsFunc(list, func(p Protection) bool { return len(p.Tags) == 0 })
}

// protectedTag says whether a tag is protected that way.
func protectedTag(list []Protection, tag string) bool {
	return slices.ContainsFunc(list, func(p Protection) bool {
		return slices.ContainsFunc(p.Tags, func(word string) bool { return pattern.Match(word, tag) })
	})
}

// checkUnprotected refuses with Protected where an image is protected that is to lose
// tags, all of them with the image itself.
func (s *Service) checkUnprotected(repo repository, img stored, losing []Tag) error {
	list := s.protections(repo.name)
	if wholly(list) {
		e := refuse(Protected, "repository %q is protected from deletion, with all its images and tags", repo.name)
		e.Name, e.Ref = repo.name, Ref{Digest: img.digest}
		return e
	}
	i := slices.IndexFunc(losing, func(t Tag) bool { return protectedTag(list, t.s) })
	if i < 0 {
		return nil
	}
	return repo.tagProtected(Ref{losing[i], img.digest})
}

func (r repository) tagProtected(ref Ref) *Error {
	e := refuse(Protected, "tag %q of %q is protected from deletion, and with it the image", ref.Tag, r.name)
	e.Name, e.Ref = r.name, ref
	return e
}

// checkRepositoryUnprotected refuses with Protected where a repository is protected, or
// a tag that it has.
func (s *Service) checkRepositoryUnprotected(rd storage.Reader, repo repository) error {
	list := s.protections(repo.name)
	if wholly(list) {
		e := refuse(Protected, "repository %q is protected from deletion", repo.name)
		e.Name = repo.name
		return e
	}
	if len(list) == 0 {
		return nil
	}
	for f, err := range tags.Scan(rd, table.Select{Prefix: repo.key()}) {
		if err != nil {
			return err
		}
		if protectedTag(list, f.Key[3]) {
			return repo.tagProtected(Ref{Tag{f.Key[3]}, f.Row.Digest})
		}
	}
	return nil
}

// protect notes which images of a repository are protected.
func (s *Service) protect(repo repository, list []lifecycle.Facts) {
	by := s.protections(repo.name)
	if len(by) == 0 {
		return
	}
	all := wholly(by)
	for i := range list {
		list[i].Protected = all || slices.ContainsFunc(list[i].Tags, func(tag string) bool { return protectedTag(by, tag) })
	}
}
