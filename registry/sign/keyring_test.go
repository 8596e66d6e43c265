package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/sign"
	"github.com/seed-78150930/berth/storage/memory"
)

// A generated root stays, over restarts and new keys, and old signatures stay good.
func TestGeneratedProfiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, blobs := newStore()
		h := open(t, index, blobs, release, second)
		h.rules(release)
		root := h.root(release)
		if root.Equal(h.root(second)) {
			t.Error("two profiles have one root")
		}
		const year = 365 * 24 * time.Hour
		if !root.IsCA || root.NotAfter.Before(time.Now().Add(20*year)) || root.CheckSignatureFrom(root) != nil {
			t.Errorf("the root is %+v", root)
		}
		var images []registry.Image
		leaves := map[string]bool{}
		for i := range 4 {
			h = open(t, index, blobs, release, second)
			if !h.root(release).Equal(root) {
				t.Fatal("the root is another one after a restart")
			}
			images = append(images, h.push("team/app", strings.Repeat("x", i+1)))
			h.work(nil)
			time.Sleep(year / 2)
			synctest.Wait()
		}
		for _, img := range images {
			h.wantSigned("in time", img, release)
			chain := h.verified(img, root)[0].SignerInfo.CertificateChain
			leaves[string(chain[0].Raw)] = true
			if chain[0].NotAfter.Before(root.NotAfter) || chain[0].CheckSignatureFrom(root) != nil {
				t.Errorf("the certificate holds until %v and the root until %v", chain[0].NotAfter, root.NotAfter)
			}
			if got, want := chain[0].Subject.String(), "CN=release,OU=000000000000,O=Berth,ST=us-east-1,C=ZZ"; got != want {
				t.Errorf("the subject is %s, want %s", got, want)
			}
		}
		if len(leaves) != 2 {
			t.Errorf("over two years %d keys signed, want one for each", len(leaves))
		}
	})
}

// A key in the index opens under the master key that it was sealed with, and in its own
// row.
func TestSealedKeys(t *testing.T) {
	index := memory.NewIndex()
	k := keyring(t, index)
	settings := []sign.Setting{{ARN: release, Generate: true}}
	_, err := k.Load(t.Context(), settings)
	must(t, err)
	other, err := sign.OpenKeyring(sign.KeyringOptions{Index: index, SealingKey: []byte(strings.Repeat("another key ", 4))})
	must(t, err)
	if _, err := other.Load(t.Context(), settings); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("with another master key: %v", err)
	}
	if _, err := sign.OpenKeyring(sign.KeyringOptions{Index: index, SealingKey: []byte("short")}); err == nil {
		t.Error("a short key is taken")
	}
}

// pair are the files of a key and its chain.
type pair struct{ key, chain string }

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// issue makes a certificate; without an authority it is self-signed.
func issue(t *testing.T, by *authority, key crypto.Signer, change func(*x509.Certificate)) *authority {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{cert, key}
}

// ca makes a certificate one of an authority.
func ca(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.KeyUsage, c.ExtKeyUsage = name, true, x509.KeyUsageCertSign, nil
	}
}

func writePair(t *testing.T, key crypto.Signer, chain ...*authority) pair {
	t.Helper()
	p := pair{filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "chain.pem")}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	must(t, os.WriteFile(p.chain, text, 0o644))
	return p
}

func (p pair) setting() sign.Setting {
	return sign.Setting{ARN: release, KeyFile: p.key, ChainFile: p.chain}
}

