// Make writes a small data folder as one version of Berth leaves it, with what the
// tests of the server must find in it for ever:
//
//	go run ./cmd/internal/server/testdata/formats/make.go -berth bin/berth -format 2
//
// makes formats/2.tar.gz, the folder, and formats/2.json, what is in it. Run it once for
// each format, with the last program that writes it, and keep what it makes. Keys and
// passwords in there are made for it and open nothing else.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

const here = "cmd/internal/server/testdata/formats"

// contents is what the folder holds, for the tests.
type contents struct {
	User, Password, KeyID, Secret string // of somebody who may do all
	RobotID, RobotSecret          string // which may pull from team/*
	Upload                        string // path of an upload that is half done, with what was sent
	Sent                          string
	Repositories                  map[string]repository // of the server's own registry
	Elsewhere                     map[string]repository // of the same account in eu-west-1
}

type repository struct {
	Tags      map[string]string   // digests
	Manifests map[string]manifest // by digest
	Archived  []string            // digests
	Lifecycle string
	Policy    string
}

type manifest struct {
	MediaType, Body string
	Layers          map[string]string // contents by digest
}

func main() {
	berth, format := flag.String("berth", "bin/berth", "the program"), flag.String("format", "", "the format that it writes")
	flag.Parse()
	dir, err := os.MkdirTemp("", "format")
	must(err)
	defer os.RemoveAll(dir)
	m := &maker{berth: *berth, data: filepath.Join(dir, "data"), made: contents{Repositories: map[string]repository{}, Elsewhere: map[string]repository{}}}
	stop := m.serve()
	m.fill()
	stop()
	must(pack(m.data, filepath.Join(here, *format+".tar.gz")))
	text, err := json.MarshalIndent(m.made, "", "\t")
	must(err)
	must(os.WriteFile(filepath.Join(here, *format+".json"), append(text, '\n'), 0o644))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type maker struct {
	berth, data, url string
	made             contents
}

var listening = regexp.MustCompile(`http://(?:localhost|127\.0\.0\.1):(\d+)`)

// serve starts the program and returns how to stop it.
func (m *maker) serve() func() {
	cmd := exec.Command(m.berth, "serve", "--dev", "--data", m.data, "--listen", "127.0.0.1:0", "--upload-expiry", "87600h", "--event-retention", "87600h")
	out, err := cmd.StdoutPipe()
	must(err)
	cmd.Stderr = cmd.Stdout
	must(cmd.Start())
	lines := bufio.NewScanner(out)
	for m.url == "" && lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			m.url = "http://127.0.0.1:" + found[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	for {
		if resp, err := http.Get(m.url + "/v2/"); err == nil {
			resp.Body.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return func() {
		must(cmd.Process.Signal(syscall.SIGTERM))
		must(cmd.Wait())
	}
}

// ask does a request at /v2/ and returns the answer's headers.
func (m *maker) ask(method, path, mediaType, body string, want int) http.Header {
	r, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	must(err)
	r.SetBasicAuth("test", "test")
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(r)
	must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(err)
	if resp.StatusCode != want {
		log.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	return resp.Header
}

// call calls an operation of the API.
func (m *maker) call(region, op string, in map[string]any) (out map[string]any) {
	body, err := json.Marshal(in)
	must(err)
	r, err := http.NewRequest(http.MethodPost, m.url+"/", bytes.NewReader(body))
	must(err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sigv4test.Key{ID: "test", Secret: "test", Region: region, Service: "ecr"}.Sign(r, string(body), time.Now())
	resp, err := http.DefaultClient.Do(r)
	must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(err)
	if resp.StatusCode != http.StatusOK {
		log.Fatalf("%s: %s %s", op, resp.Status, answer)
	}
	must(json.Unmarshal(answer, &out))
	return out
}

// command runs a command of the program and reads its JSON.
func (m *maker) command(stdin string, args ...string) (out map[string]any) {
	cmd := exec.Command(m.berth, append(args, "--data", m.data)...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), os.Stderr
	text, err := cmd.Output()
	if err != nil {
		log.Fatalf("%v: %v", args, err)
	}
	if slices.Contains(args, "--json") {
		must(json.Unmarshal(text, &out))
	}
	return out
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	layerType = "application/vnd.oci.image.layer.v1.tar"
)

func descriptor(mediaType, content string) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digestOf(content), "size": len(content)}
}

// image is a manifest over layers.
func image(layers ...string) manifest {
	const config = "{}"
	of := map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": descriptor("application/vnd.oci.image.config.v1+json", config)}
	list, all := []any{}, map[string]string{digestOf(config): config}
	for _, l := range layers {
		list = append(list, descriptor(layerType, l))
		all[digestOf(l)] = l
	}
	of["layers"] = list
	body, err := json.Marshal(of)
	must(err)
	return manifest{imageType, string(body), all}
}

func index(images ...manifest) manifest {
	list := []any{}
	for _, i := range images {
		list = append(list, descriptor(i.MediaType, i.Body))
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": list})
	must(err)
	return manifest{MediaType: indexType, Body: string(body)}
}

func (m *maker) layer(repo, content string) {
	m.ask("POST", "/v2/"+repo+"/blobs/uploads/?digest="+digestOf(content), "application/octet-stream", content, http.StatusCreated)
}

// push stores an image, and notes it.
func (m *maker) push(repo, tag string, of manifest) string {
	for _, d := range slices.Sorted(maps.Keys(of.Layers)) {
		m.layer(repo, of.Layers[d])
	}
	d := digestOf(of.Body)
	ref := d
	if tag != "" {
		ref = tag
	}
	m.ask("PUT", "/v2/"+repo+"/manifests/"+ref, of.MediaType, of.Body, http.StatusCreated)
	note(m.made.Repositories, repo, tag, of)
	return d
}

func note(all map[string]repository, repo, tag string, of manifest) {
	r, ok := all[repo]
	if !ok {
		r = repository{Tags: map[string]string{}, Manifests: map[string]manifest{}}
	}
	r.Manifests[digestOf(of.Body)] = of
	if tag != "" {
		r.Tags[tag] = digestOf(of.Body)
	}
	all[repo] = r
}

const (
	lifecycle = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1000},"action":{"type":"expire"}}]}`
	policy    = `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
)

func (m *maker) fill() {
	one, two := image("base", "one"), image("base", "two", "two") // a layer that is named twice
	m.push("team/app", "1", one)
	m.push("team/app", "2", two)
	m.push("team/app", "latest", index(one, two))
	m.push("team/app", "", image("base", "without a tag"))
	old := m.push("team/app", "old", image("base", "of an archived image"))
	m.push("other/app", "1", image("base", "other"))
	m.layer("other/app", "of no image")
	m.push("gone/app", "1", image("base", "gone"))
	delete(m.made.Repositories, "gone/app")
	m.call("us-east-1", "DeleteRepository", map[string]any{"repositoryName": "gone/app", "force": true})
	m.settings(old)
	m.elsewhere()
	m.identities()
	location := m.ask("POST", "/v2/team/app/blobs/uploads/", "", "", http.StatusAccepted).Get("Location")
	m.made.Sent = "the first part"
	location = m.ask("PATCH", path(location), "application/octet-stream", m.made.Sent, http.StatusAccepted).Get("Location")
	m.made.Upload = path(location)
}

// path is that of a location.
func path(location string) string {
	if _, rest, ok := strings.Cut(location, "/v2/"); ok {
		return "/v2/" + rest
	}
	return location
}

func (m *maker) settings(old string) {
	app := map[string]any{"repositoryName": "team/app"}
	with := func(key string, v any) map[string]any {
		in := maps.Clone(app)
		in[key] = v
		return in
	}
	m.call("us-east-1", "PutLifecyclePolicy", with("lifecyclePolicyText", lifecycle))
	m.call("us-east-1", "SetRepositoryPolicy", with("policyText", policy))
	archive := with("targetStorageClass", "ARCHIVE")
	archive["imageId"] = map[string]any{"imageDigest": old}
	m.call("us-east-1", "UpdateImageStorageClass", archive)
	r := m.made.Repositories["team/app"]
	r.Archived, r.Lifecycle, r.Policy = []string{old}, lifecycle, policy
	m.made.Repositories["team/app"] = r
}

// elsewhere fills a repository of another region, which has the same bytes.
func (m *maker) elsewhere() {
	const region, repo = "eu-west-1", "team/app"
	m.call(region, "CreateRepository", map[string]any{"repositoryName": repo})
	img := image("base", "elsewhere")
	for _, d := range slices.Sorted(maps.Keys(img.Layers)) {
		content := img.Layers[d]
		id := m.call(region, "InitiateLayerUpload", map[string]any{"repositoryName": repo})["uploadId"]
		m.call(region, "UploadLayerPart", map[string]any{
			"repositoryName": repo, "uploadId": id, "partFirstByte": 0, "partLastByte": len(content) - 1,
			"layerPartBlob": base64.StdEncoding.EncodeToString([]byte(content)),
		})
		m.call(region, "CompleteLayerUpload", map[string]any{"repositoryName": repo, "uploadId": id, "layerDigests": []string{d}})
	}
	m.call(region, "PutImage", map[string]any{"repositoryName": repo, "imageManifest": img.Body, "imageTag": "1"})
	note(m.made.Elsewhere, repo, "1", img)
}

func (m *maker) identities() {
	m.made.User, m.made.Password = "ada", "correct horse battery staple"
	m.command(m.made.Password+"\n", "user", "create", m.made.User, "--password-stdin")
	m.command(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, "policy", "create", "everything", "-")
	m.command("", "user", "attach", m.made.User, "everything")
	key := m.command("", "key", "create", "--user", m.made.User, "--json")
	m.made.KeyID, m.made.Secret = key["AccessKeyId"].(string), key["SecretAccessKey"].(string)
	robot := m.command("", "robot", "create", "--user", m.made.User, "--repository", "team/*", "--action", "pull", "--json")
	m.made.RobotID, m.made.RobotSecret = robot["RobotKeyId"].(string), robot["Secret"].(string)
}

// pack puts what a stopped server leaves into an archive.
func pack(dir, to string) error {
	var buf bytes.Buffer
	zip, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	must(err)
	out := tar.NewWriter(zip)
	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		switch top, _, _ := strings.Cut(rel, "/"); {
		case err != nil:
			return err
		case top == "tmp" || top == "lock" || top == "audit":
			return nil
		case e.IsDir():
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o600, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = out.Write(content)
		return err
	})
	must(err)
	must(out.Close())
	must(zip.Close())
	fmt.Printf("%s: %d bytes\n", to, buf.Len())
	return os.WriteFile(to, buf.Bytes(), 0o644)
}
