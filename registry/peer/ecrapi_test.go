package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/registry/peer"
)

func ecrAPI(t testing.TB, endpoint string, more ...func(*peer.ECR)) *peer.ECRAPI {
	t.Helper()
	e := peer.ECR{Client: local(t), Region: "eu-central-1", Endpoint: endpoint, Key: peer.Static(keyID, accounts.NewSecret(keySecret))}
	for _, change := range more {
		change(&e)
	}
	a, err := peer.NewECRAPI(e)
	must(t, err)
	return a
}

func TestECRCall(t *testing.T) {
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		must(t, err)
		if s, err := sigv4.Parse(r); err != nil || s.KeyID != keyID || r.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("signed by %+v, %v", s, err)
		}
		fmt.Fprintf(w, `{"repositories":[{"repositoryName":%q}]}`, r.Header.Get("X-Amz-Target")+" "+string(body))
	})
	a := ecrAPI(t, upstream.URL, func(e *peer.ECR) { e.SessionToken = accounts.NewSecret("session") })
	var got struct {
		Repositories []struct{ RepositoryName string }
	}
	must(t, a.Call(t.Context(), "DescribeRepositories", map[string]int{"maxResults": 7}, &got))
	if want := `AmazonEC2ContainerRegistry_V20150921.DescribeRepositories {"maxResults":7}`; len(got.Repositories) != 1 || got.Repositories[0].RepositoryName != want {
		t.Errorf("got %+v", got)
	}
	must(t, a.Call(t.Context(), "DeleteRegistryPolicy", nil, nil))
	if err := a.Call(t.Context(), "DescribeRepositories", func() {}, nil); err == nil {
		t.Error("what is no JSON is sent")
	}
}

// Another way to sign takes the place of the key.
func TestECRSigner(t *testing.T) {
	upstream := script(t, func(http.ResponseWriter, *http.Request) {})
	a := ecrAPI(t, upstream.URL, func(e *peer.ECR) {
		e.Key = nil
		e.Sign = func(_ context.Context, r *http.Request, body []byte, _ time.Time) error {
			r.Header.Set("Authorization", "signed "+string(body))
			return nil
		}
	})
	must(t, a.Call(t.Context(), "DescribeRegistry", nil, nil))
	if _, proof := upstream.seen(); !cmp.Equal(proof, []string{"signed {}"}) {
		t.Errorf("shown: %q", proof)
	}
}

func TestECRExceptions(t *testing.T) {
	kinds := []error{peer.ErrNotFound, peer.ErrDenied, peer.ErrTooMany, peer.ErrUnavailable, peer.ErrWrong}
	for answer, want := range map[string]struct {
		code string
		kind error
	}{
		`400 {"__type":"com.amazon.coral#RepositoryAlreadyExistsException","message":"there"}`: {"RepositoryAlreadyExistsException", nil},
		`400 {"__type":"RepositoryPolicyNotFoundException","Message":"none"}`:                  {"RepositoryPolicyNotFoundException", peer.ErrNotFound},
		`400 {"__type":"AccessDeniedException","Message":"not you"}`:                           {"AccessDeniedException", peer.ErrDenied},
		`400 {"__type":"ThrottlingException","message":"Rate exceeded"}`:                       {"ThrottlingException", peer.ErrTooMany},
		`500 {"__type":"ServerException","message":"oh"}`:                                      {"ServerException", peer.ErrUnavailable},
		`400 <html>`: {"", nil},
		`200 <html>`: {"", peer.ErrWrong},
	} {
		status, body, _ := strings.Cut(answer, " ")
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(map[string]int{"200": 200, "400": 400, "500": 500}[status])
			io.WriteString(w, body)
		})
		err := ecrAPI(t, upstream.URL).Call(t.Context(), "X", nil, &struct{}{})
		if peer.Code(err) != want.code || err == nil {
			t.Errorf("%s: the code of %v is %q", answer, err, peer.Code(err))
		}
		for _, kind := range kinds {
			if errors.Is(err, kind) != (kind == want.kind) {
				t.Errorf("%s: %v is %v: %v", answer, err, kind, kind != want.kind)
			}
		}
	}
	if got := peer.Code(io.EOF); got != "" {
		t.Errorf("the code of no refusal is %q", got)
	}
}

// ECR that is asked too often gets its calls once more, from those who have patience.
func TestECRThrottling(t *testing.T) {
	for _, told := range []string{"", "3"} {
		calls := 0
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls%3 == 0 {
				io.WriteString(w, `{}`)
				return
			}
			if told != "" {
				w.Header().Set("Retry-After", told)
				w.WriteHeader(http.StatusTooManyRequests)
			} else {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
		})
		a := ecrAPI(t, upstream.URL)
		var waited []time.Duration
		peer.HurryECR(a, func(d time.Duration) { waited = append(waited, d) })
		must(t, a.Call(peer.Patient(t.Context(), time.Minute), "X", nil, nil))
		want := []time.Duration{500 * time.Millisecond, time.Second}
		if told != "" {
			want = []time.Duration{3 * time.Second, 3 * time.Second}
		}
		if diff := cmp.Diff(want, waited); diff != "" {
			t.Errorf("Retry-After %q: waited (-want +got):\n%s", told, diff)
		}
		for range 2 { // the second without being sent
			if err := a.Call(t.Context(), "X", nil, nil); !errors.Is(err, peer.ErrTooMany) {
				t.Errorf("without patience: %v", err)
			}
		}
		if calls != 4 {
			t.Errorf("Retry-After %q: %d calls", told, calls)
		}
	}
}
