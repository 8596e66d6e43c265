package history

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
)

// state is what both doors show of a repository. Times are seconds since 1970.
type state struct {
	Rule    string
	Created int64
	Policy  bool
	Keeps   string // text of the lifecycle policy
	Images  map[string]imageState
	Tags    []string // of images that can be pulled
	Layers  map[string]layerState
}

type imageState struct {
	MediaType, Status, Subject, Config  string
	Size                                int64
	Pushed, Archived, Activated, Pulled int64
	Tags                                []string
}

type layerState struct {
	Availability, MediaType string
	Size                    int64
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// state is what the doors must show.
func (m *model) state(r *repository) state {
	s := state{Rule: r.rule, Created: unix(r.created), Policy: r.policy, Images: map[string]imageState{}, Layers: map[string]layerState{}, Tags: r.activeTags()}
	if r.keeps != nil {
		s.Keeps = r.keeps.lifecycle()
	}
	for d, img := range r.images {
		s.Images[called(d)] = imageState{
			MediaType: img.mediaType, Status: img.status, Subject: img.subject, Config: img.configType, Size: img.size,
			Pushed: unix(img.pushed), Archived: unix(img.archived), Activated: unix(img.activated), Pulled: unix(img.pulled),
			Tags: r.tagsOf(d),
		}
	}
	for _, name := range blobNames {
		s.Layers[name] = r.layer(sum(blobs[name]))
	}
	return s
}

func (r *repository) activeTags() (list []string) {
	for _, tag := range sorted(r.tags) {
		if r.images[r.tags[tag]].status == "ACTIVE" {
			list = append(list, tag)
		}
	}
	return list
}

func (r *repository) layer(d string) layerState {
	size, held := r.layers[d]
	if !held {
		return layerState{Availability: "UNAVAILABLE"}
	}
	s := layerState{Availability: "AVAILABLE", Size: size}
	for _, img := range r.users(d) { // of several media types that of an active image is shown
		if s.MediaType == "" || img.status == "ACTIVE" {
			s.MediaType = img.uses[d]
		}
		if img.status == "ACTIVE" {
			break
		}
	}
	if r.archivedLayer(d) {
		s.Availability = "ARCHIVED"
	}
	return s
}

// part is what of a repository's state a step may have changed.
type part int

const (
	nothing  part = iota // that is shown
	settings             // but no image or layer
	content
	everything
)

// touches says which part of the state is to be looked at after a step.
func (s step) touches() part {
	switch s.Do {
	case begin, send, cancel, pull, look, list, page, restart, mounting, expire:
		return nothing
	case mutability, setPolicy, dropPolicy, setLifecycle, dropLifecycle:
		return settings
	case create, drop:
		return everything
	}
	return content
}

// read is what the doors show of a part of a repository that must be there.
func (p *player) read(repo string, which part) (s state, err error) {
	if which != content {
		if s, err = p.readRepository(repo); err != nil || which == settings {
			return s, err
		}
	}
	if s.Images, err = p.readImages(repo); err != nil {
		return s, err
	}
	if s.Layers, err = p.readLayers(repo); err != nil {
		return s, err
	}
	s.Tags, err = p.follow("/v2/" + repo + "/tags/list")
	return s, err
}

// only is a part of the state.
func (s state) only(which part) state {
	switch which {
	case settings:
		s.Images, s.Layers, s.Tags = nil, nil, nil
	case content:
		s.Rule, s.Created, s.Policy, s.Keeps = "", 0, false, ""
	}
	return s
}

func (p *player) readRepository(repo string) (s state, err error) {
	var out struct {
		Repositories []struct {
			ImageTagMutability string
			CreatedAt          float64
		}
	}
	if text := p.call("DescribeRepositories", members{"repositoryNames": []string{repo}}, &out); text != "" {
		return s, fmt.Errorf("DescribeRepositories of %s: %s", repo, text)
	}
	s.Rule, s.Created = out.Repositories[0].ImageTagMutability, int64(out.Repositories[0].CreatedAt)
	switch text := p.call("GetRepositoryPolicy", members{"repositoryName": repo}, nil); text {
	case "":
		s.Policy = true
	case policyMissing.at(p.config, atAPI):
	default:
		return s, fmt.Errorf("GetRepositoryPolicy of %s: %s", repo, text)
	}
	var policy struct{ LifecyclePolicyText string }
	text := p.call("GetLifecyclePolicy", members{"repositoryName": repo}, &policy)
	if text != "" && text != lifecycleMissing.at(p.config, atAPI) {
		return s, fmt.Errorf("GetLifecyclePolicy of %s: %s", repo, text)
	}
	s.Keeps = policy.LifecyclePolicyText
	return s, nil
}

func (p *player) readImages(repo string) (map[string]imageState, error) {
	var out struct {
		NextToken    string
		ImageDetails []struct {
			ImageDigest, ImageStatus, ImageManifestMediaType, ArtifactMediaType, SubjectManifestDigest string
			ImageSizeInBytes                                                                           int64
			ImagePushedAt, LastArchivedAt, LastActivatedAt, LastRecordedPullTime                       float64
			ImageTags                                                                                  []string
		}
	}
	text := p.call("DescribeImages", members{"repositoryName": repo, "filter": members{"imageStatus": "ANY"}, "maxResults": 1000}, &out)
	if text != "" || out.NextToken != "" {
		return nil, fmt.Errorf("DescribeImages of %s: %s, next token %q", repo, text, out.NextToken)
	}
	list := map[string]imageState{}
	for _, d := range out.ImageDetails {
		slices.Sort(d.ImageTags)
		list[called(d.ImageDigest)] = imageState{
			MediaType: d.ImageManifestMediaType, Status: d.ImageStatus, Subject: d.SubjectManifestDigest, Config: d.ArtifactMediaType,
			Size: d.ImageSizeInBytes, Pushed: int64(d.ImagePushedAt), Archived: int64(d.LastArchivedAt), Activated: int64(d.LastActivatedAt),
			Pulled: int64(d.LastRecordedPullTime), Tags: d.ImageTags,
		}
	}
	return list, nil
}

func (p *player) readLayers(repo string) (map[string]layerState, error) {
	var out struct {
		Layers []struct {
			LayerDigest, LayerAvailability, MediaType string
			LayerSize                                 int64
		}
	}
	var digests []string
	for _, name := range blobNames {
		digests = append(digests, sum(blobs[name]))
	}
	text := p.call("BatchCheckLayerAvailability", members{"repositoryName": repo, "layerDigests": digests}, &out)
	if text != "" || len(out.Layers) != len(blobs) {
		return nil, fmt.Errorf("BatchCheckLayerAvailability of %s: %s, %d layers", repo, text, len(out.Layers))
	}
	list := map[string]layerState{}
	for i, l := range out.Layers {
		list[blobNames[i]] = layerState{l.LayerAvailability, l.MediaType, l.LayerSize}
	}
	return list, nil
}

// checkState holds a part of a repository against the model: as the domain has it
// or, if asked, also as the doors show it.
func (g *game) checkState(repo string, which part, atDoors bool) error {
	r := g.model.repos[repo]
	if r == nil {
		return g.checkMissing(repo)
	}
	want := g.model.state(r).only(which)
	read := map[string]func(string, part) (state, error){"domain": g.within}
	if atDoors {
		read["doors"] = g.read
	}
	for where, read := range read {
		got, err := read(repo, which)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the state of %s (-model +%s):\n%s", repo, where, diff)
		}
	}
	return nil
}

