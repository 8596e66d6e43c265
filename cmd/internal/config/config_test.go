package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

func load(t testing.TB, s config.Sources) *config.Config {
	t.Helper()
	c, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// file makes a configuration file, and the flag that names it.
func file(t testing.TB, content string) map[string]string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "berth.yml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"config": name}
}

// same compares what settings say, not where they come from.
var same = []cmp.Option{
	cmpopts.IgnoreUnexported(config.Config{}), cmpopts.IgnoreFields(config.Config{}, "File"), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b accounts.Static) bool {
		return a.ID == b.ID && a.Account == b.Account && a.Secret.Reveal() == b.Secret.Reveal()
	}),
}

func TestDefaults(t *testing.T) {
	want := &config.Config{
		Listen: "127.0.0.1:5000", Data: "./data", Account: "000000000000", Region: "us-east-1",
		Compat: "oci", TLS: config.TLS{Auto: "off"}, SparseIndexes: "refuse", Verify: "changed", ScrubInterval: 720 * time.Hour, ScrubRate: 20 << 20,
		CreateOnPush: "template", RepositoryURI: "request", UploadExpiry: 24 * time.Hour, EventRetention: 7 * 24 * time.Hour,
		RestoreTime: time.Minute, PullTimeFlush: time.Minute, LifecycleInterval: time.Hour,
		TrashWindow: 168 * time.Hour, GCGrace: time.Hour, GCInterval: time.Hour, GCRate: 10_000,
		DiskLow: "5%", DiskStop: "1%", Rebuild: "off",
		Mirror: config.Mirror{Revalidate: 24 * time.Hour},
		Login:  config.Login{Keys: true, People: true, Robots: true},
		Audit:  config.Audit{MaxSize: 64 << 20, MaxAge: 720 * time.Hour, Keep: 16},
		Limits: config.Limits{
			Manifest: 4 << 20, Layer: 52_000 << 20, Layers: 10_000, Parts: 4200, SmallestPart: 5 << 20, LargestPart: 20 << 20, Images: 100_000,
			LifecycleText: 30_720, LifecycleRules: 50, PullThroughRules: 50, Templates: 1000, PullTimeExclusions: 100, ReplicationRules: 10,
			ReplicationFilters: 100, ReplicationDestinations: 25, SigningRules: 10, SigningFilters: 100, Repositories: 100_000,
			ResourceTags: 50, Uploads: 10_000, RepositoryUploads: 10_000, Head: 1 << 20, Connections: 10_000,
			AnonymousReads: 600, LoginFailures: 10,
		},
		Scanning: config.Scanning{Database: config.ScanDatabase{Interval: 24 * time.Hour, MaxAge: 720 * time.Hour}, RescanWindow: 336 * time.Hour, Timeout: 5 * time.Minute, Limits: config.ScanLimits{
			Unpacked: 8 << 30, Kept: 2 << 30, File: 512 << 20, Entries: 1_000_000, Window: 8 << 20, Nested: 2, Memory: 1 << 30, CPU: 5 * time.Minute, Answer: 128 << 20,
		}},
		LogFormat: "text", LogLevel: "info", ShutdownTimeout: 30 * time.Second,
		Timeouts: config.Timeouts{Header: 10 * time.Second, Body: time.Minute, Answer: time.Minute, Idle: 2 * time.Minute},
	}
	got := load(t, config.Sources{})
	if diff := cmp.Diff(want, got, same...); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if got.CreationMode() != "template" || got.StrictHosts() || got.InMemory() {
		t.Error("a bare server creates on push, is strict about hosts or keeps nothing")
	}
}

const example = "../../../config.example.yml"

func TestExampleHoldsEveryDefault(t *testing.T) {
	got := load(t, config.Sources{Flags: map[string]string{"config": example}})
	if diff := cmp.Diff(load(t, config.Sources{}), got, same...); diff != "" {
		t.Errorf("the example is not the defaults (-defaults +example):\n%s", diff)
	}
}

