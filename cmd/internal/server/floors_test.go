package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-78150930/berth"

// floors say how high each package stands. A package imports from floors below
// its own; sideways only as noted there; never up. A package that is not here
// has not been thought about, and fails the test.
var floors = map[string]floor{
	// Words: pure, no state, no disk, no network.
	"registry/digest":    {level: 0},
	"registry/manifest":  {level: 0, sideways: []string{"registry/digest"}},
	"registry/endpoint":  {level: 0},
	"registry/pattern":   {level: 0},
	"registry/scan":      {level: 0, sideways: []string{"registry/digest", "registry/pattern"}},
	"registry/lifecycle": {level: 0, sideways: []string{"registry/digest", "registry/pattern", "jsondoc"}},
	"jsondoc":            {level: 0},
	"auth/policy":        {level: 0, sideways: []string{"jsondoc"}},
	"auth/sigv4":         {level: 0},
	"auth/token":         {level: 0},
	"ecrapi/shape":       {level: 0},
	"storage/failpoint":  {level: 0},

	// Contracts.
	"storage":       {level: 1},
	"storage/disk":  {level: 1},
	"storage/table": {level: 1, sideways: []string{"storage"}},

	// Keepers.
	"storage/boltindex":    {level: 2},
	"storage/fsblob":       {level: 2},
	"storage/memory":       {level: 2},
	"storage/gate":         {level: 2},
	"storage/clock":        {level: 2},
	"storage/journal":      {level: 2, sideways: []string{"storage/boltindex"}}, // in tests: a backend
	"storage/storagetest":  {level: 2},
	"storage/backup":       {level: 2, sideways: []string{"storage/journal"}},
	"auth":                 {level: 2},
	"auth/accounts":        {level: 2, sideways: []string{"auth"}},
	"auth/oidc":            {level: 2, sideways: []string{"registry/remote"}},
	"auth/throttle":        {level: 2},
	"auth/audit":           {level: 2, sideways: []string{"auth"}},
	"registry/remote":      {level: 2},
	"registry/scan/vulndb": {level: 2},
	"registry/events":      {level: 4},

	// Domain.
	"registry":         {level: 3},
	"auth/credentials": {level: 3},
	"auth/access":      {level: 3},
	"registry/peer":    {level: 3},

	// What doors share.
	"ecrapi/wording": {level: 4},

	// Workers.
	"registry/jobs":         {level: 4},
	"registry/scan/inspect": {level: 4},
	"registry/replicate":    {level: 4},
	"registry/heal":         {level: 4},
	"registry/sign":         {level: 4},
	"registry/mirror":       {level: 4},
	"registry/transfer":     {level: 4},

	"registry/scan/queue": {level: 4},

	// Doors.
	"registry/ociapi": {level: 5},
	"ecrapi":          {level: 5},
	"auth/stsapi":     {level: 5},

	// The house, each after those before it.
	"cmd/internal/config":      {level: 6},
	"cmd/internal/privatefile": {level: 6},
	"cmd/internal/datadir":     {level: 6, sideways: []string{"cmd/internal/privatefile"}},
	"cmd/internal/admin":       {level: 6},
	"cmd/internal/volume":      {level: 6},
	"cmd/internal/shell":       {level: 6},
	"cmd/internal/bucket":      {level: 6},
	"cmd/internal/keybox":      {level: 6},
	"cmd/internal/backups": {level: 6, sideways: []string{
		"cmd/internal/admin", "cmd/internal/datadir", "cmd/internal/keybox", "cmd/internal/privatefile", "cmd/internal/server",
	}},
	"cmd/internal/certs": {level: 6, sideways: []string{"cmd/internal/privatefile"}},

	// Of logging in.
	"cmd/internal/dockerconfig": {level: 6, sideways: []string{"cmd/internal/privatefile"}},
	"cmd/internal/logins":       {level: 6, sideways: []string{"cmd/internal/privatefile"}},
	"cmd/internal/ecrlogin":     {level: 6},
	"cmd/internal/kubelet":      {level: 6},

	"cmd/internal/bench": {level: 6, sideways: []string{"cmd/internal/ecrlogin", "cmd/internal/bench/least"}}, // the last in tests: something to measure
	"cmd/internal/doctor": {level: 6, sideways: []string{
		"cmd/internal/admin", "cmd/internal/shell", "cmd/internal/datadir", "cmd/internal/volume",
	}},

	"cmd/internal/server": {level: 6, sideways: []string{
		"cmd/internal/volume",
		"cmd/internal/config", "cmd/internal/datadir", "cmd/internal/admin", "cmd/internal/shell", "cmd/internal/certs",
	}},
	"cmd/berth": {level: 6, sideways: []string{
		"cmd/internal/config", "cmd/internal/datadir", "cmd/internal/admin", "cmd/internal/shell", "cmd/internal/certs", "cmd/internal/server",
		"cmd/internal/dockerconfig", "cmd/internal/logins", "cmd/internal/ecrlogin", "cmd/internal/kubelet",
		"cmd/internal/doctor", "cmd/internal/bench", "cmd/internal/backups", "cmd/internal/bucket", "cmd/internal/keybox",
	}},

	// Beside the house: what no program links.
	"cmd/internal/bench/least": {level: 5}, // a yardstick
	"cmd/internal/bench/peers": {level: 6, aside: true, sideways: []string{ // starts servers and holds them against each other
		"cmd/internal/admin", "cmd/internal/bench", "cmd/internal/ecrlogin",
	}},
	"auth/sigv4/sigv4test":       {level: 1, aside: true},                                             // signs requests for tests
	"registry/peer/peertest":     {level: 1, aside: true},                                             // another's registry
	"registry/remote/remotetest": {level: 1, aside: true},                                             // a name server
	"registry/scan/scantest":     {level: 2, aside: true, sideways: []string{"registry/scan/vulndb"}}, // records of vulnerabilities, and images that have some
	"ecrapi/internal/gen":        {level: 1, aside: true},                                             // writes ecrapi/shape
	"internal/history":           {level: 6, aside: true},                                             // tests both doors beside a model
	"internal/figures":           {level: 6, aside: true},                                             // writes docs/figures.md
	"ecrapi/internal/parity":     {level: 6, aside: true},                                             // writes docs/ecr-parity.md
}