// What is signed with a key of one's own is good under its root, with certificates in
// between too; and while they do not hold nothing is signed.
func TestKeysOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := issue(t, nil, newKey(t), ca("root"))
		between := issue(t, root, newKey(t), ca("between"))
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		for what, key := range map[string]crypto.Signer{"an elliptic key": newKey(t), "an RSA key": rsaKey} {
			leaf := issue(t, between, key, nil)
			p := writePair(t, key, leaf, between, root)
			index, blobs := newStore()
			h := open(t, index, blobs)
			h.rules(release)
			h.load(p.setting())
			img := h.push("team/app", what)
			h.work(nil)
			h.wantStates(what, img, "COMPLETE")
			if n := len(h.verified(img, root.cert)); n != 1 {
				t.Errorf("%s: there are %d signatures, want one", what, n)
			}
		}
		key := newKey(t)
		p := writePair(t, key, issue(t, root, key, nil), root)
		index, blobs := newStore()
		h := open(t, index, blobs)
		h.rules(release)
		h.load(p.setting())
		time.Sleep(2 * time.Hour)
		if h.keys.Holds(release) {
			t.Error("certificates hold that have ended")
		}
		img := h.push("team/app", "late")
		h.work(nil)
		h.wantStates("ended", img, "FAILED SigningProfileNotUsable")
		set, err := h.keys.Load(t.Context(), []sign.Setting{p.setting()})
		must(t, err)
		if why := set.Ended()[release]; !strings.Contains(why, "valid from") {
			t.Errorf("why it has ended: %q", why)
		}
		list, err := h.keys.Profiles(t.Context())
		must(t, err)
		if len(list) != 1 || list[0].Generated || list[0].Fault == "" || !list[0].Root().Equal(root.cert) {
			t.Errorf("the profiles are %+v", list)
		}
	})
}

// Keys and chains that no verifier would take are refused, with words that say why.
func TestFilesAreRefused(t *testing.T) {
	root, key := issue(t, nil, newKey(t), ca("root")), newKey(t)
	leaf := issue(t, root, key, nil)
	with := func(change func(*x509.Certificate)) pair { return writePair(t, key, issue(t, root, key, change), root) }
	file := func(of string, text string, mode os.FileMode) pair {
		p := writePair(t, key, leaf, root)
		name := p.key
		if of == "chain" {
			name = p.chain
		}
		must(t, os.WriteFile(name, []byte(text), 0o600))
		must(t, os.Chmod(name, mode))
		return p
	}
	readable := writePair(t, key, leaf, root)
	must(t, os.Chmod(readable.key, 0o604))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	locked := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	for what, tt := range map[string]struct {
		pair
		says string
	}{
		"no key file":             {pair{"/none/such", readable.chain}, "no such file"},
		"no chain file":           {pair{writePair(t, key, leaf, root).key, "/none/such"}, "no such file"},
		"a readable key":          {readable, "others on this machine may read it"},
		"no key":                  {file("key", "nothing", 0o600), "no private key"},
		"a key with a passphrase": {file("key", locked, 0o600), "without a passphrase"},
		"a key that is garbage":   {file("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600), "cannot be read"},
		"a huge file":             {file("key", strings.Repeat("x", 2<<20), 0o600), "larger than"},
		"no certificate":          {file("chain", "nothing", 0o644), "no certificate"},
		"another key":             {writePair(t, newKey(t), leaf, root), "not the key of the first certificate"},
		"no root":                 {writePair(t, key, leaf), "self-signed"},
		"the wrong order":         {writePair(t, key, root, leaf), "chain.pem"},
		"another root":            {writePair(t, key, leaf, issue(t, nil, newKey(t), ca("root"))), "not issued by"},
		"for servers":             {with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "ServerAuth"},
		"for nothing":             {with(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "not for signing code"},
		"without a usage":         {with(func(c *x509.Certificate) { c.KeyUsage = 0 }), "key usage"},
		"with another usage":      {with(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }), "KeyEncipherment"},
		"a leaf that signs":       {with(ca("leaf")), "chain.pem"},
		"a small key":             {writePair(t, small, issue(t, root, small, nil), root), "chain.pem"},
		"a key of Edwards":        {writePair(t, edwards, issue(t, root, edwards, nil), root), "chain.pem"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := keyring(t, memory.NewIndex()).Load(t.Context(), []sign.Setting{tt.setting()})
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), release) {
				t.Errorf("%v, want %q in it", err, tt.says)
			}
		})
	}
}