func TestExampleHoldsEveryKey(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings() {
		if s.Key == "config" {
			continue
		}
		// Doubling a key is refused only if it is there.
		group, key, ok := strings.Cut(s.Key, ".")
		double := s.Key + ": x\n"
		if ok {
			double = strings.Replace(string(data), "\n"+group+":\n", fmt.Sprintf("\n%s:\n  %s: 1\n", group, key), 1)
		} else {
			double += string(data)
		}
		_, err := config.Load(config.Sources{Flags: file(t, double)})
		if err == nil || !strings.Contains(err.Error(), s.Key+" is set twice") {
			t.Errorf("the example does not hold %s", s.Key)
		}
	}
}

func TestThreeSpellings(t *testing.T) {
	values := map[string]string{
		"listen": "127.0.0.1:1234", "data": "/other", "account": "123456789012", "region": "eu-west-1", "dev": "true",
		"create-on-push": "always", "repository-uri": "path", "external": "https://berth.example", "hosts-strict": "true",
		"log-format": "json", "log-level": "warn", "compat": "ecr", "insecure": "true", "sparse-indexes": "accept", "verify": "always",
		"tls.auto": "local", "tls.acme-email": "me@example.com", "tls.acme-directory": "https://acme.example/directory",
		"lifecycle-extensions": "true", "events.reads": "true", "events.file": "/events.jsonl",
		"identities": "/identities.yml", "login.keys": "false", "login.people": "false", "login.robots": "false", "login.bearer": "true",
		"anonymous-pull": "true", "read-only": "true", "rebuild": "auto", "metrics.listen": "127.0.0.1:1234", "audit.file": "/audit.jsonl", "audit.required": "true",
	}
	for _, s := range config.Settings() {
		if s.Flag() == "" || s.Key == "config" || s.Key == "tls.cert" || s.Key == "tls.key" { // those two go together
			continue
		}
		value := values[s.Key]
		switch s.Type {
		case "duration":
			value = "77m"
		case "size", "int":
			value = "77"
		case "amount":
			value = "77%"
		}
		flags, variable := map[string]string{s.Key: value}, s.Env()+"="+value
		byFlag := load(t, config.Sources{Flags: flags})
		byEnv := load(t, config.Sources{Environ: []string{variable}})
		byFile := load(t, config.Sources{Flags: file(t, nested(s.Key, value))})
		if diff := cmp.Diff(byFlag, byEnv, same...); diff != "" {
			t.Errorf("%s: flag and variable differ (-flag +variable):\n%s", s.Key, diff)
		}
		if diff := cmp.Diff(byFlag, byFile, same...); diff != "" {
			t.Errorf("%s: flag and file differ (-flag +file):\n%s", s.Key, diff)
		}
		if reflect.DeepEqual(byFlag, load(t, config.Sources{})) {
			t.Errorf("%s = %s changes nothing", s.Key, value)
		}
	}
}

// nested is a file that sets a key, dots as groups.
func nested(key, value string) string {
	group, key, ok := strings.Cut(key, ".")
	if !ok {
		return fmt.Sprintf("%s: %q\n", group, value)
	}
	return fmt.Sprintf("%s:\n  %s: %q\n", group, key, value)
}

func TestPrecedence(t *testing.T) {
	flags := file(t, "region: eu-west-1\naccount: 111111111111\nlog-level: debug\nlimits.tags: 7\n")
	flags["region"] = "eu-west-3"
	c := load(t, config.Sources{Flags: flags, Environ: []string{"BERTH_REGION=eu-west-2", "BERTH_ACCOUNT=222222222222", "HOME=/"}})
	got := []any{c.Region, c.Account, c.LogLevel, c.Limits.Tags, c.Limits.Parts}
	if diff := cmp.Diff([]any{"eu-west-3", "222222222222", "debug", 7, 4200}, got); diff != "" {
		t.Errorf("flag, variable, file, file, default (-want +got):\n%s", diff)
	}
}

