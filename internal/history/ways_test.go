package history

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/ociapi"
	"github.com/seed-78150930/berth/registry/replicate"
)

// The repository of the ways, whose image "one" has the tag that they are tried on
// and no other. "two" is there without a tag.
const place = "team/app"

// lifecycleInterval is how often lifecycle policies run.
const lifecycleInterval = time.Minute

// site is a world on which a way is tried.
type site struct {
	*player
	tag string
}

// way is something that may move or drop a tag.
type way struct {
	name string
	// forms are how the doors, or what works behind them, go it: they return what
	// was answered, "" for a success.
	forms map[string]func(*site) string
	// Where the tag may move, and where it is immutable:
	free, fixed result
}

// result is what comes of a way.
type result struct {
	answers outcome
	names   string // the document that the tag names then, "" if there is no tag
	gone    bool   // image "one" is not there any more
	last    bool   // it went with its last tag; by the OCI specification it stays
}

var (
	moved    = result{answers: accepted, names: "two"}
	stays    = result{answers: accepted, names: "one"}
	dropped  = result{answers: accepted, gone: true}
	untagged = result{answers: accepted, gone: true, last: true}
	again    = result{answers: sameAgain, names: "one"}
	refused  = result{answers: tagImmutable, names: "one"}
)

// ways are all by which a tag may be moved or dropped. A tag that is immutable is
// not moved, but may go: to delete is allowed as long as nothing else forbids it
// (ECR reference, operations.md section 3).
var ways = []way{
	{"another image is pushed to the tag", map[string]func(*site) string{
		"oci":             func(s *site) string { return s.put("two", s.tag, "") },
		"oci, by digest":  func(s *site) string { return s.put("two", universe["two"].digest, "?tag="+s.tag) },
		"oci, many tags":  func(s *site) string { return s.put("two", universe["two"].digest, "?tag=other&tag="+s.tag) },
		"api":             func(s *site) string { return s.putImage("two", false) },
		"api, and digest": func(s *site) string { return s.putImage("two", true) },
	}, moved, refused},
	{"a new image is pushed to the tag", map[string]func(*site) string{
		"oci": func(s *site) string { return s.put("note", s.tag, "") },
		"api": func(s *site) string { return s.putImage("note", false) },
	}, result{answers: accepted, names: "note"}, refused},
	{"the same image is pushed again", map[string]func(*site) string{
		"oci":            func(s *site) string { return s.put("one", s.tag, "") },
		"oci, by digest": func(s *site) string { return s.put("one", universe["one"].digest, "?tag="+s.tag) },
		"api":            func(s *site) string { return s.putImage("one", false) },
	}, again, again},
	{"the tag is deleted", map[string]func(*site) string{
		"oci": func(s *site) string { return s.delete(s.tag) },
		"api": func(s *site) string { return s.play(step{Do: untag, Door: atAPI, Repo: place, Tags: []string{s.tag}}) },
	}, untagged, untagged},
	{"the tag is deleted and set again", map[string]func(*site) string{
		"oci": func(s *site) string { return s.delete(s.tag) + s.put("two", s.tag, "") },
		"api": func(s *site) string {
			return s.play(step{Do: untag, Door: atAPI, Repo: place, Tags: []string{s.tag}}) + s.putImage("two", false)
		},
	}, result{names: "two", answers: accepted, gone: true, last: true}, result{names: "two", answers: accepted, gone: true, last: true}},
	{"the image is deleted", map[string]func(*site) string{
		"oci":                    func(s *site) string { return s.delete(universe["one"].digest) },
		"oci, by tag and digest": func(s *site) string { return s.delete(s.tag + "@" + universe["one"].digest) },
		"api":                    func(s *site) string { return s.play(step{Do: remove, Door: atAPI, Repo: place, Doc: "one"}) },
		"api, by tag and digest": func(s *site) string {
			return s.failures(members{"imageTag": s.tag, "imageDigest": universe["one"].digest})
		},
	}, dropped, dropped},
	{"the image of an index is deleted", map[string]func(*site) string{
		"oci": func(s *site) string {
			return s.must(s.put("pair", "list", "")) + s.delete(universe["one"].digest)
		},
		"api": func(s *site) string {
			return s.must(s.put("pair", "list", "")) + s.play(step{Do: remove, Door: atAPI, Repo: place, Doc: "one"})
		},
	}, result{answers: imageInIndex, names: "one"}, result{answers: imageInIndex, names: "one"}},
	{"the image goes into the archive and comes back", map[string]func(*site) string{
		"api": func(s *site) string { return s.archive() + s.back() },
	}, stays, stays},
	{"another image is pushed to the tag of an archived one", map[string]func(*site) string{
		"oci": func(s *site) string { return s.must(s.archive()) + s.put("two", s.tag, "") + s.must(s.back()) },
		"api": func(s *site) string { return s.must(s.archive()) + s.putImage("two", false) + s.must(s.back()) },
	}, moved, refused},
	{"another image is replicated with the tag", map[string]func(*site) string{
		"worker": (*site).replicated,
	}, moved, stays}, // it comes without the tag, as at ECR
	{"a lifecycle policy expires the image", map[string]func(*site) string{
		"worker": (*site).expired,
	}, dropped, dropped},
	{"a lifecycle policy would expire the image of an index", map[string]func(*site) string{
		"worker": func(s *site) string { return s.must(s.put("pair", "list", "")) + s.expired() },
	}, stays, stays},
	{"the repository is deleted", map[string]func(*site) string{
		"api": func(s *site) string { return s.play(step{Do: drop, Door: atAPI, Repo: place}) },
	}, result{answers: notEmpty, names: "one"}, result{answers: notEmpty, names: "one"}},
	{"the repository is deleted by force", map[string]func(*site) string{
		"api": func(s *site) string { return s.play(step{Do: drop, Door: atAPI, Repo: place, Force: true}) },
	}, dropped, dropped},
	{"the tag rule changes", map[string]func(*site) string{
		"api": func(s *site) string {
			return s.play(step{Do: mutability, Door: atAPI, Repo: place, Rule: "MUTABLE"}) +
				s.play(step{Do: mutability, Door: atAPI, Repo: place, Rule: "IMMUTABLE"})
		},
	}, stays, stays},
}

