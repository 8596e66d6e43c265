package digest_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	godigest "github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/registry/digest"
)

// The digests of no bytes (FIPS 180-4).
const (
	empty256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	empty512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestParse(t *testing.T) {
	for s, algorithm := range map[string]digest.Algorithm{empty256: digest.SHA256, empty512: digest.SHA512} {
		d, err := digest.Parse(s)
		if err != nil {
			t.Errorf("Parse(%q): %v", s, err)
			continue
		}
		if d.IsZero() || d.String() != s || d.Algorithm() != algorithm || d.Encoded() != s[len("sha256:"):] {
			t.Errorf("Parse(%q) = %s of %s %s, zero: %v", s, d, d.Algorithm(), d.Encoded(), d.IsZero())
		}
		if d != digest.FromBytes(algorithm, nil) {
			t.Errorf("Parse(%q) is not the digest of no bytes", s)
		}
	}
}

// malformed are strings that are no digest, each in its own way.
var malformed = []string{
	"", ":", "sha256", "sha256:", ":" + empty256[7:], empty256[7:],
	empty256[:70], empty256 + "0", empty512[:71], "sha512:" + empty256[7:],
	"sha256:" + strings.ToUpper(empty256[7:]), "SHA256:" + empty256[7:],
	"sha256::" + empty256[7:], "sha256:" + empty256, "sha256:" + empty256[7:70] + "g",
	"sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
	"md5:d41d8cd98f00b204e9800998ecf8427e", "sha256+b64:" + empty256[7:],
	" " + empty256, empty256 + "\n", empty256 + "\x00", "sha256:../../../../../../../../../../../../../../../../../../../../../etc",
	"sha256:" + strings.Repeat("a", 1<<20), strings.Repeat("a", 1<<20),
}

func TestParseRefuses(t *testing.T) {
	for _, s := range malformed {
		if d, err := digest.Parse(s); !errors.Is(err, digest.ErrInvalid) || !d.IsZero() {
			t.Errorf("Parse(%.100q) = %s, %v; want ErrInvalid", s, d, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("Parse(%.100q): an error of %d bytes", s, len(err.Error()))
		}
		if d, err := digest.Of(godigest.Digest(s)); !errors.Is(err, digest.ErrInvalid) || !d.IsZero() {
			t.Errorf("Of(%.100q) = %s, %v; want ErrInvalid", s, d, err)
		}
	}
}

func TestParseAlgorithm(t *testing.T) {
	for _, s := range []string{"sha256", "sha512"} {
		if a, err := digest.ParseAlgorithm(s); err != nil || string(a) != s {
			t.Errorf("ParseAlgorithm(%q) = %q, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "sha384", "SHA256", "sha256 ", "md5"} {
		if a, err := digest.ParseAlgorithm(s); !errors.Is(err, digest.ErrInvalid) || a != "" {
			t.Errorf("ParseAlgorithm(%q) = %q, %v; want ErrInvalid", s, a, err)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		d := digest.FromBytes(a, []byte("content"))
		if !d.Matches([]byte("content")) || d.Matches([]byte("Content")) || d.Matches(nil) {
			t.Errorf("%s matches other than its content", d)
		}
	}
	if (digest.Digest{}).Matches(nil) {
		t.Error("the zero digest matches no bytes")
	}
}

// TestHashGoesOn stops a hash half way, as an upload does, and goes on from
// its state.
func TestHashGoesOn(t *testing.T) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		first := a.New()
		first.Write([]byte("one "))
		state, err := first.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		second := a.New()
		if err := second.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		second.Write([]byte("two"))
		if got, want := digest.FromHash(a, second), digest.FromBytes(a, []byte("one two")); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestZero(t *testing.T) {
	var d digest.Digest
	if got := fmt.Sprint(d); !d.IsZero() || got != "" || d.OCI() != "" || d.Encoded() != "" || d.Algorithm() != "" {
		t.Errorf("the zero digest is %q", got)
	}
}

func TestLibraryType(t *testing.T) {
	d, err := digest.Of(godigest.FromString("content"))
	if err != nil {
		t.Fatal(err)
	}
	if d != digest.FromBytes(digest.SHA256, []byte("content")) || d.OCI() != godigest.FromString("content") {
		t.Errorf("Of and OCI disagree with the library: %s", d)
	}
}

// row is a digest as rows and answers hold it.
type row struct {
	D digest.Digest `json:"d"`
	Z digest.Digest `json:"z,omitzero"`
}

func TestJSON(t *testing.T) {
	want := row{D: digest.FromBytes(digest.SHA512, nil)}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"d":"`+empty512+`"}` {
		t.Fatalf("Marshal = %s, %v", text, err)
	}
	var got row
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("Unmarshal = %+v, %v; want %+v", got, err, want)
	}
	if err := json.Unmarshal([]byte(`{"d":""}`), &got); err != nil || !got.D.IsZero() {
		t.Errorf(`Unmarshal of "" = %+v, %v; want the zero digest`, got, err)
	}
	got = want
	if err := json.Unmarshal([]byte(`{"d":"sha256:x"}`), &got); !errors.Is(err, digest.ErrInvalid) || got != want {
		t.Errorf("Unmarshal of a malformed digest = %+v, %v; want ErrInvalid and no change", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(empty256)
	f.Add(empty512)
	for _, s := range malformed {
		f.Add(s[:min(len(s), 200)])
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := digest.Parse(s)
		if err != nil {
			if !errors.Is(err, digest.ErrInvalid) || !d.IsZero() {
				t.Errorf("Parse(%q) = %s, %v; want the zero digest and ErrInvalid", s, d, err)
			}
			return
		}
		if d.IsZero() || d.String() != s || s != string(d.Algorithm())+":"+d.Encoded() {
			t.Errorf("Parse(%q) = %q", s, d)
		}
		if strings.Trim(d.Encoded(), "0123456789abcdef") != "" || len(d.Encoded()) != 2*d.Algorithm().New().Size() {
			t.Errorf("Parse(%q) took %q for a hash", s, d.Encoded())
		}
	})
}