func TestFileByVariable(t *testing.T) {
	name := file(t, "region: eu-west-1\n")["config"]
	c := load(t, config.Sources{Environ: []string{"BERTH_CONFIG=" + name}})
	if c.Region != "eu-west-1" || c.File != name {
		t.Errorf("region %s of file %q, want eu-west-1 of %q", c.Region, c.File, name)
	}
}

func TestFileWithoutSettings(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing yet\n", "---\n", "{}"} {
		got, err := config.Load(config.Sources{Flags: file(t, content)})
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if diff := cmp.Diff(load(t, config.Sources{}), got, same...); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

func TestNumbersAreTakenAsWritten(t *testing.T) {
	c := load(t, config.Sources{Flags: file(t, "account: 000000000012\nlimits: {layer: 4MiB, parts: 010}\nhosts: [a, 10.0.0.7:5000]\n")})
	got := []any{c.Account, c.Limits.Layer, c.Limits.Parts, c.Hosts}
	if diff := cmp.Diff([]any{"000000000012", config.Size(4 << 20), 10, []string{"a", "10.0.0.7:5000"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDevelopment(t *testing.T) {
	tests := []struct {
		flags   map[string]string
		creates string
		strict  bool
	}{
		{map[string]string{}, "template", false},
		{map[string]string{"dev": "true"}, "always", true},
		{map[string]string{"dev": "true", "hosts-strict": "false"}, "always", true},
		{map[string]string{"dev": "true", "create-on-push": "never"}, "never", true},
		{map[string]string{"create-on-push": "always", "hosts-strict": "true"}, "always", true},
		{map[string]string{"dev": "true", "listen": "[::1]:0"}, "always", true},
		{map[string]string{"dev": "true", "listen": "localhost:5000"}, "always", true},
	}
	for _, tt := range tests {
		c := load(t, config.Sources{Flags: tt.flags})
		if c.CreationMode() != tt.creates || c.StrictHosts() != tt.strict {
			t.Errorf("%v: creates on push %v, strict %v; want %v, %v", tt.flags, c.CreationMode(), c.StrictHosts(), tt.creates, tt.strict)
		}
	}
}

func TestRootPair(t *testing.T) {
	const id, secret = "BERTH_ROOT_ACCESS_KEY_ID=", "BERTH_ROOT_SECRET_ACCESS_KEY="
	c := load(t, config.Sources{Environ: []string{id + "me0", secret + "a longer secret", "BERTH_ACCOUNT=123456789012"}})
	if c.Root.ID != "me0" || c.Root.Secret.Reveal() != "a longer secret" || c.Root.Account != "123456789012" {
		t.Errorf("root is %s of %s", c.Root.ID, c.Root.Account)
	}
	if c := load(t, config.Sources{Environ: []string{id, secret}}); !c.Root.IsZero() {
		t.Error("empty variables give a root key")
	}
	for _, env := range [][]string{{id + "me2"}, {secret + "a longer secret"}, {id + "m", secret + "a longer secret"}, {id + "me2", secret + "short"}} {
		_, err := config.Load(config.Sources{Environ: env})
		if err == nil || !strings.Contains(err.Error(), "BERTH_ROOT_ACCESS_KEY_ID and BERTH_ROOT_SECRET_ACCESS_KEY: ") {
			t.Errorf("%v: error %v", env, err)
		} else if strings.Contains(err.Error(), "longer") || strings.Contains(err.Error(), "short") {
			t.Errorf("%v: the error tells the secret: %v", env, err)
		}
	}
}

func TestLocate(t *testing.T) {
	bad := file(t, "data: /from-file\nlimits: nonsense\nunknown: 1\n")
	tests := []struct {
		sources config.Sources
		want    config.Place
	}{
		{config.Sources{}, config.Place{Data: "./data", Listen: "127.0.0.1:5000"}},
		{config.Sources{Flags: bad}, config.Place{Data: "/from-file", Listen: "127.0.0.1:5000"}},
		{config.Sources{Environ: []string{"BERTH_DATA=/from-env", "BERTH_LISTEN=:80", "BERTH_REGION=?"}}, config.Place{Data: "/from-env", Listen: ":80"}},
		{config.Sources{Flags: map[string]string{"data": "/by-flag", "config": "/absent.yml"}}, config.Place{Data: "/by-flag", Listen: "127.0.0.1:5000"}},
	}
	for _, tt := range tests {
		got, err := config.Locate(tt.sources)
		if err != nil || got != tt.want {
			t.Errorf("Locate(%v) = %v, %v; want %v", tt.sources, got, err, tt.want)
		}
	}
	if _, err := config.Locate(config.Sources{Flags: map[string]string{"config": "/absent.yml"}}); err == nil {
		t.Error("an absent file that may name the data folder is no error")
	}
}

func TestEntriesOfMappings(t *testing.T) {
	c := load(t, config.Sources{Flags: file(t, `
restore-time: 0s
events:
  webhooks:
    - {name: chat, url: "https://hooks.example/a"}
    - {name: other, url: "https://hooks.example/b", format: cloudevents, repositories: [team/*, x], types: [ECR Image Action], max-age: 90m}
`)})
	want := []config.Webhook{
		{Name: "chat", URL: "https://hooks.example/a", Format: "plain", MaxAge: 24 * time.Hour},
		{Name: "other", URL: "https://hooks.example/b", Format: "cloudevents", Repositories: []string{"team/*", "x"}, Types: []string{"ECR Image Action"}, MaxAge: 90 * time.Minute},
	}
	if diff := cmp.Diff(want, c.Events.Webhooks); diff != "" || c.RestoreTime != 0 {
		t.Errorf("restored within %v, webhooks (-want +got):\n%s", c.RestoreTime, diff)
	}
}

func TestPorts(t *testing.T) {
	content := `
listen: 0.0.0.0:443
tls: {auto: local}
listeners:
  - listen: 127.0.0.1:5000
    tls: false
  - {listen: "127.0.0.1:0", compat: ecr}
  - {listen: "127.0.0.1:0"}
`
	want := []config.Port{
		{Listen: "0.0.0.0:443", Compat: "oci", TLS: true}, {Listen: "127.0.0.1:5000", Compat: "oci"},
		{Listen: "127.0.0.1:0", Compat: "ecr", TLS: true}, {Listen: "127.0.0.1:0", Compat: "oci", TLS: true},
	}
	c := load(t, config.Sources{Flags: file(t, content)})
	if diff := cmp.Diff(want, c.Ports()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	moved := load(t, config.Sources{Flags: file(t, "\n\n"+content)})
	moved.File = c.File
	if _, changed, waiting := c.Renew(moved); len(changed)+len(waiting) > 0 {
		t.Errorf("lines further down the file changed %q and %q", changed, waiting)
	}
	plain := load(t, config.Sources{Flags: map[string]string{"listen": ":5000", "insecure": "true", "compat": "ecr"}})
	if diff := cmp.Diff([]config.Port{{Listen: ":5000", Compat: "ecr"}}, plain.Ports()); diff != "" {
		t.Errorf("ports without TLS (-want +got):\n%s", diff)
	}
}

func TestRenew(t *testing.T) {
	old := load(t, config.Sources{Flags: map[string]string{"listen": "127.0.0.1:1", "log-level": "debug"}})
	next := load(t, config.Sources{Flags: map[string]string{"listen": "127.0.0.1:2", "dev": "true", "limits.tags": "9"}})
	got, changed, waiting := old.Renew(next)
	if diff := cmp.Diff([]string{"limits.tags", "log-level"}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"listen", "dev"}, waiting); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	if got.Listen != "127.0.0.1:1" || got.Dev || got.CreationMode() != "template" || got.Limits.Tags != 9 || got.LogLevel != "info" {
		t.Errorf("renewed: %+v", got)
	}
}
