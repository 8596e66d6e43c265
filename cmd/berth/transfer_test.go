package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/transfer"
)

func TestParseLocation(t *testing.T) {
	dir := t.TempDir() + "/with:colon"
	const d = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	image := func(repo, ref string) transfer.Wanted { return transfer.Wanted{Repository: repo, Reference: ref} }
	tests := map[string]location{
		"docker://localhost:5000":                 {kind: kindDocker, host: "localhost:5000"},
		"docker://localhost:5000/":                {kind: kindDocker, host: "localhost:5000"},
		"docker://localhost:5000/team/app":        {kind: kindDocker, host: "localhost:5000", image: image("team/app", "")},
		"docker://Registry.Example/app:v1":        {kind: kindDocker, host: "registry.example", image: image("app", "v1")},
		"docker://registry.example/app@" + d:      {kind: kindDocker, host: "registry.example", image: image("app", d)},
		"docker://registry.example/a/app:v1@" + d: {kind: kindDocker, host: "registry.example", image: image("a/app", d)},
		"docker://registry.example/team/*":        {kind: kindDocker, host: "registry.example", image: image("team/*", "")},
		"docker://docker.io/alpine:3":             {kind: kindDocker, host: "docker.io", image: image("library/alpine", "3")},
		"docker://docker.io/me/app":               {kind: kindDocker, host: "docker.io", image: image("me/app", "")},
		"ecr://123456789012.eu-central-1":         {kind: kindECR, account: "123456789012", region: "eu-central-1"},
		"ecr://123456789012.eu-central-1/team/*":  {kind: kindECR, account: "123456789012", region: "eu-central-1", image: image("team/*", "")},
		"ecr://123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:v1": {
			kind: kindECR, host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", account: "123456789012", region: "eu-west-1", image: image("a", "v1"),
		},
		"oci-layout:" + dir:               {kind: kindLayout, file: dir[:strings.LastIndex(dir, ":")], image: image("", "colon")},
		"oci-layout:" + t.TempDir():       {kind: kindLayout},
		"oci-layout:a/b:v1":               {kind: kindLayout, file: "a/b", image: image("", "v1")},
		"oci-layout:a.tar@" + d:           {kind: kindLayout, file: "a.tar", image: image("", d)},
		"oci-layout:./a":                  {kind: kindLayout, file: "./a"},
		"registry-data:/var/lib/registry": {kind: kindData, file: "/var/lib/registry"},
	}
	for text, want := range tests {
		if want.kind == kindLayout && want.file == "" {
			want.file = strings.TrimPrefix(text, kindLayout)
		}
		got, err := parseLocation(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "alpine", "docker://", "docker:///a", "docker://h/", "docker://h/a:", "docker://h/a@v1", "docker://h//a", "docker://a b/c", "ecr://", "ecr://1.eu", "ecr://123456789012",
		"ecr://123456789012.EU", "ecr://123456789012.eu-central-1/a@b", "oci-layout:", "registry-data:", "s3://bucket",
	} {
		if text == "docker://h/" {
			continue // the whole registry
		}
		if l, err := parseLocation(text); !errors.As(err, new(usageError)) {
			t.Errorf("%q is %+v, %v", text, l, err)
		}
	}
}

func TestPrefixed(t *testing.T) {
	for prefix, want := range map[string][2]string{"old": {"old/team/app", "old"}, "/a/b/": {"a/b/team/app", "a/b"}} {
		f := prefixed(prefix)
		if got := [2]string{f("team/app"), f("ROOT")}; got != want {
			t.Errorf("%s: %q", prefix, got)
		}
	}
	if prefixed("") != nil {
		t.Error("no prefix is one")
	}
}

func TestProgressOfTransfer(t *testing.T) {
	for want, p := range map[string]transfer.Progress{
		"[                        ] 0/3 images, 0 B, looking for more":         {Images: 3},
		"[============            ] 2/4 images, 3.0 MiB, 1.0 MiB/s, 1m5s left": {Listed: true, Images: 4, Done: 2, Share: 0.5, Bytes: 3 << 20, Rate: 1 << 20, Left: 65 * time.Second},
		"[========================] 4/4 images, 3.0 MiB, 1 failed":             {Listed: true, Images: 4, Done: 4, Share: 1, Bytes: 3 << 20, Failed: 1},
	} {
		if diff := cmp.Diff(want, progressText(p)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	var b bytes.Buffer
	bar := &drawing{w: &b, terminal: true}
	bar.tell(transfer.Progress{Images: 10})
	bar.tell(transfer.Progress{Listed: true, Images: 10})
	bar.clear()
	const long, short = "[                        ] 0/10 images, 0 B, looking for more", "[                        ] 0/10 images, 0 B"
	gap := strings.Repeat(" ", len(long)-len(short))
	if diff := cmp.Diff("\r"+long+"\r"+short+gap+"\r"+strings.Repeat(" ", len(short))+"\r", b.String()); diff != "" {
		t.Errorf("the bar (-want +got):\n%s", diff)
	}
	b.Reset()
	lines := &drawing{w: &b, last: time.Now()}
	lines.tell(transfer.Progress{Images: 10}) // too soon
	lines.last = time.Now().Add(-time.Hour)
	lines.tell(transfer.Progress{Images: 10})
	lines.clear()
	if b.String() != long+"\n" {
		t.Errorf("lines: %q", b.String())
	}
}
