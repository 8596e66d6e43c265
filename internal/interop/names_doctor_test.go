package interop_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// finding is what `berth doctor --json` says.
type finding struct{ Check, Status, Found, Mend string }

// diagnosis is what the doctor says in the end of some lines of shell.
func diagnosis(t *testing.T, said string) map[string]finding {
	t.Helper()
	var all []finding
	if err := json.Unmarshal([]byte(said), &all); err != nil {
		t.Fatalf("berth doctor: %v in\n%s", err, said)
	}
	by := map[string]finding{}
	for _, f := range all {
		by[f.Check] = f
	}
	return by
}

// What the doctor says to mend a client is done word for word. Then the doctor
// has nothing more to say, and the client works.
func TestNamesDoctorSkopeoPodmanContainerd(t *testing.T) {
	for _, host := range []string{"http://" + harness.Example + ":5000", "https://" + harness.Example} {
		t.Run(host, func(t *testing.T) {
			_, sh, image := trustShell(t)
			ask := "berth doctor --json " + host
			before := diagnosis(t, sh.Script(ask))
			var lines strings.Builder
			clients := []string{"client.skopeo", "client.podman", "client.containerd"}
			for _, c := range clients {
				f := before[c]
				if f.Status != "warn" || f.Mend == "" {
					t.Errorf("%s before: %+v", c, f)
				}
				lines.WriteString(f.Mend + " >&2\n")
			}
			_, name, _ := strings.Cut(host, "://")
			lines.WriteString(`skopeo inspect --creds "AWS:$PASSWORD" --format '{{.Digest}}' docker://` + name + "/team/app:1.0\n")
			digest, said, _ := strings.Cut(inOwnEtc(sh, lines.String()+ask), "\n")
			if want := image.Digest().String(); digest != want {
				t.Errorf("skopeo inspect: %s, want %s", digest, want)
			}
			after := diagnosis(t, said)
			for _, c := range clients {
				if after[c].Status != "ok" {
					t.Errorf("%s after %q: %+v", c, before[c].Mend, after[c])
				}
			}
		})
	}
}

// The daemon is asked what it takes for insecure, and the names that lead here
// are known to lead here.
func TestNamesDoctorDocker(t *testing.T) {
	s := harness.StartTLS(t)
	sh := s.SecureShell(t, s.CreateKey(t, harness.Account))
	sh.UseDocker()
	got := diagnosis(t, sh.Script("berth doctor --json http://localhost:5000"))
	for _, check := range []string{"server", "name.request", "name.hostname", "name.path", "name.aws", "client.docker"} {
		if got[check].Status != "ok" {
			t.Errorf("%+v", got[check])
		}
	}
	if docker := got["client.docker"].Found; strings.Contains(docker, "does not answer") || !strings.Contains(docker, ownName+":5000") {
		t.Errorf("client.docker: %s", docker)
	}
	fails := slices.DeleteFunc([]string{"server", "port", "tls", "clock"}, func(c string) bool { return got[c].Status != "fail" })
	if len(fails) > 0 {
		t.Errorf("these fail: %q", fails)
	}
}
