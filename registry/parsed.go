package registry

import (
	"fmt"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// parsed is what the last manifests that were pushed say. The same one often comes
// again: under another tag, or to another repository. The zero value is ready.
type parsed struct {
	mu        sync.RWMutex
	documents map[document]manifest.Manifest
	bytes     int // of all bodies
}

// document is a manifest as it was sent.
type document struct {
	sentAs string
	sum    digest.Digest // of its body, by SHA-256
}

// How large a body is that is remembered, and all of them; with more it begins anew.
const maxParsed, maxAllParsed = 16 << 10, 256 << 10

func (p *parsed) get(d document) (manifest.Manifest, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	m, ok := p.documents[d]
	return m, ok
}

func (p *parsed) keep(d document, m manifest.Manifest, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.documents == nil || p.bytes+size > maxAllParsed {
		p.documents, p.bytes = map[document]manifest.Manifest{}, 0
	}
	p.documents[d] = m
	p.bytes += size
}

// parse reads a manifest and digests it. What it returns is shared, and not to be
// changed.
func (s *Service) parse(sentAs string, body []byte, a digest.Algorithm) (m manifest.Manifest, d digest.Digest, err error) {
	as := document{sentAs: sentAs}
	if a == digest.SHA256 && len(body)+len(sentAs) <= maxParsed {
		as.sum = digest.FromBytes(a, body)
		if m, ok := s.parsed.get(as); ok {
			return m, as.sum, nil
		}
	}
	if m, err = manifest.Parse(sentAs, body); err != nil {
		return manifest.Manifest{}, d, refuse(parseCode(err), "%s", err)
	}
	if manifest.IsSchema1(m.MediaType) || as.sum.IsZero() {
		d, err = digested(m.MediaType, body, a)
		return m, d, err
	}
	s.parsed.keep(as, m, len(body))
	return m, as.sum, nil
}

// digested is the digest of a manifest that Parse has read.
func digested(mediaType string, body []byte, a digest.Algorithm) (digest.Digest, error) {
	text, err := manifest.Digested(mediaType, body)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("manifest without a digest: %w", err)
	}
	return digest.FromBytes(a, text), nil
}
