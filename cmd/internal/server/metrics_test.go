package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// metricsOf scrapes a server that has metrics.listen set.
func metricsOf(t testing.TB, h *house) string {
	t.Helper()
	st, err := h.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, st.Metrics, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := h.do(req)
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", st.Metrics, got.status, got.body)
	}
	return got.body
}

// metric is the value of a sample in a scrape, such as `berth_ready`.
func metric(t testing.TB, scrape, sample string) string {
	t.Helper()
	for line := range strings.Lines(scrape) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in\n%s", sample, scrape)
	return ""
}

func TestMetrics(t *testing.T) {
	h := dev(t, "metrics.listen", "127.0.0.1:0")
	h.call("CreateRepository", `{"repositoryName":"team/secretname"}`)
	h.call("CreateRepository", `{"repositoryName":"team/secretname"}`)
	h.get("/v2/")
	h.get("/healthz")
	scrape := metricsOf(t, h)
	for sample, want := range map[string]string{
		`berth_requests_total{door="ecr",status="2xx"}`:    "1",
		`berth_requests_total{door="ecr",status="4xx"}`:    "1",
		`berth_requests_total{door="oci",status="4xx"}`:    "1",
		`berth_requests_total{door="health",status="2xx"}`: "1",
		`berth_request_duration_seconds_count{door="ecr"}`: "2",
		`berth_info{version="1.2.3"}`:                      "1",
		`berth_ready`:                                      "1",
		`berth_uploads_open`:                               "0",
	} {
		if got := metric(t, scrape, sample); got != want {
			t.Errorf("%s is %s, want %s", sample, got, want)
		}
	}
	metric(t, scrape, "go_goroutines")
	metric(t, scrape, "process_open_fds")
	for _, secret := range []string{"secretname", "team", "test"} {
		if strings.Contains(scrape, secret) {
			t.Errorf("the metrics name %q", secret)
		}
	}
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "berth_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestMetricsAreToldWhereAskedFor(t *testing.T) {
	h := dev(t)
	if st, err := h.Status(context.Background()); err != nil || st.Metrics != "" {
		t.Errorf("metrics are told at %q without being asked for, %v", st.Metrics, err)
	}
	if got := h.get("/metrics"); got.status != http.StatusNotFound {
		t.Errorf("clients are told metrics: %d", got.status)
	}
	h = dev(t, "metrics.listen", "127.0.0.1:0")
	st, err := h.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{"/": http.MethodGet, "/v2/": http.MethodGet, "/metrics": http.MethodPost} {
		req, err := http.NewRequest(method, strings.TrimSuffix(st.Metrics, "/metrics")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.do(req); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s at the address of metrics: %d", method, path, got.status)
		}
	}
}

// TestMetricsPage compares docs/metrics.md with what is told. A row of it is a metric's
// name and its help.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(berth_[a-z_]+)` \\| (.*) \\|$")
	var got, want []string
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[0])
	}
	for name, help := range dev(t).Metrics() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", name, help))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-as it is to be +as it is):\n%s", diff)
	}
}
