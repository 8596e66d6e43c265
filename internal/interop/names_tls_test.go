package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const exampleURL = "https://" + harness.Example

// Many requests share one connection by HTTP/2, with bodies in both directions.
func TestNamesHTTP2(t *testing.T) {
	s := harness.StartTLS(t)
	client := s.HTTPClient(t)
	count := &protocols{next: client.Transport}
	client.Transport = count
	door := s.OCIAt(t, exampleURL, client)
	s.CreateRepository(t, "team/app")
	done := make(chan error)
	const pushes = 16
	for i := range pushes {
		go func() { done <- pushAndRead(t.Context(), door, harness.Random(uint64(200+i), 1<<20)) }()
	}
	for range pushes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := count.other.Load(); n > 0 {
		t.Errorf("%d answers did not come by HTTP/2", n)
	}
}

// pushAndRead pushes a blob to team/app and reads it back.
func pushAndRead(ctx context.Context, door *harness.OCI, content []byte) error {
	if err := door.PushBlob(ctx, "team/app", content); err != nil {
		return err
	}
	got, err := readBlob(ctx, door, "team/app", digest.FromBytes(content))
	if err == nil && !bytes.Equal(got, content) {
		err = errors.New("other bytes came back")
	}
	return err
}

// curl sends and fetches a layer by each version of HTTP.
func TestNamesCurl(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh := s.SecureShell(t, key)
	s.CreateRepository(t, "team/app")
	sh.Set("LOGIN", "AWS:"+s.PasswordOf(t, key))
	sh.Set("URL", exampleURL+"/v2/team/app")
	for i, version := range []string{"1.1", "2"} {
		layer := harness.Random(uint64(220+i), 3<<20)
		sh.Set("LAYER", filepath.Join(sh.Home(), fmt.Sprint("layer-", i)))
		makeFile(t, sh.Var("LAYER"), string(layer))
		sh.Set("VERSION", version)
		sh.Set("DIGEST", digest.FromBytes(layer).String())
		got := lines(sh.Script(`
			curl() { command curl -sS --fail "--http$VERSION" -u "$LOGIN" -w '%{http_version} %{http_code}\n' "$@"; }
			curl -D "$HOME/head" -o "$HOME/body" -X POST "$URL/blobs/uploads/"
			at=$(sed -n 's/^location: //Ip' "$HOME/head" | tr -d '\r')
			curl -o "$HOME/body" -X PATCH -H 'Content-Type: application/octet-stream' -T "$LAYER" "$at"
			curl -o "$HOME/body" -X PUT "$at?digest=$DIGEST"
			curl -o "$HOME/back" "$URL/blobs/$DIGEST"
			cmp "$LAYER" "$HOME/back"
			curl -o "$HOME/part" -r 1000-1999 "$URL/blobs/$DIGEST"
			cmp <(tail -c +1001 "$LAYER" | head -c 1000) "$HOME/part"`))
		want := []string{version + " 202", version + " 202", version + " 201", version + " 200", version + " 206"}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("curl --http%s: %q, want %q", version, got, want)
		}
	}
	if said := sh.Refused("curl", "-sS", "--tlsv1.0", "--tls-max", "1.1", exampleURL); !strings.Contains(said, "protocol version") {
		t.Errorf("curl with TLS 1.1 said:\n%s", said)
	}
}

func TestNamesTLSVersions(t *testing.T) {
	s := harness.StartTLS(t)
	roots := s.HTTPClient(t).Transport.(*http.Transport).TLSClientConfig.RootCAs
	tests := []struct {
		version uint16
		taken   bool
	}{
		{tls.VersionTLS10, false}, {tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true},
	}
	for _, tt := range tests {
		c, err := tls.Dial("tcp", harness.Example+":443", &tls.Config{RootCAs: roots, MinVersion: tt.version, MaxVersion: tt.version})
		if err == nil {
			c.Close()
		}
		if (err == nil) != tt.taken {
			t.Errorf("%s: %v", tls.VersionName(tt.version), err)
		}
	}
}

// protocols counts the answers that come by something else than HTTP/2.
type protocols struct {
	next  http.RoundTripper
	other atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (p *protocols) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(r)
	if err == nil && resp.ProtoMajor != 2 {
		p.other.Add(1)
	}
	return resp, err
}
