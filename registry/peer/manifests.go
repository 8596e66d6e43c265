package peer

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/remote"
)

// Manifest is a manifest as a registry has it.
type Manifest struct {
	Digest    digest.Digest // of Body, computed here
	MediaType string        // "" if neither the registry nor the manifest says it
	Body      []byte
}

// Descriptor says of content what it is.
type Descriptor struct {
	Digest       digest.Digest
	MediaType    string
	Size         int64
	ArtifactType string            // of a referrer
	Annotations  map[string]string // of a referrer
}

// manifestTypes are those that are asked for: the ones that Berth stores, and any
// other that the registry has instead.
var manifestTypes = []string{
	v1.MediaTypeImageManifest, v1.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.artifact.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.docker.distribution.manifest.v1+json", "*/*",
}

// Manifest fetches a manifest by a tag, a digest, or both, of which the digest
// counts. One that is not what its digest says is ErrWrong.
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (Manifest, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	asked, answer, err := r.manifest(ctx, http.MethodGet, repo, ref)
	if err != nil {
		return Manifest{}, err
	}
	defer answer.Body.Close()
	body, err := r.read(answer)
	if err != nil {
		return Manifest{}, r.unread(answer.Request, err)
	}
	m := Manifest{MediaType: mediaType(answer.Header, body), Body: body}
	m.Digest, err = r.checked(m, asked, answer.Header)
	return m, err
}

// manifest asks for a manifest.
func (r *Registry) manifest(ctx context.Context, method, repo, ref string) (digest.Digest, *http.Response, error) {
	path, asked, err := reference(ref)
	if err != nil {
		return asked, nil, err
	}
	req, err := r.request(ctx, method, repo, "manifests/"+path, auth.ActionPull)
	if err != nil {
		return asked, nil, err
	}
	req.Header.Set("Accept", strings.Join(manifestTypes, ", "))
	answer, err := r.expect(req, http.StatusOK)
	return asked, answer, err
}

// read reads the body. Some servers compress though nobody asked for it.
func (r *Registry) read(answer *http.Response) ([]byte, error) {
	var body io.Reader = answer.Body
	switch encoding := strings.ToLower(answer.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	default:
		return nil, wrong(r.base.Host, "a manifest comes in the encoding %.40q", encoding)
	}
	return remote.ReadAll(body, r.maxManifest)
}

// unread is the error of a body that could not be read.
func (r *Registry) unread(req *http.Request, err error) error {
	switch {
	case errors.Is(err, remote.ErrTooLong):
		return wrong(r.base.Host, "a manifest has more than %d bytes", r.maxManifest)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, new(flate.CorruptInputError)):
		return wrong(r.base.Host, "a manifest is compressed, and broken")
	}
	return failed(req, err)
}

// checked is the digest of a manifest, which is the one that was asked for and the
// one that the registry tells.
func (r *Registry) checked(m Manifest, asked digest.Digest, h http.Header) (digest.Digest, error) {
	signed, err := manifest.Digested(m.MediaType, m.Body)
	if err != nil {
		return asked, wrong(r.base.Host, "a manifest cannot be read")
	}
	told, err := digest.Parse(h.Get("Docker-Content-Digest"))
	if err != nil {
		told = asked // not told, or by an algorithm that is not known here
	}
	for _, want := range []digest.Digest{asked, told} {
		if !want.IsZero() && !want.Matches(signed) {
			return asked, wrong(r.base.Host, "the bytes of manifest %s have another digest", want)
		}
	}
	switch {
	case !asked.IsZero():
		return asked, nil
	case !told.IsZero():
		return told, nil
	}
	return digest.FromBytes(digest.SHA256, signed), nil
}

// vague are types that say nothing of a manifest.
var vague = []string{"", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"}

// mediaType is what a manifest is, by the registry's word or else its own.
func mediaType(h http.Header, body []byte) string {
	told, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err == nil && !slices.Contains(vague, told) {
		return told
	}
	var own struct{ MediaType string }
	if json.Unmarshal(body, &own) != nil {
		return ""
	}
	return own.MediaType
}

// Head asks what a tag or a digest is, without the manifest if the registry tells
// all there is to know.
func (r *Registry) Head(ctx context.Context, repo, ref string) (Descriptor, error) {
	short, cancel := bounded(ctx)
	defer cancel()
	asked, answer, err := r.manifest(short, http.MethodHead, repo, ref)
	if refused := new(Error); errors.As(err, &refused) && (refused.Status == http.StatusMethodNotAllowed || refused.Status == http.StatusBadRequest) {
		return r.whole(ctx, repo, ref) // a refusal to HEAD has no body, which would say why
	}
	if err != nil {
		return Descriptor{}, err
	}
	if err := answer.Body.Close(); err != nil {
		return Descriptor{}, failed(answer.Request, err)
	}
	told, err := digest.Parse(answer.Header.Get("Docker-Content-Digest"))
	d := Descriptor{Digest: told, MediaType: mediaType(answer.Header, nil), Size: answer.ContentLength}
	if err != nil || d.MediaType == "" || d.Size < 0 {
		return r.whole(ctx, repo, ref)
	}
	if !asked.IsZero() && asked != told {
		return Descriptor{}, wrong(r.base.Host, "asked for manifest %s it tells of %s", asked, told)
	}
	return d, nil
}

// whole is what Head tells, from the manifest itself.
func (r *Registry) whole(ctx context.Context, repo, ref string) (Descriptor, error) {
	m, err := r.Manifest(ctx, repo, ref)
	if err != nil {
		return Descriptor{}, err
	}
	return Descriptor{Digest: m.Digest, MediaType: m.MediaType, Size: int64(len(m.Body))}, nil
}

// PushManifest puts a manifest under a tag or its digest. What refers to a subject is
// found there by the API or, where the registry has none, by a tag.
func (r *Registry) PushManifest(ctx context.Context, repo, ref, mediaType string, body []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	path, d, err := reference(ref)
	if err != nil {
		return err
	}
	signed, err := manifest.Digested(mediaType, body)
	if err != nil {
		return fmt.Errorf("%w: the manifest cannot be read: %w", ErrWrong, err)
	}
	if d.IsZero() {
		d = digest.FromBytes(digest.SHA256, signed)
	} else if !d.Matches(signed) {
		return fmt.Errorf("%w: the manifest is not %s", ErrWrong, d)
	}
	target, err := r.repository(repo)
	if err != nil {
		return err
	}
	desc := v1.Descriptor{MediaType: mediaType, Digest: d.OCI(), Size: int64(len(body))}
	return r.fault(target.PushReference(ctx, desc, bytes.NewReader(body), path))
}

// DeleteManifest removes a tag, or a manifest by its digest with all its tags. Not
// every registry removes tags: that is an error of status 400 or 405.
func (r *Registry) DeleteManifest(ctx context.Context, repo, ref string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	path, _, err := reference(ref)
	if err != nil {
		return err
	}
	req, err := r.request(ctx, http.MethodDelete, repo, "manifests/"+path, auth.ActionPull, auth.ActionDelete)
	if err != nil {
		return err
	}
	answer, err := r.expect(req, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
