package ecrapi

import "testing"

func TestHasLoneSurrogate(t *testing.T) {
	tests := map[string]bool{
		`"😀 \n\\ud800 \u00e9 \ud7ff \ue000"`: false,
		`"\ud83d\ude00"`:                     false,
		`"\uD83D\uDE00"`:                     false,
		`"\udbff\udfff\ud800\udc00"`:         false,
		`"\\\ud83d\ude00"`:                   false,
		`"\\\\ud800"`:                        false,
		`"\ud8"`:                             false, // no JSON, and refused as such
		`"\ud83d"`:                           true,
		`"\ud83d "`:                          true,
		`"\ude00\ud83d"`:                     true,
		`"\ud83d\ud83d\ude00"`:               true,
		`"\udc00"`:                           true,
		`"\uDFFF"`:                           true,
		`"\\\ud83dx\ude00"`:                  true,
		`"\ud83d\u00e9"`:                     true,
	}
	for s, want := range tests {
		if got := hasLoneSurrogate([]byte(s)); got != want {
			t.Errorf("hasLoneSurrogate(%s) = %v, want %v", s, got, want)
		}
	}
}
