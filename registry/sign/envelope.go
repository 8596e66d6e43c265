package sign

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/seed-78150930/berth/registry"
)

// The words of the Notary Project (signature-specification.md, "Storage" and "Payload").
const (
	envelopeType   = jws.MediaTypeEnvelope
	payloadType    = "application/vnd.cncf.notary.payload.v1+json"
	thumbprintsKey = "io.cncf.notary.x509chain.thumbprint#S256"
	// agent is what made a signature, which nobody need believe.
	agent = "berth"
)

// subject is the descriptor of an image that a signature is about.
type subject struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func subjectOf(img registry.Image) subject {
	return subject{img.MediaType, img.Digest.String(), img.ManifestSize}
}

// payload is what is signed.
type payload struct {
	TargetArtifact subject `json:"targetArtifact"`
}

// signer has what signs for a profile: a key and the certificates that say whose it is,
// from the key's own to the root. It does not change.
type signer struct {
	key   crypto.PrivateKey
	chain []*x509.Certificate
}

// envelope is a signature of an image as a JSON Web Signature, which is verified before
// it is handed out.
func (s *signer) envelope(of subject, at time.Time) ([]byte, error) {
	local, err := signature.NewLocalSigner(s.chain, s.key)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(payload{of})
	if err != nil {
		return nil, err
	}
	e := jws.NewEnvelope()
	signed, err := e.Sign(&signature.SignRequest{
		Payload: signature.Payload{ContentType: payloadType, Content: content},
		Signer:  local, SigningTime: at, SigningScheme: signature.SigningSchemeX509, SigningAgent: agent,
	})
	if err != nil {
		return nil, err
	}
	if _, err := e.Verify(); err != nil {
		return nil, fmt.Errorf("the signature that was made is not good: %w", err)
	}
	return signed, nil
}

// made says whether an envelope is a good signature of an image by the signer.
func (s *signer) made(envelope []byte, of subject) bool {
	e, err := jws.ParseEnvelope(envelope)
	if err != nil {
		return false
	}
	content, err := e.Verify()
	if err != nil || content.Payload.ContentType != payloadType || !bytes.Equal(content.SignerInfo.CertificateChain[0].Raw, s.chain[0].Raw) {
		return false
	}
	var signed payload
	return json.Unmarshal(content.Payload.Content, &signed) == nil && signed.TargetArtifact == of
}

// thumbprints are the SHA-256 of the certificates, as an annotation has them.
func (s *signer) thumbprints() string {
	list := make([]string, len(s.chain))
	for i, cert := range s.chain {
		sum := sha256.Sum256(cert.Raw)
		list[i] = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // a list of texts is JSON
	}
	return string(text)
}
