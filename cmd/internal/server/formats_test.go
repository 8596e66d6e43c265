package server_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

// oldFolder is what testdata/formats/make.go says of the folder that it made.
type oldFolder struct {
	User, Password, KeyID, Secret string
	RobotID, RobotSecret          string
	Upload, Sent                  string
	Repositories, Elsewhere       map[string]oldRepository
}

type oldRepository struct {
	Tags      map[string]string
	Manifests map[string]struct {
		MediaType, Body string
		Layers          map[string]string
	}
	Archived          []string
	Lifecycle, Policy string
}

// logical is what docs/sizes.md calls so.
func (r oldRepository) logical() (bytes int64) {
	for _, m := range r.Manifests {
		bytes += int64(len(m.Body))
		for _, content := range m.Layers {
			bytes += int64(len(content))
		}
	}
	return bytes
}

// unpackFormat puts the folder of a format where inFolder looks for it.
func unpackFormat(t testing.TB, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "data", filepath.FromSlash(h.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// opened is a server over a folder of some format.
type opened struct {
	*house
	old oldFolder
}

func (o opened) fetch(user, password, path string) response {
	o.t.Helper()
	r, err := http.NewRequest(http.MethodGet, o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	return o.do(r)
}

// operation calls the JSON API with the key of the folder's user.
func (o opened) operation(region, op string, in members) response {
	o.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, o.url+"/", strings.NewReader(string(body)))
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sigv4test.Key{ID: o.old.KeyID, Secret: o.old.Secret, Region: region, Service: "ecr"}.Sign(r, string(body), time.Now())
	return o.do(r)
}

// TestEachFormatOpens opens a folder of each format that there has been: all that was
// put in is there, whoever could log in can, and it is of today's format then.
func TestEachFormatOpens(t *testing.T) {
	for format := 1; format <= datadir.Format; format++ {
		number := strconv.Itoa(format)
		t.Run(number, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("testdata", "formats", number+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var old oldFolder
			if err := json.Unmarshal(text, &old); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			unpackFormat(t, filepath.Join("testdata", "formats", number+".tar.gz"), dir)
			for range 2 { // the second time it is of today's
				o := opened{inFolder(t, dir, "upload-expiry", "1000000h"), old}
				o.readsAll()
				o.countsAll()
				if err := o.stop(); err != nil {
					t.Error(err)
				}
				now, err := os.ReadFile(filepath.Join(dir, "data", "format"))
				if number, _, _ := strings.Cut(string(now), "\n"); err != nil || number != strconv.Itoa(datadir.Format) {
					t.Errorf("the folder's format is %q, %v", now, err)
				}
			}
			o := opened{inFolder(t, dir, "upload-expiry", "1000000h"), old}
			o.goesOnWithUpload()
			o.hasNoFaults()
		})
	}
}

func (o opened) readsAll() {
	o.t.Helper()
	for repo, of := range o.old.Repositories {
		for d, m := range of.Manifests {
			want := http.StatusOK
			if slices.Contains(of.Archived, d) {
				want = http.StatusNotFound
			}
			if r := o.fetch(o.old.User, o.old.Password, "/v2/"+repo+"/manifests/"+d); r.status != want || want == http.StatusOK && r.body != m.Body {
				o.t.Errorf("manifest %s of %s: %d %s", d, repo, r.status, r.body)
			}
			o.readsLayers(repo, m.Layers, want)
		}
		for tag, d := range of.Tags {
			r := o.fetch(o.old.KeyID, o.old.Secret, "/v2/"+repo+"/manifests/"+tag)
			if got := r.header.Get("Docker-Content-Digest"); got != d && !slices.Contains(of.Archived, d) {
				o.t.Errorf("tag %s of %s names %q, %d, want %s", tag, repo, got, r.status, d)
			}
		}
		o.hasSettings(repo, of)
	}
	for repo, of := range o.old.Elsewhere {
		for tag, d := range of.Tags {
			if r := o.operation("eu-west-1", "DescribeImages", members{"repositoryName": repo, "imageIds": []members{{"imageTag": tag}}}); !strings.Contains(r.body, d) {
				o.t.Errorf("image %s of %s elsewhere: %d %s", tag, repo, r.status, r.body)
			}
		}
	}
	if r := o.fetch(o.old.RobotID, o.old.RobotSecret, "/v2/team/app/tags/list"); r.status != http.StatusOK {
		o.t.Errorf("a robot key reads %d %s", r.status, r.body)
	}
	if r := o.fetch(o.old.RobotID, o.old.RobotSecret, "/v2/other/app/tags/list"); r.status < 400 {
		o.t.Errorf("a robot key reads beyond its scope: %d %s", r.status, r.body)
	}
}

// readsLayers reads those that an image alone may have where it is archived, as others.
func (o opened) readsLayers(repo string, layers map[string]string, want int) {
	o.t.Helper()
	for d, content := range layers {
		r := o.fetch(o.old.User, o.old.Password, "/v2/"+repo+"/blobs/"+d)
		if r.status == http.StatusOK && r.body == content || r.status == want && want != http.StatusOK {
			continue
		}
		o.t.Errorf("layer %s of %s: %d %s", d, repo, r.status, r.body)
	}
}

func (o opened) hasSettings(repo string, of oldRepository) {
	o.t.Helper()
	for op, want := range map[string]string{"GetLifecyclePolicy": of.Lifecycle, "GetRepositoryPolicy": of.Policy} {
		r := o.operation("us-east-1", op, members{"repositoryName": repo})
		if (want == "") != (r.status == http.StatusBadRequest) {
			o.t.Errorf("%s of %s: %d %s", op, repo, r.status, r.body)
		}
	}
}

// countsAll holds the sizes of repositories against what was put in.
func (o opened) countsAll() {
	o.t.Helper()
	for region, repos := range map[string]map[string]oldRepository{"us-east-1": o.old.Repositories, "eu-west-1": o.old.Elsewhere} {
		got, err := admin.ListRepositoriesUsed.Ask(context.Background(), o.Server, admin.UsageQuestion{Region: region})
		if err != nil {
			o.t.Fatal(err)
		}
		want, logical := map[string]int64{}, map[string]int64{}
		for repo, of := range repos {
			want[repo] = of.logical()
		}
		for _, r := range got.Repositories {
			logical[r.Repository] = r.Logical
		}
		if diff := cmp.Diff(want, logical); diff != "" {
			o.t.Errorf("logical bytes of repositories in %s (-want +got):\n%s", region, diff)
		}
	}
	o.hasNoFaults()
}

func (o opened) hasNoFaults() {
	o.t.Helper()
	faults, err := o.Faults(context.Background())
	if err != nil || faults != nil {
		o.t.Errorf("faults %q, %v", faults, err)
	}
}

// goesOnWithUpload finishes what was half done.
func (o opened) goesOnWithUpload() {
	o.t.Helper()
	const rest = " and the second"
	sum := sha256.Sum256([]byte(o.old.Sent + rest))
	r, err := http.NewRequest(http.MethodPut, o.url+o.old.Upload+"?digest=sha256:"+hex.EncodeToString(sum[:]), strings.NewReader(rest))
	if err != nil {
		o.t.Fatal(err)
	}
	r.SetBasicAuth("test", "test") // who began it
	if got := o.do(r); got.status != http.StatusCreated {
		o.t.Errorf("the upload ends with %d %s", got.status, got.body)
	}
}
