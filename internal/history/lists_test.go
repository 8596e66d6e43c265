package history

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// onePage is a page of a list, and the request for the next, "" if it is the last.
type onePage struct {
	entries []string
	next    string
}

// linkForm is that of a Link to the next page.
var linkForm = regexp.MustCompile(`^<([^>]*)>; rel="next"$`)

// ociPage reads a page of names or tags.
func (p *player) ociPage(path string) (page onePage, text string) {
	a := p.at(http.MethodGet, path, "", "")
	if text := a.refusal(http.StatusOK); text != "" {
		return page, text
	}
	var out struct{ Tags, Repositories []string }
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		return page, err.Error()
	}
	page.entries = append(out.Tags, out.Repositories...)
	if link := linkForm.FindStringSubmatch(a.header.Get("Link")); link != nil {
		page.next = link[1]
		if i := strings.Index(page.next, "/v2/"); i > 0 {
			page.next = page.next[i:]
		}
	}
	return page, ""
}

// follow reads all of a list of the OCI door.
func (p *player) follow(path string) (all []string, err error) {
	for path != "" {
		page, text := p.ociPage(path)
		if text != "" {
			return all, fmt.Errorf("%s: %s", path, text)
		}
		all, path = append(all, page.entries...), page.next
	}
	return all, nil
}

// query is a list of the API, by pages.
type query struct {
	operation string
	in        members
}

// apiPage reads a page after a token.
func (p *player) apiPage(q query, size int, token string) (page onePage, text string) {
	var out struct {
		NextToken    string
		ImageIDs     []struct{ ImageDigest, ImageTag string }
		ImageDetails []struct{ ImageDigest string }
		Referrers    []struct {
			Digest, ArtifactType, ArtifactStatus string
		}
	}
	in := members{"maxResults": size}
	for k, v := range q.in {
		in[k] = v
	}
	if token != "" {
		in["nextToken"] = token
	}
	text = p.call(q.operation, in, &out)
	page.next = out.NextToken
	for _, id := range out.ImageIDs {
		page.entries = append(page.entries, pair(id.ImageDigest, id.ImageTag))
	}
	for _, d := range out.ImageDetails {
		page.entries = append(page.entries, called(d.ImageDigest))
	}
	for _, r := range out.Referrers {
		page.entries = append(page.entries, called(r.Digest)+" "+r.ArtifactType+" "+r.ArtifactStatus)
	}
	return page, text
}

func pair(digest, tag string) string { return called(digest) + ":" + tag }

// list is accepted of a list that is there; its pages are read by checkLists.
func (p *player) list(s step) string {
	if s.Door == atOCI {
		return p.at(http.MethodGet, p.path(s, "/tags/list"), "", "").refusal(http.StatusOK)
	}
	return p.call("ListImages", members{"repositoryName": s.Repo}, nil)
}

// filters are those that lists of images are read with.
var filters = []struct{ tags, status string }{
	{"ANY", "ANY"}, {"TAGGED", "ACTIVE"}, {"UNTAGGED", "ANY"}, {"ANY", "ARCHIVED"}, {"TAGGED", "ACTIVATING"},
}

// checkLists reads the lists of a repository by pages of a size, with the filter
// and the subject whose turn it is, and holds them against the model.
func (g *game) checkLists(s step) error {
	r := g.model.repos[s.Repo]
	if r == nil {
		return nil
	}
	got, err := g.follow(fmt.Sprintf("/v2/%s/tags/list?n=%d", s.Repo, s.Size))
	if err != nil {
		return err
	}
	if diff := cmp.Diff(r.activeTags(), got); diff != "" {
		return fmt.Errorf("tags by pages of %d (-model +door):\n%s", s.Size, diff)
	}
	f := filters[s.turn(len(filters))]
	for operation, want := range r.filtered(f.tags, f.status) {
		q := query{operation, members{"repositoryName": s.Repo, "filter": members{"tagStatus": f.tags, "imageStatus": f.status}}}
		if err := g.checkPages(q, s.Size, want); err != nil {
			return err
		}
	}
	return g.checkReferrers(s, r, universe[subjects[s.turn(len(subjects))]].digest)
}

// subjects are documents that others refer to, and one that nobody does.
var subjects = []string{"one", "two", "note", "pair"}

// checkPages reads a list of the API to its end.
func (g *game) checkPages(q query, size int, want []string) error {
	var all []string
	for token := ""; ; {
		page, text := g.apiPage(q, size, token)
		if text != "" {
			return fmt.Errorf("%s %v: %s", q.operation, q.in, text)
		}
		all, token = append(all, page.entries...), page.next
		if token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		return fmt.Errorf("%s %v by pages of %d (-model +door):\n%s", q.operation, q.in, size, diff)
	}
	return nil
}

