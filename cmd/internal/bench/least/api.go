package least

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4"
)

// members are those of an answer.
type members = map[string]any

// input is what is read of a call.
type input struct {
	RepositoryName, NextToken, ImageManifest, ImageManifestMediaType, ImageTag, UploadID string
	MaxResults                                                                           int
	LayerDigests                                                                         []string
}

// api answers a call of ECR's API.
func (s *Server) api(w http.ResponseWriter, r *http.Request, op string) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = s.verify(r, body)
	}
	var out members
	if err == nil {
		out, err = s.call(op, body, r.Host)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		answer(w, http.StatusBadRequest, members{"__type": "InvalidParameterException", "message": err.Error()})
		return
	}
	answer(w, http.StatusOK, out)
}

// verify checks the signature of a call.
func (s *Server) verify(r *http.Request, body []byte) error {
	claim, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if claim.KeyID != s.key.ID {
		return errors.New("no such key")
	}
	if err := claim.CheckTime(time.Now()); err != nil {
		return err
	}
	return claim.Verify(s.key.Secret.Reveal(), sha256.Sum256(body))
}

func (s *Server) call(op string, body []byte, host string) (members, error) {
	if op == "UploadLayerPart" {
		return s.part(body)
	}
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	switch op {
	case "GetAuthorizationToken":
		return members{"authorizationData": []members{{
			"authorizationToken": strings.TrimPrefix(s.basic, "Basic "), "expiresAt": time.Now().Add(12 * time.Hour).Unix(), "proxyEndpoint": "http://" + host,
		}}}, nil
	case "CreateRepository":
		_, err := s.keep(in.RepositoryName, "", manifest{})
		return members{"repository": described(in.RepositoryName)}, err
	case "DeleteRepository":
		return members{"repository": described(in.RepositoryName)}, s.remove(in.RepositoryName)
	case "PutImage":
		return s.putImage(in)
	case "DescribeImages":
		return s.describeImages(in)
	case "InitiateLayerUpload":
		id, err := s.newUpload()
		return members{"uploadId": id, "partSize": 10 << 20}, err
	case "CompleteLayerUpload":
		if len(in.LayerDigests) != 1 {
			return nil, errors.New("one digest is needed")
		}
		_, err := s.extend(in.UploadID, bytes.NewReader(nil), in.LayerDigests[0])
		return members{"layerDigest": in.LayerDigests[0], "uploadId": in.UploadID, "repositoryName": in.RepositoryName}, err
	}
	return nil, errors.New("there is no such operation here")
}

// Everything is in one account.
const account = "000000000000"

func described(name string) members {
	return members{
		"repositoryName": name, "registryId": account, "repositoryArn": "arn:aws:ecr:us-east-1:" + account + ":repository/" + name,
		"repositoryUri": "localhost/" + name, "imageTagMutability": "MUTABLE", "createdAt": time.Now().Unix(),
	}
}

// remove forgets a repository, and writes that down.
func (s *Server) remove(name string) error {
	if err := s.facts.do(record(name, "gone")); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, name)
	if i, ok := slices.BinarySearch(s.sorted, name); ok {
		s.sorted = slices.Delete(s.sorted, i, i+1)
	}
	return nil
}

func (s *Server) putImage(in input) (members, error) {
	digest, err := s.keep(in.RepositoryName, in.ImageTag, manifest{in.ImageManifestMediaType, []byte(in.ImageManifest)})
	return members{"image": members{
		"registryId": account, "repositoryName": in.RepositoryName, "imageManifest": in.ImageManifest,
		"imageId": members{"imageDigest": digest, "imageTag": in.ImageTag},
	}}, err
}

// detail is what is told of an image.
type detail struct {
	RegistryID string   `json:"registryId"`
	Repository string   `json:"repositoryName"`
	Digest     string   `json:"imageDigest"`
	Tags       []string `json:"imageTags"`
	Size       int      `json:"imageSizeInBytes"`
	Pushed     int64    `json:"imagePushedAt"`
	MediaType  string   `json:"imageManifestMediaType"`
}

func (s *Server) describeImages(in input) (members, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo := s.repos[in.RepositoryName]
	if repo == nil {
		return nil, errors.New("there is no such repository")
	}
	page, last := pageOf(repo.sorted, url.Values{"n": {strconv.Itoa(in.MaxResults)}, "last": {in.NextToken}})
	images := make([]detail, len(page))
	for i, tag := range page {
		m := repo.manifests[repo.tags[tag]]
		images[i] = detail{account, in.RepositoryName, repo.tags[tag], []string{tag}, len(m.body), 1, m.kind}
	}
	out := members{"imageDetails": images}
	if last != "" {
		out["nextToken"] = last
	}
	return out, nil
}

// content is before the part's bytes in a call of Amazon's clients, which is its
// last member.
const content = `"layerPartBlob":"`

// part takes a part of a layer. Its bytes are not read as JSON, which would take
// longer than all else.
func (s *Server) part(body []byte) (members, error) {
	i := bytes.Index(body, []byte(content))
	if i < 0 {
		return nil, errors.New("there is no part")
	}
	var in input
	if err := json.Unmarshal(append(bytes.Clone(body[:i]), `"x":0}`...), &in); err != nil {
		return nil, err
	}
	coded, _, _ := bytes.Cut(body[i+len(content):], []byte{'"'})
	n, err := base64.StdEncoding.Decode(coded, coded)
	if err != nil {
		return nil, err
	}
	_, err = s.extend(in.UploadID, bytes.NewReader(coded[:n]), "")
	return members{"uploadId": in.UploadID, "registryId": account, "repositoryName": in.RepositoryName}, err
}