type floor struct {
	level    int
	sideways []string
	aside    bool // imported by tests alone
}

// backends are the packages that only the house names, beside tests.
var backends = []string{"storage/boltindex", "storage/fsblob", "storage/memory"}

const assembler = "cmd/internal/server"

// anywhere are the packages that every test may import, whatever its floor.
var anywhere = []string{"storage/memory", "storage/storagetest", "auth/sigv4/sigv4test", "registry/peer/peertest", "registry/remote/remotetest", "registry/scan/scantest"}

// outsiders say which packages may import from a module, in programs and in
// tests. A path is that of a package of the module or of a folder of them. Not
// here means nowhere: docs/dependencies.md is where to argue.
var outsiders = map[string]users{
	"go.etcd.io/bbolt": {code: []string{"storage/boltindex", "registry/scan/vulndb"}},
	"github.com/distribution/distribution/v3/registry/api/errcode": {code: []string{"registry/ociapi"}},
	"github.com/distribution/distribution/v3/registry/api/v2":      {tests: []string{"registry/ociapi"}},
	"github.com/distribution/distribution/v3/configuration":        {code: []string{"registry/peer/peertest"}},
	"github.com/distribution/distribution/v3/registry/handlers":    {code: []string{"registry/peer/peertest"}},
	"github.com/distribution/distribution/v3/registry/storage/driver": {
		code: []string{"registry/peer/peertest"},
	},
	"github.com/distribution/distribution/v3/manifest/schema2": {code: []string{"registry/manifest"}},
	"github.com/distribution/distribution/v3/manifest/manifestlist": {
		code: []string{"registry/manifest"},
	},
	"github.com/opencontainers/go-digest": {
		code: []string{"registry/digest", "registry/manifest", "registry/ociapi", "ecrapi"},
	},
	"github.com/opencontainers/image-spec": {
		code:  []string{"registry/manifest", "registry/ociapi", "registry/peer", "internal/figures"},
		tests: []string{"registry", "registry/mirror", "ecrapi", "cmd/internal/server"},
	},
	"github.com/spf13/cobra":                     {code: []string{"cmd/berth"}},
	"github.com/spf13/pflag":                     {code: []string{"cmd/berth"}},
	"go.yaml.in/yaml/v4":                         {code: []string{"cmd/internal/config"}, tests: []string{"cmd/berth", "cmd/internal/doctor"}},
	"github.com/google/go-cmp":                   {code: []string{"storage/storagetest"}, tests: []string{"*"}},
	"github.com/rogpeppe/go-internal/testscript": {tests: []string{"cmd/berth"}},
	"github.com/sirupsen/logrus":                 {code: []string{"registry/peer/peertest"}},
	"oras.land/oras-go/v2":                       {code: []string{"registry/peer"}},
	"golang.org/x/crypto/argon2":                 {code: []string{"auth/accounts"}},
	"golang.org/x/crypto/acme":                   {code: []string{"cmd/internal/certs"}},
	"filippo.io/age":                             {code: []string{"cmd/internal/keybox"}, tests: []string{"cmd/berth"}},
	"github.com/notaryproject/notation-core-go":  {code: []string{"registry/sign"}},
	"golang.org/x/term":                          {code: []string{"cmd/berth"}},
	"golang.org/x/time/rate":                     {code: []string{"auth/throttle", "registry/replicate"}},
	"github.com/coreos/go-oidc/v3/oidc":          {code: []string{"auth/oidc"}},
	"github.com/go-jose/go-jose/v4":              {code: []string{"auth/oidc"}, tests: []string{"auth/stsapi", "cmd/internal/server"}},
	"github.com/prometheus/client_golang":        {code: []string{"cmd/internal/server"}},
	"golang.org/x/sys":                           {code: []string{"storage/fsblob", "storage/boltindex", "cmd/internal/datadir"}},

	"github.com/aws/aws-sdk-go-v2":                            {code: []string{"cmd/internal/ecrlogin", "cmd/internal/bucket"}},
	"github.com/docker/docker-credential-helpers/credentials": {code: []string{"cmd/berth"}},

	"github.com/google/osv-scalibr/semantic": {code: []string{"registry/scan/vulndb"}},
	"github.com/pandatix/go-cvss":            {code: []string{"registry/scan/vulndb"}},
	"github.com/klauspost/compress/gzip":     {code: []string{"registry/scan/inspect"}},
	"github.com/klauspost/compress/zstd":     {code: []string{"registry/scan/vulndb", "registry/scan/inspect", "registry/scan/scantest"}},
}