// TestWaysToATag tries all ways to move or drop a tag, in each form, under each
// tag rule, on a tag that the exclusions match and on tags that they do not.
func TestWaysToATag(t *testing.T) {
	for _, c := range []config{{Compat: ociapi.OCI}, {Compat: ociapi.ECR}} {
		for _, rule := range rules {
			for _, tag := range []string{"1", "dev-1", "Dev-1"} { // patterns know upper case from lower
				t.Run(fmt.Sprintf("%s, %s, %s", c.Compat, rule, tag), func(t *testing.T) {
					t.Parallel()
					immutable := (&repository{rule: rule}).immutable(tag)
					for _, w := range ways {
						for form, play := range w.forms {
							synctest.Test(t, func(t *testing.T) { w.try(t, openSite(t, c, rule, tag), form, play, immutable) })
						}
					}
				})
			}
		}
	}
}

// openSite makes a repository with the images.
func openSite(t *testing.T, c config, rule, tag string) *site {
	t.Helper()
	w, err := open(c, func(o *registry.Options) { o.LifecycleInterval = lifecycleInterval })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	s := &site{&player{world: w, slots: map[int]string{}, sent: map[string]int{}}, tag}
	for _, text := range []string{s.furnish(rule, atOCI), s.put("two", universe["two"].digest, ""), s.put("one", tag, "")} {
		if text != "" {
			t.Fatal(text)
		}
	}
	return s
}

// furnished are the blobs that the documents of the ways need.
var furnished = []string{"config", "empty", "a", "b", "c"}

// furnish makes the repository, in the region of the key, with those blobs, which go
// through a door: that of OCI leads to its own region.
func (s *site) furnish(rule string, to door) (text string) {
	text = s.play(step{Do: create, Door: atAPI, Repo: place, Rule: rule})
	for _, name := range furnished {
		if text != "" {
			return text
		}
		text = s.play(step{Do: layer, Door: to, Repo: place, Blob: name})
	}
	return text
}

// try holds what comes of a form of a way against what must.
func (w way) try(t *testing.T, s *site, form string, play func(*site) string, immutable bool) {
	t.Helper()
	time.Sleep(time.Second) // the images are older
	want := w.free
	if immutable {
		want = w.fixed
	}
	door := atOCI
	if strings.HasPrefix(form, "api") {
		door = atAPI
	}
	if got, text := play(s), want.answers.at(s.config, door); got != text {
		t.Errorf("%s (%s): %q, want %q", w.name, form, got, text)
	}
	if got := s.named(); got != want.names {
		t.Errorf("%s (%s): the tag names %q, want %q", w.name, form, got, want.names)
	}
	kept := !want.gone || want.last && door == atOCI && !s.asECR()
	images, err := s.readImages(place) // which fails where the repository is gone too
	if _, there := images["one"]; there != kept || err != nil && kept {
		t.Errorf("%s (%s): image is there: %t, %v", w.name, form, there, err)
	}
}

