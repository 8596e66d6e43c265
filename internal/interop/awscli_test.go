package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// The whole life of an image by the AWS CLI and crane, in a shell that has
// evaluated `berth env` and nothing else.
func TestAWSCLICrane(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	image := dockerImage(t, 50)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	sh.Script(`eval "$(berth env)"; aws ecr get-login-password | crane auth login -u AWS --password-stdin ` + s.Host)
	sh.Run("crane", "push", layout, s.Host+"/team/app:1.0")

	var described struct {
		ImageDetails []struct {
			ImageDigest string
			ImageTags   []string
		}
	}
	awsJSON(t, sh, &described, "describe-images", "--repository-name", "team/app", "--image-ids", "imageTag=1.0")
	if d := described.ImageDetails[0]; d.ImageDigest != image.Digest().String() || d.ImageTags[0] != "1.0" {
		t.Errorf("describe-images: %+v, want %s", d, image.Digest())
	}
	var got struct {
		Images []struct{ ImageManifest string }
	}
	awsJSON(t, sh, &got, "batch-get-image", "--repository-name", "team/app", "--image-ids", "imageDigest="+image.Digest().String())
	if got.Images[0].ImageManifest != string(image.Manifest) {
		t.Errorf("batch-get-image: %s, want %s", got.Images[0].ImageManifest, image.Manifest)
	}
	var link struct{ DownloadUrl string }
	layer := image.Layers[1]
	awsJSON(t, sh, &link, "get-download-url-for-layer", "--repository-name", "team/app", "--layer-digest", layer.Digest().String())
	if status, part := fetch(t, link.DownloadUrl, "bytes=-50"); status != 206 || string(part) != string(layer.Gzip[len(layer.Gzip)-50:]) {
		t.Errorf("the last 50 bytes by the layer's link: %d and %d bytes", status, len(part))
	}

	awsECR(sh, "batch-delete-image", "--repository-name", "team/app", "--image-ids", "imageTag=1.0")
	if said := sh.Refused("crane", "pull", s.Host+"/team/app:1.0", filepath.Join(sh.Home(), "gone.tar")); !strings.Contains(said, "MANIFEST_UNKNOWN") {
		t.Errorf("crane pull after batch-delete-image said:\n%s", said)
	}
	if said := sh.Refused("bash", awsInShell("describe-images", "--repository-name", "absent")...); !strings.Contains(said, "RepositoryNotFoundException") {
		t.Errorf("aws ecr describe-images of a missing repository said:\n%s", said)
	}
	awsECR(sh, "delete-repository", "--repository-name", "team/app")
}

// An image goes in by the AWS CLI alone, gets a second tag in the way that
// Amazon's guide has it, and comes out layer by layer.
func TestAWSCLIPush(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	image := harness.NewImage(t, harness.DockerManifest, 51, 1, 64<<10)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	for _, blob := range image.Blobs() {
		awsPushLayer(t, sh, blob)
	}
	makeFile(t, filepath.Join(sh.Home(), "manifest.json"), string(image.Manifest))
	put := []string{"put-image", "--repository-name", "team/app", "--image-manifest", "file://" + sh.Home() + "/manifest.json", "--image-tag"}
	awsECR(sh, append(put, "1.0")...)
	awsECR(sh, append(put, "latest")...)

	got := awsECR(sh, "list-images", "--repository-name", "team/app", "--query", "sort(imageIds[].imageTag)", "--output", "text")
	if strings.Join(strings.Fields(got), " ") != "1.0 latest" {
		t.Errorf("list-images: %q", got)
	}
	var link struct{ DownloadUrl string }
	awsJSON(t, sh, &link, "get-download-url-for-layer", "--repository-name", "team/app", "--layer-digest", image.Layers[0].Digest().String())
	if _, got := fetch(t, link.DownloadUrl, ""); string(got) != string(image.Layers[0].Gzip) {
		t.Errorf("a layer came back as %d other bytes", len(got))
	}
}

// awsPushLayer pushes a layer of one part to team/app.
func awsPushLayer(t *testing.T, sh *harness.Shell, content []byte) {
	t.Helper()
	var begun struct{ UploadID string }
	awsJSON(t, sh, &begun, "initiate-layer-upload", "--repository-name", "team/app")
	part := filepath.Join(t.TempDir(), "part")
	makeFile(t, part, string(content))
	upload := []string{"--repository-name", "team/app", "--upload-id", begun.UploadID}
	awsECR(sh, slices.Concat([]string{"upload-layer-part"}, upload, []string{
		"--part-first-byte", "0", "--part-last-byte", fmt.Sprint(len(content) - 1), "--layer-part-blob", "fileb://" + part})...)
	awsECR(sh, slices.Concat([]string{"complete-layer-upload"}, upload, []string{"--layer-digests", digestOfBytes(content)})...)
}

