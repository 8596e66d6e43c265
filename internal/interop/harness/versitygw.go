package harness

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The key of an S3 service's owner.
const (
	BucketKey    = "bucketowner"
	BucketSecret = "a secret of the bucket's"
)

// StartVersitygw starts a service that speaks S3's protocol, with a bucket that lies in
// a folder, and returns its URL. It ends with the test.
func StartVersitygw(t testing.TB, bucket string) (url string) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	sh := &Shell{t: t, env: append(bareEnviron(), "PATH="+os.Getenv("PATH"))}
	cmd := exec.Command(sh.find("versitygw"), "--port", at, "--quiet", "posix", "--sidecar", t.TempDir(), root)
	cmd.Env = append(bareEnviron(), "ROOT_ACCESS_KEY="+BucketKey, "ROOT_SECRET_KEY="+BucketSecret)
	proc, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proc.cmd.Process.Kill()
		<-proc.done
		if t.Failed() {
			t.Logf("versitygw printed at last:\n%s", tail(proc.out.String(), 20))
		}
	})
	awaitAnswer(t, "http://"+at, proc)
	return "http://" + at
}

// awaitAnswer waits until a process answers at a URL, whatever it says.
func awaitAnswer(t testing.TB, url string, proc *process) {
	t.Helper()
	late := time.After(startTimeout)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-proc.done:
			t.Fatalf("%s ended:\n%s", proc.cmd.Path, proc.out)
		case <-late:
			t.Fatalf("%s does not answer:\n%s", proc.cmd.Path, proc.out)
		}
	}
}
