package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// ambiguous are heads and bodies that two readers may take apart in two ways.
var ambiguous = map[string]string{
	"length and chunks":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and length":         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	"in any case":               "POST / HTTP/1.1\r\nhost: a\r\ncONTENT-lENGTH:4\r\ntransfer-encoding:\tCHUNKED\r\n\r\n0\r\n\r\n",
	"no length and chunks":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"two lengths":               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	"the same length twice":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
	"length with a sign":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
	"list of lengths":           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
	"empty length":              "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
	"length far off":            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:" + strings.Repeat(" ", 300) + "5\r\n\r\n",
	"length beyond 63 bits":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"folded header":             "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
	"header folded by a tab":    "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tContent-Length: 5\r\n\r\n",
	"first header folded":       "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
	"two encodings":             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunked twice":             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"identity":                  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
	"chunks in HTTP/1.0":        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks after a long path":  "POST /" + strings.Repeat("a", 400) + " HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"encoding far off":          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:" + strings.Repeat(" ", 300) + "chunked\r\nContent-Length: 1\r\n\r\n",
	"a space before the colon":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
	"chunk without a size":      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
	"chunk with a prefix":       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
	"chunk of a negative size":  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
	"chunk longer than it says": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
	"chunk of a huge size":      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n",
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	h := dev(t)
	for name, text := range ambiguous {
		w := h.dial()
		// The second request must never be answered.
		w.send("%s", text+"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := w.status(); got != http.StatusBadRequest && got/100 != 4 {
			t.Errorf("%s: answered %d, want a refusal", name, got)
		}
		if got := w.status(); got != 0 {
			t.Errorf("%s: what followed was answered with %d", name, got)
		}
	}
}

func TestAmbiguousHeadsAreSeen(t *testing.T) {
	for name, text := range ambiguous {
		if name == "a space before the colon" {
			continue // which net/http refuses
		}
		if _, err := server.Scan([]byte(text)); !errors.Is(err, server.ErrFraming) {
			t.Errorf("%s: error %v, want ErrFraming", name, err)
		}
	}
}

// plain are requests that mean one thing, and how many they are.
var plain = []struct {
	text     string
	requests int
}{
	{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
	{"GET / HTTP/1.1\nHost: a\n\n", 1},
	{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
	{"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 1},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
	{"GET /" + strings.Repeat("long", 200) + " HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("long", 200) + "\r\n\r\n", 1},
}

func TestPlainRequestsPass(t *testing.T) {
	for _, tt := range plain {
		if got, err := server.Scan([]byte(tt.text)); err != nil || got != tt.requests {
			t.Errorf("%.200q: %d requests, %v; want %d", tt.text, got, err, tt.requests)
		}
	}
	h := dev(t)
	w := h.dial()
	w.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" +
		"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for i, want := range []int{200, 200, 404, 200} {
		if got := w.status(); got != want {
			t.Errorf("request %d of a connection: %d, want %d", i+1, got, want)
		}
	}
}

// FuzzFraming holds the watch against the server's own reading: it may refuse
// more, but what it lets pass it must take apart in the same way.
func FuzzFraming(f *testing.F) {
	for _, text := range ambiguous {
		f.Add([]byte(text), uint(7))
	}
	for _, tt := range plain {
		f.Add([]byte(tt.text), uint(20))
	}
	f.Fuzz(func(t *testing.T, text []byte, parted uint) {
		watched, err := server.Scan(text)
		atOnce := server.ScanAtOnce(text, int(parted%uint(len(text)+1)))
		if (err == nil) != (atOnce == nil) {
			t.Errorf("byte by byte: %v, at once: %v", err, atOnce)
		}
		if err != nil {
			return
		}
		whole, rest, broken := readAll(text)
		if began := whole + min(rest, 1); !broken && watched != began {
			t.Errorf("%q: watched %d requests, the server reads %d", text, watched, began)
		}
	})
}

// readAll reads requests as the server does: how many are whole, how many
// bytes are left, and whether one was refused or its body cannot be read.
func readAll(text []byte) (whole, rest int, broken bool) {
	in := bufio.NewReader(bytes.NewReader(text))
	for {
		if _, err := in.Peek(1); err != nil {
			return whole, 0, false
		}
		before := left(in)
		req, err := http.ReadRequest(in)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return whole, before, false
		}
		if err != nil {
			return whole, before, true
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return whole, before, !errors.Is(err, io.ErrUnexpectedEOF)
		}
		whole++
	}
}

func left(in *bufio.Reader) int {
	n := in.Buffered()
	return max(n, 1)
}
