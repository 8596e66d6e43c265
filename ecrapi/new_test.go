package ecrapi_test

import (
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestNewChecksOptions(t *testing.T) {
	right := func() ecrapi.Options {
		return ecrapi.Options{
			Registry: new(registry.Service), Credentials: new(credentials.Verifier), Authorizer: auth.RootOnly{},
			Names: new(endpoint.Names), PageKey: make([]byte, ecrapi.MinPageKey),
		}
	}
	if _, err := ecrapi.New(right()); err != nil {
		t.Errorf("New: %v", err)
	}
	for name, spoil := range map[string]func(*ecrapi.Options){
		"registry":    func(o *ecrapi.Options) { o.Registry = nil },
		"credentials": func(o *ecrapi.Options) { o.Credentials = nil },
		"authorizer":  func(o *ecrapi.Options) { o.Authorizer = nil },
		"names":       func(o *ecrapi.Options) { o.Names = nil },
		"page key":    func(o *ecrapi.Options) { o.PageKey = o.PageKey[1:] },
	} {
		o := right()
		spoil(&o)
		if _, err := ecrapi.New(o); err == nil {
			t.Errorf("New without %s gave no error", name)
		}
	}
}
