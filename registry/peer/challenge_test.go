package peer_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/peer"
)

func TestChallenges(t *testing.T) {
	type params = map[string]string
	tests := []struct {
		header  string
		schemes []string
		params  []params
	}{
		{"", nil, nil},
		{"Basic", []string{"basic"}, []params{{}}},
		{`Basic realm="a b"`, []string{"basic"}, []params{{"realm": "a b"}}},
		{`Bearer realm="https://a/b",service="c",scope="d:e:f,g h"`, []string{"bearer"}, []params{{"realm": "https://a/b", "service": "c", "scope": "d:e:f,g h"}}},
		{`bearer REALM=a , service = "b"`, []string{"bearer"}, []params{{"realm": "a", "service": "b"}}},
		{`Basic realm="a", Bearer realm="b"`, []string{"basic", "bearer"}, []params{{"realm": "a"}, {"realm": "b"}}},
		{`Negotiate, Basic realm="a\"b\\"`, []string{"negotiate", "basic"}, []params{{}, {"realm": `a"b\`}}},
		{`Basic realm="a`, []string{"basic"}, []params{{"realm": "a"}}},
		{`Basic realm="a\`, []string{"basic"}, []params{{"realm": "a"}}},
		{`realm="a"`, nil, nil},
		{`Basic @ realm="a"`, []string{"basic"}, []params{{}}},
		{`Basic realm=`, []string{"basic"}, []params{{"realm": ""}}},
		{",,, Basic", []string{"basic"}, []params{{}}},
	}
	for _, tt := range tests {
		schemes, got := peer.Challenges(tt.header)
		if diff := cmp.Diff(tt.schemes, schemes) + cmp.Diff(tt.params, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.header, diff)
		}
	}
}

// Whatever a registry sends is read to an end.
func FuzzChallenges(f *testing.F) {
	f.Add(`Basic realm="a", Bearer realm="b",scope="c d"`)
	f.Add(`Basic realm="\`)
	f.Fuzz(func(t *testing.T, header string) {
		schemes, params := peer.Challenges(header)
		if len(schemes) > len(header) || len(schemes) != len(params) {
			t.Errorf("%q has %d challenges", header, len(schemes))
		}
	})
}
