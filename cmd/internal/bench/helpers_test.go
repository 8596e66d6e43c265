package bench_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/bench"
	"github.com/seed-78150930/berth/cmd/internal/bench/least"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

var secret = accounts.NewSecret("a secret")

const keyID = "AKIA0000000000000000"

// small are options with which a scenario takes milliseconds.
func small(t testing.TB, scenarios ...string) bench.Options {
	t.Helper()
	o := bench.Defaults()
	o.Count, o.Images, o.Tags, o.Repositories, o.LayerSize, o.LargeSize = 6, 3, 120, 5, 100, 100_000
	var err error
	if o.Scenarios, err = bench.Choose(scenarios); err != nil {
		t.Fatal(err)
	}
	return o
}

// leastServer is a yardstick that a handler may stand before, and what opens it.
func leastServer(t testing.TB, before func(http.Handler) http.Handler) (bench.Target, *httptest.Server) {
	t.Helper()
	s, err := least.New(filepath.Join(t.TempDir(), "data"), least.Key{ID: keyID, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = s
	if before != nil {
		h = before(s)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return bench.Target{
		Registry: srv.URL, API: srv.URL, User: "AWS", Password: accounts.NewSecret(password(t, s)),
		Signer: ecrlogin.Signer{Credentials: ecrlogin.Static(keyID, secret), Region: "us-east-1"},
	}, srv
}

// password is what opens a yardstick.
func password(t testing.TB, h http.Handler) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://least/", strings.NewReader("{}"))
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	sigv4test.Key{ID: keyID, Secret: secret.Reveal(), Region: "us-east-1", Service: "ecr"}.Sign(r, "{}", time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var said struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || len(said.AuthorizationData) != 1 {
		t.Fatalf("GetAuthorizationToken: %d %s, %v", w.Code, w.Body, err)
	}
	return strings.TrimPrefix(string(said.AuthorizationData[0].AuthorizationToken), "AWS:")
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// run measures, which must end without an error.
func run(t testing.TB, target bench.Target, o bench.Options) bench.Report {
	t.Helper()
	report, err := bench.Run(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// mustWork says what of a report went wrong.
func mustWork(t testing.TB, report bench.Report) {
	t.Helper()
	for _, r := range report.Results {
		if r.Errors > 0 || r.Skipped != "" || r.Operations == 0 {
			t.Errorf("%s: %d operations, %d errors, %q, skipped: %q", r.Scenario, r.Operations, r.Errors, r.FirstError, r.Skipped)
		}
	}
}
