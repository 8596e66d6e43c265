package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Clients that send everything before they look for an answer must find one,
// and not a connection that was closed under them.
func TestRefusalsReachWhoSendsEverythingFirst(t *testing.T) {
	h := dev(t)
	login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+h.password()))
	target := "X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.CreateRepository"
	tests := []struct {
		what    string
		request string
		headers []string
		size    int
		chunked bool
		want    int
	}{
		{"manifest", "PUT /v2/team/app/manifests/1", []string{login}, 6 << 20, false, http.StatusRequestEntityTooLarge},
		{"manifest in chunks", "PUT /v2/team/app/manifests/1", []string{login}, 6 << 20, true, http.StatusRequestEntityTooLarge},
		{"layer without a right to it", "PATCH /v2/team/app/blobs/uploads/x", nil, 8 << 20, false, http.StatusUnauthorized},
		{"JSON", "POST /", []string{target}, 10 << 20, false, http.StatusBadRequest},
		{"path of nothing", "POST /nothing", nil, 2 << 20, true, http.StatusNotFound},
	}
	for _, tt := range tests {
		w := h.dial()
		head := append([]string{tt.request + " HTTP/1.1", "Host: localhost"}, tt.headers...)
		body := strings.Repeat("x", tt.size)
		if tt.chunked {
			head = append(head, "Transfer-Encoding: chunked")
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", tt.size, body)
		} else {
			head = append(head, fmt.Sprintf("Content-Length: %d", tt.size))
		}
		w.send("%s\r\n\r\n%s", strings.Join(head, "\r\n"), body)
		if got := w.status(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
}

// A client that asks before it sends is answered, and not asked for its body.
func TestNobodyIsAskedForARefusedBody(t *testing.T) {
	w := dev(t).dial()
	w.send("PUT /v2/team/app/manifests/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000000\r\nExpect: 100-continue\r\n\r\n")
	if got := w.status(); got != http.StatusUnauthorized {
		t.Errorf("%d, want 401 and no 100", got)
	}
}
