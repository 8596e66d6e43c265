package peer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/registry/peer"
)

const keyID, keySecret = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// api is ECR's, for one call; tokens hold for so long.
func api(t testing.TB, life time.Duration) *scripted {
	given := 0
	return script(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(t, err)
		s, err := sigv4.Parse(r)
		if err == nil {
			err = s.CheckScope("ecr", func(region string) bool { return region == "eu-central-1" })
		}
		if err == nil {
			err = s.CheckTime(time.Now())
		}
		if err == nil {
			err = s.Verify(keySecret, sha256.Sum256(body))
		}
		if err != nil || s.KeyID != keyID || r.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"com.amazon#InvalidSignatureException","message":"no"}`)
			return
		}
		given++
		token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:token-%d", given))
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%f,"proxyEndpoint":"https://x"}]}`, token, float64(time.Now().Add(life).UnixMilli())/1000)
	})
}

func ecr(t testing.TB, endpoint, secret string) peer.Credentials {
	t.Helper()
	c, err := peer.NewECR(peer.ECR{Client: local(t), Region: "eu-central-1", Endpoint: endpoint, Key: peer.Static(keyID, accounts.NewSecret(secret))})
	must(t, err)
	return c
}

func TestECR(t *testing.T) {
	for life, calls := range map[time.Duration]int{12 * time.Hour: 1, time.Minute: 3} {
		upstream := api(t, life)
		c := ecr(t, upstream.URL, keySecret)
		for i := range 3 {
			user, secret, err := c.Login(t.Context())
			if want := fmt.Sprint("token-", min(i+1, calls)); err != nil || user != "AWS" || secret.Reveal() != want {
				t.Errorf("for %s: %q, %q, %v", life, user, secret.Reveal(), err)
			}
		}
		if asked, _ := upstream.seen(); len(asked) != calls {
			t.Errorf("for %s: %d calls", life, len(asked))
		}
	}
}

// A registry that takes a token no more gets a new one.
func TestECRTokenIsNotTaken(t *testing.T) {
	upstream := api(t, 12*time.Hour)
	basic := func(n int) string {
		return "Basic " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:token-%d", n))
	}
	good := basic(1)
	registry := script(t, wanting(always(`Basic realm="ECR"`), func(proof string) bool { return proof == good }))
	r := to(t, registry.URL, func(o *peer.Options) { o.Credentials = ecr(t, upstream.URL, keySecret) })
	for n := range 3 {
		good = basic(n + 1)
		_, err := r.Manifest(t.Context(), repo, "v1")
		must(t, err)
	}
}

func TestECRRefusals(t *testing.T) {
	_, _, err := ecr(t, api(t, time.Hour).URL, "wrong").Login(t.Context())
	check(t, "another secret", err, peer.ErrDenied)
	if err == nil || strings.Contains(err.Error(), "wrong") || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("another secret: %v", err)
	}
	for body, kind := range map[string]error{
		`{}`: peer.ErrWrong, `x`: peer.ErrWrong, `{"authorizationData":[{"authorizationToken":"?"}]}`: peer.ErrWrong, `{"authorizationData":[{"authorizationToken":"QUJD"}]}`: peer.ErrWrong,
	} {
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		_, _, err := ecr(t, upstream.URL, keySecret).Login(t.Context())
		check(t, body, err, kind)
	}
	for status, kind := range map[int]error{500: peer.ErrUnavailable, 429: peer.ErrTooMany, 403: peer.ErrDenied, 400: peer.ErrDenied} {
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		registry := script(t, wanted(`Basic realm="ECR"`, content))
		r := to(t, registry.URL, func(o *peer.Options) { o.Credentials = ecr(t, upstream.URL, keySecret) })
		_, err := r.Manifest(t.Context(), repo, "v1")
		check(t, fmt.Sprint(status), err, kind)
	}
	key := peer.Static(keyID, accounts.NewSecret(keySecret))
	for _, bad := range []peer.ECR{
		{Client: local(t), Key: key}, {Client: local(t), Key: key, Region: "evil.example/"}, {Region: "eu-central-1", Key: key}, {Client: local(t), Region: "eu-central-1"},
		{Client: local(t), Region: "eu-central-1", Key: key, Endpoint: "ftp://x"},
	} {
		if _, err := peer.NewECR(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// Amazon's own endpoints are asked by TLS and by their names; here none of them may
// be reached, and the error tells which was meant.
func TestECREndpoints(t *testing.T) {
	for region, host := range map[string]string{
		"eu-central-1": "api.ecr.eu-central-1.amazonaws.com", "cn-north-1": "api.ecr.cn-north-1.amazonaws.com.cn",
	} {
		var asked []string
		client := &http.Client{Transport: answering(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String())
			return nil, http.ErrServerClosed
		})}
		c, err := peer.NewECR(peer.ECR{Client: client, Region: region, Key: peer.Static(keyID, accounts.NewSecret(keySecret))})
		must(t, err)
		_, _, err = c.Login(t.Context())
		check(t, region, err, peer.ErrUnavailable)
		if len(asked) != 1 || asked[0] != "https://"+host+"/" {
			t.Errorf("%s: asked %q", region, asked)
		}
	}
}

type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }
