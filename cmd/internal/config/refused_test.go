package config_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
)

// Each file is refused with a complaint at the place, "LINE:COLUMN: text".
func TestFilesRefused(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"misspelt key", "region: us-east-1\nlistn: :5000\n", `2:1: unknown key "listn"; did you mean "listen"?`},
		{"joined otherwise", "create_on_push: never\n", `1:1: unknown key "create_on_push"; did you mean "create-on-push"?`},
		{"key of a group by its flag", "limits-layer: 1GiB\n", `1:1: unknown key "limits-layer"; did you mean "limits.layer"?`},
		{"misspelt key of a group", "limits:\n  layerz: 1GiB\n", `2:3: unknown key "limits.layerz"; did you mean "limits.layer"?`},
		{"misspelt group", "limit:\n  layer: 1GiB\n", `1:1: unknown key "limit"; did you mean "limits"?`},
		{"nothing near", "colour: blue\n", `1:1: unknown key "colour"`},
		{"merge key", "<<: {listen: a}\n", `1:1: unknown key "<<"`},
		{"key that is no word", "[a, b]: c\n", `1:1: unknown key ""`},
		{"the file's own name", "config: other.yml\n", `1:1: config cannot be set in a file`},
		{"twice", "region: us-east-1\naccount: 000000000000\nregion: us-east-2\n", `3:1: region is set twice, first in line 1`},
		{"twice in a group", "limits:\n  tags: 1\n  tags: 2\n", `3:3: limits.tags is set twice, first in line 2`},
		{"twice, in two spellings", "limits.tags: 1\nlimits:\n  tags: 2\n", `3:3: limits.tags is set twice, first in line 1`},
		{"group twice", "limits:\n  tags: 1\nlimits:\n  parts: 2\n", `3:1: limits is set twice, first in line 1`},

		{"alias", "listen: &a 127.0.0.1:1\nexternal: *a\n", `1:9: an anchor (&a)`},
		{"billion laughs", bomb(9), `1:4: an anchor (&a0)`},
		{"tag", "listen: !!binary aGk=\n", `1:9: a tag (!!binary)`},
		{"two documents", "listen: :1\n---\nlisten: :2\n", `2:1: a second document`},
		{"no mapping", "- listen\n", `1:1: the file is no mapping`},
		{"a word", "listen\n", `1:1: the file is no mapping`},
		{"group that is none", "limits: 5\n", `1:9: limits is no mapping`},
		{"not YAML", "listen: [a\n", `not YAML: `},
		{"tab", "limits:\n\ttags: 1\n", `2:1: not YAML: `},
		{"no value", "region:\n", `no value; leave the line out to have the default, "us-east-1"`},
		{"list for a word", "region: [us-east-1]\n", `1:9: region: one value is asked for, a string`},
		{"word for a list", "hosts: a\n", `1:8: hosts: a list is asked for`},
		{"list of lists", "hosts: [[a]]\n", `1:9: hosts: each entry`},

		{"listeners", "listeners: a\n", `1:12: listeners: a list is asked for, such as [{listen:`},
		{"listener that is a word", "listeners: [a]\n", `1:13: listeners[0] is no mapping`},
		{"listener without address", "listeners: [{compat: ecr}]\n", `1:13: listeners[0].listen is missing; did you mean "listen: 127.0.0.1:5001"?`},
		{"listener's misspelt key", "listeners:\n  - listn: :1\n", `2:5: unknown key "listeners[0].listn"; did you mean "listeners[0].listen"?`},
		{"listener's choice", "listeners: [{listen: '127.0.0.1:1', compat: ecs}]\n", `1:45: listeners[0].compat: "ecs" is none of oci, ecr; did you mean "ecr"?`},
		{"listener's truth", "listeners: [{listen: '127.0.0.1:1', tls: 1}]\n", `1:42: listeners[0].tls: "1" is neither true nor false; did you mean "true"?`},
		{"listener's address", "listeners: [{listen: '80'}]\n", `1:13: "80" is not an address and a port`},
		{"listener twice", "listeners: [{listen: '127.0.0.1:1'}, {listen: '127.0.0.1:1'}]\n", `1:38: "127.0.0.1:1" is listened on already`},
		{"listener like the first", "listeners: [{listen: '127.0.0.1:5000'}]\n", `1:13: "127.0.0.1:5000" is listened on already`},
		{"listener open to others", "listeners: [{listen: ':1'}]\n", `1:13: listen: other machines reach ":1"`},
		{"listener open to others but TLS", "tls: {auto: local}\nlisteners: [{listen: ':1', tls: false}]\n", `2:13: listen: other machines reach ":1"`},
		{"open to others", "listen: 0.0.0.0:5000\n", `1:9: listen: other machines reach "0.0.0.0:5000"`},
		{"certificate without key", "tls: {cert: a}\n", `1:13: tls.cert: a certificate and its key go together`},
		{"files and auto", "tls: {cert: a, key: b, auto: local}\n", `1:30: tls.auto: certificates come from files or by themselves`},
		{"acme without hosts", "tls: {auto: acme}\n", `1:13: tls.auto: acme needs tls.acme-hosts`},
		{"hosts without acme", "tls: {auto: local, acme-hosts: [a]}\n", `1:32: tls.acme-hosts: these are for tls.auto: acme`},
		{"acme that forgets", "data: ':memory:'\ntls: {auto: acme, acme-hosts: [a.example]}\n", `2:13: tls.auto: acme needs a data folder`},
		{"proxies", "trusted-proxies: [10.0.0.0/33]\n", `1:18: trusted-proxies: "10.0.0.0/33"`},

		{"listen without port", "listen: 127.0.0.1\n", `1:9: listen: "127.0.0.1" is not an address and a port such as 127.0.0.1:5000; did you mean "127.0.0.1:5000"?`},
		{"listen a port", "listen: 80\n", `1:9: listen: "80" is not an address and a port such as 127.0.0.1:5000; did you mean "127.0.0.1:80"?`},
		{"listen a URL", "listen: http://127.0.0.1:80/\n", `did you mean "127.0.0.1:80"?`},
		{"listen port too large", "listen: :65536\n", `1:9: listen: ":65536" is not an address`},
		{"account", "account: 1234-5678-9012\n", `1:10: account: "1234-5678-9012" is not twelve digits such as 000000000000; did you mean "123456789012"?`},
		{"region", "region: us-eest-1\n", `1:9: region: "us-eest-1" is none of the regions that exist here; did you mean "us-east-1"?`},
		{"region not listed", "region: us-east-1\nregions: [home]\n", `1:9: region: "us-east-1" is none`},
		{"regions", "regions: [US-EAST-1, us-east-1]\n", `1:10: regions: "US-EAST-1"`},
		{"choice", "create-on-push: allways\n", `1:17: create-on-push: "allways" is none of template, never, always; did you mean "always"?`},
		{"choice far off", "repository-uri: whatever\n", `1:17: repository-uri: "whatever" is none of request, external, hostname, path, aws`},
		{"style without its address", "repository-uri: external\n", `1:17: repository-uri: "external" needs the setting external`},
		{"external", "external: registry.example\n", `1:11: external: "registry.example"`},
		{"hosts", "hosts: ['a b']\n", `1:8: hosts: "a b"`},
		{"truth", "dev: yes\n", `1:6: dev: "yes" is neither true nor false; did you mean "true"?`},
		{"duration without unit", "upload-expiry: 30\n", `1:16: upload-expiry: "30" is not a duration such as 30s, 10m or 24h; did you mean "30s"?`},
		{"days", "upload-expiry: 2d\n", `did you mean "48h"?`},
		{"no time at all", "timeouts: {body: 0s}\n", `1:18: timeouts.body: "0s" is not a duration`},
		{"size", "limits: {layer: 10GB}\n", `1:17: limits.layer: "10GB" is not a size such as 512KiB, 4MiB or 10GiB; did you mean "10GiB"?`},
		{"size too large", "limits: {layer: 99999999TiB}\n", `"99999999TiB" is not a size`},
		{"count", "limits: {tags: -1}\n", `1:16: limits.tags: "-1" is not a whole number`},
		{"data", "data: ':memori:'\n", `1:7: data: ":memori:" is no folder; did you mean ":memory:"?`},
		{"dev for everybody", "dev: true\nlisten: 0.0.0.0:5000\n", `2:9: listen: "0.0.0.0:5000" is refused with dev, whose keys everybody knows; did you mean "127.0.0.1:5000"?`},
		{"dev without a host", "dev: true\nlisten: :5000\n", `is refused with dev`},
		{"dev on a name", "dev: true\nlisten: berth.example:5000\n", `is refused with dev`},
	}
	for _, tt := range tests {
		flags := file(t, tt.content)
		c, err := config.Load(config.Sources{Flags: flags})
		if err == nil {
			t.Errorf("%s: accepted: %+v", tt.name, c)
			continue
		}
		if !strings.HasPrefix(err.Error(), flags["config"]+":") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error\n\t%v\nwant file and\n\t%s", tt.name, err, tt.want)
		}
	}
}

// bomb is a short file that stands for 10^depth words.
func bomb(depth int) string {
	lines := []string{"a: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]"}
	for i := range depth {
		ref := "*a" + string(rune('0'+i))
		lines = append(lines, "b: &a"+string(rune('1'+i))+" ["+strings.Repeat(ref+",", 9)+ref+"]")
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestEveryProblemIsTold(t *testing.T) {
	_, err := config.Load(config.Sources{
		Flags:   file(t, "listn: a\ndev: maybe\n"),
		Environ: []string{"BERTH_REGIN=x", "BERTH_LOG_LEVEL=loud"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`:1:1: unknown key "listn"`, `:2:6: dev: "maybe"`, `BERTH_REGIN: no such setting; did you mean "BERTH_REGION"?`, `BERTH_LOG_LEVEL: log-level: "loud" is none of`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 4 {
		t.Errorf("%d lines for 4 problems:\n%v", got, err)
	}
}

func TestFlagsAndVariablesRefused(t *testing.T) {
	tests := []struct {
		sources config.Sources
		want    string
	}{
		{config.Sources{Flags: map[string]string{"listen": "nowhere"}}, `--listen: listen: "nowhere" is not an address`},
		{config.Sources{Flags: map[string]string{"limits.tags": "none"}}, `--limits-tags: limits.tags: "none"`},
		{config.Sources{Environ: []string{"BERTH_LISTEN=nowhere"}}, `BERTH_LISTEN: listen: "nowhere" is not an address`},
		{config.Sources{Environ: []string{"BERTH_HOSTS=a"}}, `BERTH_HOSTS: hosts is a list, which only a configuration file can hold`},
		{config.Sources{Flags: map[string]string{"dev": "true", "listen": "0.0.0.0:1"}}, `--listen: listen: "0.0.0.0:1" is refused with dev`},
		{config.Sources{Flags: map[string]string{"config": "/absent/berth.yml"}}, "read configuration: open /absent/berth.yml"},
	}
	for _, tt := range tests {
		if _, err := config.Load(tt.sources); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want %s", tt.sources, err, tt.want)
		}
	}
}

func TestVariablesOfOthersAreNotSettings(t *testing.T) {
	load(t, config.Sources{Environ: []string{
		"BERTH_PORT=tcp://10.0.0.1:5000", "BERTH_PORT_5000_TCP_ADDR=10.0.0.1", "BERTH_SERVICE_HOST=10.0.0.1",
		"BERTH_SERVICE_PORT_HTTP=5000", "BERTH_BIN=berth", "BERTH_HOST=localhost", "BERTH_URL=x", "BERTH_DIR=.", "BERTH_=",
	}})
}

func TestHugeFileIsRefused(t *testing.T) {
	_, err := config.Load(config.Sources{Flags: file(t, strings.Repeat("# comment\n", 1<<20/10+1))})
	if err == nil || !strings.Contains(err.Error(), "is larger than 1MiB") {
		t.Errorf("error %v", err)
	}
}

func TestDeepFileIsRefused(t *testing.T) {
	if _, err := config.Load(config.Sources{Flags: file(t, "hosts: "+strings.Repeat("[", 100_000))}); err == nil {
		t.Error("accepted")
	}
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "listen: 127.0.0.1:1\n", "limits:\n  layer: 1GiB\n", "hosts: [a, b]\n", bomb(3), "a: &a\n  b: *a\n", "? [x]\n: y\n", "- - -\n", "\t", "\x00", "%YAML 1.2\n---\n{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		flags := file(t, string(content))
		c, err := config.Load(config.Sources{Flags: flags})
		if (c == nil) == (err == nil) {
			t.Errorf("Load = %v, %v", c, err)
		}
		if c != nil && (c.Listen == "" || c.Limits.Images < 1 || c.Timeouts.Body <= 0) {
			t.Errorf("%q: accepted with a setting out of range: %+v", content, c)
		}
	})
}
