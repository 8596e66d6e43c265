package sign

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/notaryproject/notation-core-go/signature"
	notation "github.com/notaryproject/notation-core-go/x509"
)

// maxFile bounds files of keys and certificates.
const maxFile = 1 << 20

// readFiles reads a key and its chain, and checks that what they sign can be verified.
// When the certificates hold is not looked at.
func readFiles(keyFile, chainFile string) (*signer, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	chain, err := readChain(chainFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", chainFile, err)
	}
	if err := checkChain(chain); err != nil {
		return nil, fmt.Errorf("%s: %w", chainFile, err)
	}
	if _, err := signature.NewLocalSigner(chain, key); err != nil {
		return nil, fmt.Errorf("%s: it is not the key of the first certificate in %s", keyFile, chainFile)
	}
	return &signer{key, chain}, nil
}

// readKey reads a private key that nobody else on the machine may read.
func readKey(name string) (crypto.PrivateKey, error) {
	text, mode, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o007 != 0 && runtime.GOOS != "windows" { // whose files have no such mode
		return nil, fmt.Errorf("others on this machine may read it (mode %s); better: chmod o= %s", mode.Perm(), name)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key crypto.PrivateKey
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default: // parameters of a curve stand before some keys
			continue
		}
		if err != nil {
			return nil, errors.New("the private key in it cannot be read")
		}
		return key, nil
	}
	return nil, errors.New("there is no private key in it, as PEM and without a passphrase")
}

// readChain reads certificates.
func readChain(name string) (chain []*x509.Certificate, err error) {
	text, _, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate in it, as PEM")
	}
	return chain, nil
}

// checkChain checks that verifiers of the Notary Project would take a chain: each
// certificate is signed by the next one and the last by itself, and uses of keys, lengths
// of paths and algorithms are those of signing code.
func checkChain(chain []*x509.Certificate) error {
	if err := notation.ValidateCodeSigningCertChain(chain, nil); err != nil {
		return err
	}
	if !slices.Contains(chain[0].ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return fmt.Errorf("the certificate of %q is not for signing code: it lacks that extended key usage", chain[0].Subject)
	}
	return nil
}

// readSmall reads a file.
func readSmall(name string) (text []byte, mode os.FileMode, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, withoutName(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, withoutName(err)
	}
	if text, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, 0, withoutName(err)
	}
	if len(text) > maxFile {
		return nil, 0, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return text, info.Mode(), nil
}

// withoutName is an error without the name of its file, which stands before it.
func withoutName(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