// users are packages; "*" is every one. Whatever its code may import, the
// tests of a package may import too.
type users struct{ code, tests []string }

func TestFloors(t *testing.T) {
	for _, p := range listPackages(t) {
		if _, ok := floors[p.name()]; !ok {
			t.Errorf("%s stands on no floor: give it one in the table above", p.name())
			continue
		}
		for _, to := range p.Imports {
			report(t, p.name(), to, mayImport(p.name(), to))
		}
		for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
			report(t, "the test of "+p.name(), to, testMayImport(p.name(), to))
		}
	}
}

func report(t *testing.T, who, to string, broken error) {
	t.Helper()
	if broken != nil {
		t.Errorf("%s imports %s: %v", who, to, broken)
	}
}

// mayImport returns the rule that an import of a program breaks, or nil.
func mayImport(from, to string) error {
	switch {
	case isStandard(to):
		return nil
	case !isOurs(to):
		return outsiderRule(from, to, false)
	}
	to = relative(to)
	if floors[to].aside && !floors[from].aside {
		return errors.New("it is for tests alone")
	}
	if slices.Contains(backends, to) && from != assembler && !floors[from].aside {
		return fmt.Errorf("only %s names a backend", assembler)
	}
	return floorRule(from, to)
}

// testMayImport is mayImport for tests. A test stands where its package does,
// and may take what is at hand for every test.
func testMayImport(from, to string) error {
	switch {
	case isStandard(to):
		return nil
	case !isOurs(to):
		return outsiderRule(from, to, true)
	}
	to = relative(to)
	if to == from || slices.Contains(anywhere, to) {
		return nil
	}
	return floorRule(from, to)
}

