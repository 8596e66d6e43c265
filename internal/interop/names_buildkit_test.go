package interop_test

import (
	"path/filepath"
	"testing"
)

// BuildKit pushes an image by each name, and builds from it.
func TestNamesBuildKit(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		if !p.plain() {
			p.server.TrustForBuildKit(t, p.sh)
		}
		p.logIn("crane", "auth", "login") // buildctl reads what docker and crane keep
		build(p.sh, buildContext(t, "FROM scratch\nCOPY greeting /greeting\n"), "--output", pushTo(p.uri+":1.0"))
		p.sh.Buildctl("prune", "--all")
		out := t.TempDir()
		build(p.sh, buildContext(t, "FROM "+p.uri+":1.0\n"), "--output", "type=local,dest="+out)
		sameFile(t, filepath.Join(out, "greeting"), "hello\n")
	})
}
