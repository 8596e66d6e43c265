package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// An image goes into the archive by the AWS CLI, where crane cannot pull it, and
// comes back by the CLI after a while, or by crane's push at once.
func TestAWSCLICraneArchive(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t, "--restore-time", "1s")
	sh := s.Shell(t)
	image := ociImage(t, 60)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	app := s.Host + "/team/app:1.0"
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	logIn(t, s, sh, "crane", "auth", "login")
	sh.Run("crane", "push", layout, app)
	move := func(class string) string {
		return awsECR(sh, "update-image-storage-class", "--repository-name", "team/app", "--image-id", "imageTag=1.0",
			"--target-storage-class", class, "--query", "imageStatus", "--output", "text")
	}
	status := func() string {
		return awsECR(sh, "describe-images", "--repository-name", "team/app", "--image-ids", "imageTag=1.0",
			"--query", "imageDetails[].imageStatus", "--output", "text")
	}
	archive := func() {
		t.Helper()
		if got := move("ARCHIVE"); got != "ARCHIVED" {
			t.Errorf("in the archive it is %s", got)
		}
		if said := sh.Refused("crane", "pull", app, filepath.Join(sh.Home(), "archived.tar")); !strings.Contains(said, "MANIFEST_UNKNOWN") {
			t.Errorf("crane pull of an archived image said:\n%s", said)
		}
		if got := lines(awsECR(sh, "list-images", "--repository-name", "team/app", "--query", "length(imageIds)")); !slices.Equal(got, []string{"0"}) {
			t.Errorf("list-images lists %q of an archived image", got)
		}
	}

	archive()
	if got := awsECR(sh, "list-images", "--repository-name", "team/app", "--filter", "imageStatus=ARCHIVED",
		"--query", "imageIds[].imageTag", "--output", "text"); got != "1.0" {
		t.Errorf("list-images of the archive: %q", got)
	}
	if said := sh.Refused("bash", awsInShell("update-image-storage-class", "--repository-name", "team/app", "--image-id", "imageTag=1.0",
		"--target-storage-class", "ARCHIVE")...); !strings.Contains(said, "ImageStorageClassUpdateNotSupportedException") {
		t.Errorf("archived twice, the CLI said:\n%s", said)
	}
	if got := move("STANDARD"); got != "ACTIVATING" {
		t.Errorf("on its way back it is %s", got)
	}
	for end := time.Now().Add(time.Minute); status() != "ACTIVE"; {
		if time.Now().After(end) {
			t.Fatal("a minute after it was asked for it is not back")
		}
	}
	sh.Run("crane", "pull", app, filepath.Join(sh.Home(), "back.tar"))

	archive()
	sh.Run("crane", "push", layout, app)
	if got := status(); got != "ACTIVE" {
		t.Errorf("after a push it is %s", got)
	}
	sh.Run("crane", "pull", app, filepath.Join(sh.Home(), "again.tar"))
}

// A server that stops has written what was pulled.
func TestAWSCLICranePullTimes(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t, "--pull-time-flush", "1h")
	sh := s.Shell(t)
	image := ociImage(t, 61)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	logIn(t, s, sh, "crane", "auth", "login")
	sh.Run("crane", "push", layout, s.Host+"/team/app:1.0")
	pulled := func() string {
		return awsECR(sh, "describe-images", "--repository-name", "team/app", "--query", "imageDetails[].lastRecordedPullTime", "--output", "text")
	}
	restart := func() {
		s.Stop()
		s.Launch()
	}
	sh.Run("crane", "pull", s.Host+"/team/app:1.0", filepath.Join(sh.Home(), "one.tar"))
	restart()
	first := pulled()
	if first == "" || first == "None" {
		t.Fatal("nothing says that it was pulled")
	}
	role := "arn:aws:iam::000000000000:role/ci"
	awsECR(sh, "register-pull-time-update-exclusion", "--principal-arn", role)
	if got := awsECR(sh, "list-pull-time-update-exclusions", "--query", "pullTimeUpdateExclusions", "--output", "text"); got != role {
		t.Errorf("excluded are %q", got)
	}
	awsECR(sh, "deregister-pull-time-update-exclusion", "--principal-arn", role)
	sh.Run("crane", "pull", s.Host+"/team/app:1.0", filepath.Join(sh.Home(), "two.tar"))
	restart()
	if got := pulled(); got == first {
		t.Errorf("pulled again it still says %s", got)
	}
}