// filtered are the lists of images that a filter takes, by operation.
func (r *repository) filtered(tags, status string) map[string][]string {
	var digests, pairs []string
	for _, d := range sorted(r.images) {
		named := r.tagsOf(d)
		if status != "ANY" && r.images[d].status != status || tags == "TAGGED" && named == nil || tags == "UNTAGGED" && named != nil {
			continue
		}
		digests = append(digests, called(d))
		if named == nil {
			named = []string{""}
		}
		for _, tag := range named {
			pairs = append(pairs, pair(d, tag))
		}
	}
	return map[string][]string{"DescribeImages": digests, "ListImages": pairs}
}

// checkReferrers reads the referrers of a digest at both doors.
func (g *game) checkReferrers(s step, r *repository, subject string) error {
	var any, active []string
	for _, img := range r.listed(subject) {
		any = append(any, called(img.digest)+" "+img.artifactType+" "+img.status)
		if img.status == "ACTIVE" {
			active = append(active, called(img.digest)+" "+img.artifactType)
		}
	}
	q := query{"ListImageReferrers", members{
		"repositoryName": s.Repo, "subjectId": members{"imageDigest": subject}, "filter": members{"artifactStatus": "ANY"},
	}}
	if err := g.checkPages(q, s.Size, any); err != nil {
		return err
	}
	a := g.at(http.MethodGet, "/v2/"+s.Repo+"/referrers/"+subject, "", "")
	var out struct {
		Manifests []struct{ Digest, ArtifactType string }
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("referrers of %s: %d %s", called(subject), a.status, a.body)
	}
	var got []string
	for _, d := range out.Manifests {
		got = append(got, called(d.Digest)+" "+d.ArtifactType)
	}
	if diff := cmp.Diff(active, got); diff != "" {
		return fmt.Errorf("referrers of %s (-model +door):\n%s", called(subject), diff)
	}
	return nil
}

// listed are the referrers of a digest with those that have no subject of their
// own and are in the index under the fallback tag, in order.
func (r *repository) listed(subject string) []*stored {
	list := r.referrers(subject)
	if fallback := r.images[r.tags[strings.Replace(subject, ":", "-", 1)]]; fallback != nil && fallback.isIndex() {
		for _, c := range fallback.children {
			if img := r.images[c]; img != nil && c != subject && img.subject == "" {
				list = append(list, img)
			}
		}
	}
	slices.SortFunc(list, func(a, b *stored) int { return strings.Compare(a.digest, b.digest) })
	return list
}

// listing is a list that is read page by page while others write.
type listing struct {
	door   door
	slot   int
	repo   string
	number int
	next   string
	seen   []string
	stable []string // what was there all along
}

// current is what a listing would list now.
func (l *listing) current(r *repository) []string {
	switch {
	case l.door == atOCI:
		return r.activeTags()
	case l.slot == 0:
		return r.filtered("ANY", "ANY")["DescribeImages"]
	}
	return r.filtered("ANY", "ANY")["ListImages"]
}

// settle keeps of a listing what is still there, and forgets those of
// repositories that are gone.
func (g *game) settle() {
	for slot, l := range g.lists {
		r := g.model.repos[l.repo]
		if r == nil || r.number != l.number {
			delete(g.lists, slot)
			continue
		}
		now := l.current(r)
		l.stable = slices.DeleteFunc(l.stable, func(e string) bool { return !slices.Contains(now, e) })
	}
}

// turnPage reads the next page of the listing in a slot, which it begins if need
// be. Nothing comes twice, and in the end all has come that was there all along.
func (g *game) turnPage(s step) error {
	r := g.model.repos[s.Repo]
	l := g.lists[s.Slot]
	if r == nil {
		return nil
	}
	if l == nil || l.repo != s.Repo || l.door != s.Door {
		l = &listing{door: s.Door, slot: s.Slot, repo: s.Repo, number: r.number}
		l.stable = l.current(r)
		g.lists[s.Slot] = l
	}
	page, text := g.nextPage(l, s.Size)
	if text != "" {
		return fmt.Errorf("page of %s: %s", s.Repo, text)
	}
	for _, e := range page.entries {
		if slices.Contains(l.seen, e) {
			return fmt.Errorf("%s comes twice, after %v", e, l.seen)
		}
		l.seen = append(l.seen, e)
	}
	if l.next = page.next; l.next != "" {
		return nil
	}
	delete(g.lists, s.Slot)
	for _, e := range l.stable {
		if !slices.Contains(l.seen, e) {
			return fmt.Errorf("%s was there all along and is not among %v", e, l.seen)
		}
	}
	return nil
}

func (g *game) nextPage(l *listing, size int) (onePage, string) {
	if l.door == atOCI {
		path := l.next
		if path == "" {
			path = fmt.Sprintf("/v2/%s/tags/list?n=%d", l.repo, size)
		}
		return g.ociPage(path)
	}
	q := query{"DescribeImages", members{"repositoryName": l.repo, "filter": members{"imageStatus": "ANY"}}}
	if l.slot == 1 {
		q.operation = "ListImages"
	}
	return g.apiPage(q, size, l.next)
}