// named is the document that the tag names at both doors.
func (s *site) named() string {
	a := s.at(http.MethodHead, "/v2/"+place+"/manifests/"+s.tag, "", "")
	oci := called(a.header.Get("Docker-Content-Digest"))
	var out struct {
		ImageDetails []struct{ ImageDigest string }
	}
	text := s.call("DescribeImages", members{"repositoryName": place, "imageIds": []members{{"imageTag": s.tag}}}, &out)
	api := ""
	if text == "" {
		api = called(out.ImageDetails[0].ImageDigest)
	}
	if oci != api {
		return fmt.Sprintf("%q at the OCI door, %q at the API", oci, api)
	}
	return api
}

// must is for what has to work before a way is tried.
func (s *site) must(text string) string {
	if text != "" {
		return "before: " + text
	}
	return ""
}

func (s *site) put(doc, ref, query string) string {
	d := universe[doc]
	return s.at(http.MethodPut, "/v2/"+place+"/manifests/"+ref+query, d.mediaType, d.body).refusal(http.StatusCreated)
}

func (s *site) putImage(doc string, withDigest bool) string {
	d := universe[doc]
	in := members{"repositoryName": place, "imageManifest": d.body, "imageTag": s.tag}
	if withDigest {
		in["imageDigest"] = d.digest
	}
	return s.call("PutImage", in, nil)
}

func (s *site) delete(ref string) string {
	return s.at(http.MethodDelete, "/v2/"+place+"/manifests/"+ref, "", "").refusal(http.StatusAccepted)
}

// failures are what BatchDeleteImage says of an identifier, "" if it went.
func (s *site) failures(id members) string {
	_, failed, text := s.batchDelete(place, id)
	for _, f := range failed {
		text += "failure " + f
	}
	return text
}

func (s *site) archive() string {
	return s.play(step{Do: store, Door: atAPI, Repo: place, Doc: "one", Rule: "ARCHIVE"})
}

// back brings the image back from the archive, and waits for it.
func (s *site) back() string {
	text := s.play(step{Do: store, Door: atAPI, Repo: place, Doc: "one", Rule: "STANDARD"})
	time.Sleep(restoreTime + time.Second)
	synctest.Wait()
	return text
}

// replicated pushes another image to the tag in another region, from where it is
// replicated, and is "" once it has come.
func (s *site) replicated() string {
	home := s.key.Region
	s.key.Region = "eu-west-1"
	defer func() { s.key.Region = home }()
	if text := s.furnish("MUTABLE", atAPI); text != "" {
		return text
	}
	rule := members{"destinations": []members{{"region": home, "registryId": account}}}
	if text := s.call("PutReplicationConfiguration", members{"replicationConfiguration": members{"rules": []members{rule}}}, nil); text != "" {
		return text
	}
	if text := s.putImage("two", false); text != "" {
		return text
	}
	return s.awaitReplication()
}

// awaitReplication runs the worker that replicates, and is "" if it says that all
// has come.
func (s *site) awaitReplication() string {
	worker, err := replicate.New(replicate.Options{Registry: s.service})
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()
	time.Sleep(time.Minute)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		return err.Error()
	}
	var out struct{ ReplicationStatuses []struct{ Status string } }
	in := members{"repositoryName": place, "imageId": members{"imageTag": s.tag}}
	text := s.call("DescribeImageReplicationStatus", in, &out)
	if text == "" && (len(out.ReplicationStatuses) != 1 || out.ReplicationStatuses[0].Status != "COMPLETE") {
		return fmt.Sprint(out.ReplicationStatuses)
	}
	return text
}

// expired pushes another image and runs a policy that keeps one.
func (s *site) expired() string {
	const policy = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if text := s.call("PutLifecyclePolicy", members{"repositoryName": place, "lifecyclePolicyText": policy}, nil); text != "" {
		return text
	}
	if text := s.put("docker", "newest", ""); text != "" {
		return text
	}
	time.Sleep(lifecycleInterval)
	if err := s.service.RunLifecycle(context.Background()); err != nil {
		return err.Error()
	}
	return ""
}
