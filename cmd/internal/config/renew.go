package config

import (
	"maps"
	"reflect"
)

// Renew is the configuration of a running server that was given next: next,
// but with the values of c where a server cannot change them while it runs.
// It says which keys changed, and which would with a new start.
func (c *Config) Renew(next *Config) (renewed *Config, changed, waiting []string) {
	merged := *next
	merged.Root = c.Root
	merged.origins = maps.Clone(next.origins)
	for _, s := range Settings() {
		if s.same(c, &merged) {
			continue
		}
		if s.restart {
			s.value(&merged).Set(s.value(c))
			merged.origins[s.Key] = c.origins[s.Key]
			waiting = append(waiting, s.Key)
			continue
		}
		changed = append(changed, s.Key)
	}
	return &merged, changed, waiting
}

// same says whether a setting means the same in both. A default that depends
// on another setting differs from the same value given.
func (s Setting) same(a, b *Config) bool {
	if s.Key == "create-on-push" {
		return a.CreationMode() == b.CreationMode()
	}
	va, vb := s.value(a), s.value(b)
	if s.isList() && va.Len() == 0 && vb.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(va.Interface(), vb.Interface())
}