func (g *game) checkMissing(repo string) error {
	if text := g.call("ListImages", members{"repositoryName": repo}, nil); text != repositoryMissing.at(g.config, atAPI) {
		return fmt.Errorf("ListImages of %s, which is missing: %q", repo, text)
	}
	if text := g.at(http.MethodGet, "/v2/"+repo+"/tags/list", "", "").refusal(http.StatusOK); text != repositoryMissing.at(g.config, atOCI) {
		return fmt.Errorf("tags of %s, which is missing: %q", repo, text)
	}
	return nil
}

// checkLayers reads the bytes of each layer that can be read.
func (g *game) checkLayers(repo string) error {
	r := g.model.repos[repo]
	for _, name := range blobNames {
		want := layerMissing.at(g.config, atOCI)
		if r == nil {
			want = repositoryMissing.at(g.config, atOCI)
		} else if r.layer(sum(blobs[name])).Availability == "AVAILABLE" {
			want = ""
		}
		a := g.at(http.MethodGet, "/v2/"+repo+"/blobs/"+sum(blobs[name]), "", "")
		if text := a.refusal(http.StatusOK); text != want || text == "" && a.body != blobs[name] {
			return fmt.Errorf("blob %s of %s: %q with %q, want %q", name, repo, text, a.body, want)
		}
	}
	return nil
}

// checkRepositories holds the list of repositories against the model, at both
// doors.
func (g *game) checkRepositories() error {
	got, err := g.follow("/v2/_catalog")
	if err != nil {
		return err
	}
	want := slices.Sorted(maps.Keys(g.model.repos))
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("repositories at the OCI door (-model +door):\n%s", diff)
	}
	var out struct {
		Repositories []struct{ RepositoryName string }
	}
	text := g.call("DescribeRepositories", members{}, &out)
	var names []string
	for _, r := range out.Repositories {
		names = append(names, r.RepositoryName)
	}
	if diff := cmp.Diff(want, names); text != "" || diff != "" {
		return fmt.Errorf("DescribeRepositories: %s (-model +door):\n%s", text, diff)
	}
	return nil
}