// The CLI follows nextToken by itself, in pages of any size.
func TestAWSCLIPages(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	for _, name := range []string{"page/a", "page/b", "page/c"} {
		awsECR(sh, "create-repository", "--repository-name", name)
	}
	got := awsECR(sh, "describe-repositories", "--page-size", "1", "--output", "text", "--query", "repositories[].repositoryName")
	if strings.Join(strings.Fields(got), " ") != "page/a page/b page/c" {
		t.Errorf("describe-repositories one at a time: %q", got)
	}
}

// Version 1 of the CLI has the log-in of the first years, which prints a
// docker command to run as it stands; version 2 has dropped it.
func TestAWSCLIDockerGetLogin(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	sh.UseDocker()
	if strings.Contains(sh.Run("aws", "--version"), "aws-cli/2") {
		if said := sh.Refused("bash", awsInShell("get-login")...); !strings.Contains(said, "get-login") {
			t.Errorf("aws ecr get-login said:\n%s", said)
		}
		return
	}
	if said := sh.Script(`eval "$(berth env)"; $(aws ecr get-login --no-include-email)`); !strings.Contains(said, "Login Succeeded") {
		t.Errorf("the command that get-login printed said:\n%s", said)
	}
	s.CreateKey(t, "123456789012")
	commands := lines(awsECR(sh, "get-login", "--no-include-email", "--registry-ids", "000000000000", "123456789012"))
	for i, account := range []string{"000000000000", "123456789012"} {
		words := strings.Fields(commands[i])
		want := "https://" + account + ".dkr.ecr.us-east-1.amazonaws.com"
		if len(words) != 7 || words[6] != want {
			t.Fatalf("get-login for registry %s ends in %q, want %q", account, words[len(words)-1], want)
		}
		sh.Run("docker", "login", "-u", words[3], "-p", words[5], s.Host)
	}
}

// An aws that knows no AWS_ENDPOINT_URL would take a script to Amazon; in a
// shell that has evaluated `berth env` it is called with the endpoint.
func TestEnvForOldAWS(t *testing.T) {
	tests := []struct {
		version string
		wrapped bool
	}{
		{"aws-cli/2.9.19 Python/3.11.2 Linux/6.1.0-18-amd64 source/x86_64.debian.12 prompt/off", true},
		{"aws-cli/2.12.7 Python/3.11.4 Linux/6.1.0 exe/x86_64.ubuntu.22 prompt/off", true},
		{"aws-cli/2.13.0 Python/3.11.4 Linux/6.1.0 exe/x86_64.ubuntu.22 prompt/off", false},
		{"aws-cli/1.28.1 Python/3.11.2 Linux/6.1.0 botocore/1.31.1", true},
		{"aws-cli/1.29.0 Python/3.11.2 Linux/6.1.0 botocore/1.31.2", false},
		{"aws-cli/1.9.0 Python/2.7.6 Linux/3.13.0 botocore/1.3.0", true},
	}
	s := harness.Start(t)
	for _, tt := range tests {
		t.Run(strings.Fields(tt.version)[0], func(t *testing.T) {
			sh := s.Shell(t)
			fakeAWS(t, sh, tt.version)
			for _, shell := range []string{"bash", "sh"} {
				got := sh.Run(shell, "-euc", `eval "$(berth env)"; aws ecr describe-repositories --max-items 1`)
				if want := "ecr describe-repositories --max-items 1"; !strings.Contains(got, want) {
					t.Errorf("%s: aws was called with %q, want %q in it", shell, got, want)
				}
				if wrapped := strings.Contains(got, "--endpoint-url http://"+s.Host); wrapped != tt.wrapped {
					t.Errorf("%s: aws was called with %q; want the endpoint there: %v", shell, got, tt.wrapped)
				}
			}
		})
	}
}

// fakeAWS puts an aws first on the PATH of sh that says its version, or else
// the arguments that it was given.
func fakeAWS(t *testing.T, sh *harness.Shell, version string) {
	t.Helper()
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '" + version + "'; else echo \"$@\"; fi\n"
	path := filepath.Join(sh.Home(), "bin", "aws")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// awsECR runs an ECR command of the CLI.
func awsECR(sh *harness.Shell, args ...string) string {
	return sh.Run("bash", awsInShell(args...)...)
}

// awsInShell are bash's arguments to run an ECR command of the CLI as a person
// would. An old CLI needs the function that `berth env` defines, so the
// variables alone would not do; what it printed is kept for the commands after.
func awsInShell(args ...string) []string {
	const inShell = `test -f ~/env || berth env >~/env; . ~/env; aws ecr "$@"`
	return append([]string{"-euc", inShell, "bash"}, args...)
}

// awsJSON runs an ECR command of the CLI and decodes what it prints.
func awsJSON(t *testing.T, sh *harness.Shell, into any, args ...string) {
	t.Helper()
	out := awsECR(sh, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("aws ecr %s printed\n%s: %v", args[0], out, err)
	}
}
