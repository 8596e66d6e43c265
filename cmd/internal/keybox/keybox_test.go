package keybox_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/keybox"
)

var files = keybox.Files{"keys": []byte("abcd secret\n"), "tls/acme/key": {0, 1, 2}}

func newKey(t testing.TB) (private accounts.Secret, public string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return accounts.NewSecret("# made by a test\n" + key.String() + "\n"), key.Recipient().String()
}

func TestRecipientsOpenTheBox(t *testing.T) {
	one, public1 := newKey(t)
	two, public2 := newKey(t)
	three, _ := newKey(t)
	lock, err := keybox.Recipients(public1, public2)
	if err != nil {
		t.Fatal(err)
	}
	box, err := lock.Seal(files)
	if err != nil || bytes.Contains(box, []byte("secret")) {
		t.Fatalf("sealed as %q, %v", box, err)
	}
	for _, key := range []accounts.Secret{one, two} {
		opener, err := keybox.Identities(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := opener.Open(box)
		if diff := cmp.Diff(files, got); err != nil || diff != "" {
			t.Errorf("opened: %v (-want +got):\n%s", err, diff)
		}
		for at := 0; at < len(box); at += 7 {
			bad := bytes.Clone(box)
			bad[at] ^= 1
			if got, err := opener.Open(bad); err == nil && !cmp.Equal(files, got) {
				t.Fatalf("a box with another byte at %d is opened", at)
			}
			if _, err := opener.Open(box[:at]); err == nil {
				t.Fatalf("a box of %d bytes is opened", at)
			}
		}
	}
	other, err := keybox.Identities(three)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(box); !errors.Is(err, keybox.ErrLocked) {
		t.Errorf("opened by another: %v, want ErrLocked", err)
	}
}

func TestPassphraseOpensTheBox(t *testing.T) {
	lock, err := keybox.EasyPassphrase(accounts.NewSecret("right"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := lock.Seal(files)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]error{"right": nil, "wrong": keybox.ErrLocked} {
		opener, err := keybox.ByPassphrase(accounts.NewSecret(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opener.Open(box); !errors.Is(err, want) {
			t.Errorf("opened with %q: %v, want %v", text, err, want)
		}
	}
}

// TestNamesThatLeadElsewhere are those of a box that a stranger made.
func TestNamesThatLeadElsewhere(t *testing.T) {
	private, public := newKey(t)
	lock, err := keybox.Recipients(public)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := keybox.Identities(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../keys", "/etc/passwd", "tls/../../keys", "", `tls\..\..\x`} {
		box, err := lock.Seal(keybox.Files{name: nil})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := opener.Open(box); err == nil {
			t.Errorf("a box with the name %q gives %v", name, got)
		}
	}
}

func TestWhatIsNoKeyIsNotShown(t *testing.T) {
	_, err := keybox.Identities(accounts.NewSecret("AGE-SECRET-KEY-1MISTYPED"))
	if err == nil || strings.Contains(err.Error(), "MISTYPED") {
		t.Errorf("error %v", err)
	}
	if _, err := keybox.Recipients("age1mistyped"); err == nil {
		t.Error("a recipient that is none is taken")
	}
	if _, err := keybox.Passphrase(accounts.Secret{}); err == nil {
		t.Error("an empty passphrase is taken")
	}
}
