package registry_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// pushes are the three ways in which a push may make its repository.
func pushes(s *registry.Service, from registry.Name) map[string]func(context.Context, registry.Name, bool) error {
	d := sha256Of([]byte("one"))
	return map[string]func(context.Context, registry.Name, bool) error{
		"PutImage": func(ctx context.Context, n registry.Name, may bool) error {
			_, err := s.PutImage(ctx, n, registry.Push{
				MediaType: "application/x.thing", Body: []byte("{}"), MayCreate: may,
			})
			return err
		},
		"StartUpload": func(ctx context.Context, n registry.Name, may bool) error {
			_, err := s.StartUpload(ctx, n, registry.NewUpload{MayCreate: may})
			return err
		},
		"Mount": func(ctx context.Context, n registry.Name, may bool) error {
			_, err := s.Mount(ctx, n, d, registry.Mount{From: from, MayRead: anyone, MayCreate: may})
			return err
		},
	}
}

func anyone(context.Context, registry.Name) bool { return true }

func TestCreateOnPush(t *testing.T) {
	for _, mode := range []registry.CreationMode{"", registry.CreateNever, registry.CreateByTemplate, registry.CreateAlways} {
		for _, may := range []bool{false, true} {
			s := open(t, registry.Options{CreateOnPush: mode})
			from := create(t, s, "team/from")
			addLayer(t, s, from, "one")
			for what, push := range pushes(s, from) {
				t.Run(fmt.Sprintf("%s, server %q, caller %v", what, mode, may), func(t *testing.T) {
					n := name(t, "team/new")
					err := push(alice(t), n, may)
					if mode == registry.CreateAlways && may {
						must(t, err)
						_, err = s.DeleteRepository(alice(t), n, true)
						must(t, err)
						return
					}
					wantCode(t, what, err, registry.RepositoryNotFound)
					_, err = s.Repository(alice(t), n)
					wantCode(t, "find it", err, registry.RepositoryNotFound)
				})
			}
		}
	}
}

func TestRefusedPushCreatesNothing(t *testing.T) {
	s := open(t, registry.Options{CreateOnPush: registry.CreateAlways, Limits: registry.Limits{Manifest: 1000}})
	from := create(t, s, "team/from")
	img := addImage(t, s, from, "", "one")
	n, body := name(t, "team/new"), indexOf(t, img)
	put := func(p registry.Push) error {
		p.MayCreate = true
		_, err := s.PutImage(alice(t), n, p)
		return err
	}
	mount := func(m registry.Mount) error {
		m.MayCreate = true
		_, err := s.Mount(alice(t), n, sha256Of([]byte("one")), m)
		return err
	}
	nobody := func(context.Context, registry.Name) bool { return false }
	tests := []struct {
		what string
		err  error
		code registry.Code
	}{
		{"not JSON", put(registry.Push{Body: []byte("{")}), registry.ManifestNotJSON},
		{"no manifest", put(registry.Push{Body: []byte("[]")}), registry.ManifestInvalid},
		{"too large", put(registry.Push{Body: make([]byte, 1001)}), registry.ManifestTooLarge},
		{"other digest", put(registry.Push{Body: body, Want: sha256Of(nil)}), registry.ImageDigestMismatch},
		{"child missing", put(registry.Push{Body: body}), registry.ChildrenMissing},
		{"unreadable source", mount(registry.Mount{From: from, MayRead: nobody}), registry.LayerNotFound},
		{"missing source", mount(registry.Mount{From: name(t, "team/none"), MayRead: anyone}), registry.LayerNotFound},
	}
	for _, tt := range tests {
		wantCode(t, tt.what, tt.err, tt.code)
	}
	_, err := s.Repository(alice(t), n)
	wantCode(t, "find the repository", err, registry.RepositoryNotFound)
}

func TestCreateOnPushMakesAPlainRepository(t *testing.T) {
	s := open(t, registry.Options{CreateOnPush: registry.CreateAlways})
	n := name(t, "team/new")
	_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1")}, Body: indexOf(t), MayCreate: true})
	must(t, err)
	repo, err := s.Repository(alice(t), n)
	if err != nil || repo.TagRule.Mutability != registry.Mutable || repo.Encryption.Type != "AES256" {
		t.Errorf("made %+v, %v; want ECR's defaults", repo, err)
	}
	events, err := s.Events(alice(t), 0, 10)
	must(t, err)
	if len(events) != 2 || events[0].Kind != registry.RepositoryCreated || events[1].Kind != registry.ImagePushed {
		t.Errorf("events %+v, want a creation and a push", events)
	}
}