func floorRule(from, to string) error {
	a, b := floors[from], floors[to]
	switch {
	case b.level < a.level, slices.Contains(a.sideways, to):
		return nil
	case b.level == a.level:
		return fmt.Errorf("both stand on floor %d, and it is not noted as a neighbour", a.level)
	}
	return fmt.Errorf("it is up: from floor %d to floor %d", a.level, b.level)
}

func outsiderRule(from, to string, test bool) error {
	for path, u := range outsiders {
		if to != path && !strings.HasPrefix(to, path+"/") {
			continue
		}
		who := u.code
		if test {
			who = slices.Concat(u.code, u.tests)
		}
		if slices.Contains(who, from) || slices.Contains(who, "*") {
			return nil
		}
		return fmt.Errorf("only these may: %s", strings.Join(who, ", "))
	}
	return errors.New("docs/dependencies.md does not name it")
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func isOurs(path string) bool { return strings.HasPrefix(path, module+"/") }

func relative(path string) string { return strings.TrimPrefix(path, module+"/") }

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func (p pkg) name() string { return relative(p.ImportPath) }

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("go list wrote what cannot be read: %v", err)
		}
		all = append(all, p)
	}
}

// TestFloorsAreRules tries the rules themselves on imports that must fail.
func TestFloorsAreRules(t *testing.T) {
	tests := []struct {
		from, to string
		test     bool
		allowed  bool
	}{
		{"registry", module + "/storage", false, true},
		{"registry", "net/http", false, true},
		{"registry", module + "/storage/memory", false, false},
		{"registry", module + "/storage/memory", true, true},
		{"registry", module + "/registry/ociapi", false, false},
		{"registry", module + "/ecrapi", true, false},
		{"registry/ociapi", module + "/ecrapi", false, false},
		{"registry/ociapi", module + "/registry", false, true},
		{"storage/boltindex", module + "/storage/fsblob", false, false},
		{"storage", module + "/storage/table", false, false},
		{"storage/table", module + "/storage", false, true},
		{"auth", module + "/registry", false, false},
		{"auth/sigv4", module + "/auth/token", false, false},
		{"auth/credentials", module + "/auth/sigv4/sigv4test", false, false},
		{"auth/credentials", module + "/auth/sigv4/sigv4test", true, true},
		{"cmd/internal/config", module + "/cmd/internal/server", false, false},
		{"cmd/berth", module + "/storage/boltindex", false, false},
		{assembler, module + "/storage/boltindex", false, true},
		{"registry", "go.etcd.io/bbolt", false, false},
		{"storage/boltindex", "go.etcd.io/bbolt/errors", false, true},
		{"cmd/internal/server", "github.com/spf13/cobra", false, false},
		{"registry/ociapi", "github.com/distribution/distribution/v3/registry/api/v2", false, false},
		{"registry/ociapi", "github.com/distribution/distribution/v3/registry/api/v2", true, true},
		{"registry/ociapi", "github.com/distribution/distribution/v3/registry/handlers", true, false},
		{"registry", "github.com/google/go-cmp/cmp", false, false},
		{"registry", "github.com/google/go-cmp/cmp", true, true},
		{"registry", "example.com/unheard-of", false, false},
	}
	for _, tt := range tests {
		rule := mayImport
		if tt.test {
			rule = testMayImport
		}
		if broken := rule(tt.from, tt.to); (broken == nil) != tt.allowed {
			t.Errorf("import of %s by %s, in a test: %v: rule broken: %v, want it allowed: %v", tt.to, tt.from, tt.test, broken, tt.allowed)
		}
	}
}
