package ociapi_test

import (
	"math"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/ociapi"
)

func FuzzRange(f *testing.F) {
	for _, h := range []string{
		"bytes=0-3", "bytes=5-2", "bytes=-0", "bytes=-5", "bytes=5-", "bytes=", "bytes=-", "bytes=0-0,1-1", "lines=1-2",
		"bytes=9223372036854775807-9223372036854775807", "bytes=0-18446744073709551615", "bytes = 1 - 2", "bytes=+1-2", "",
	} {
		f.Add(h, int64(10))
		f.Add(h, int64(0))
		f.Add(h, int64(math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		start, n, partial, ok := ociapi.ReadRange([]string{header}, size)
		switch {
		case !ok && partial:
			t.Errorf("%q of %d is refused and partial", header, size)
		case ok && !partial && (start != 0 || n != size):
			t.Errorf("%q of %d is the whole: %d bytes from %d", header, size, n, start)
		case partial && (start < 0 || n < 1 || start > size-n):
			t.Errorf("%q of %d is %d bytes from %d", header, size, n, start)
		}
	})
}

func TestReadContentRange(t *testing.T) {
	tests := []struct {
		header   string
		start, n int64
		ok       bool
	}{
		{"0-0", 0, 1, true},
		{"10-19", 10, 10, true},
		{"0-9223372036854775806", 0, math.MaxInt64, true},
		{"007-08", 7, 2, true},
		{"0-9223372036854775807", 0, 0, false}, // too many bytes to count
		{"1-0", 0, 0, false},
		{"9223372036854775808-9223372036854775809", 0, 0, false},
		{"", 0, 0, false},
		{"-", 0, 0, false},
		{"1-2-3", 0, 0, false},
		{"1 - 2", 0, 0, false},
		{"\u0661-\u0662", 0, 0, false}, // digits of another script
	}
	for _, tt := range tests {
		if start, n, ok := ociapi.ReadContentRange(tt.header); start != tt.start || n != tt.n || ok != tt.ok {
			t.Errorf("ReadContentRange(%q) = %d, %d, %v; want %d, %d, %v", tt.header, start, n, ok, tt.start, tt.n, tt.ok)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, h := range []string{"0-0", "10-19", "19-10", "-1", "1-", "bytes 0-1/2", "0-9223372036854775807", "99999999999999999999-0", "+1-2"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		start, n, ok := ociapi.ReadContentRange(header)
		if !ok {
			return
		}
		if start < 0 || n < 1 || start+n < 0 || strings.Trim(header, "0123456789-") != "" {
			t.Errorf("%q is %d bytes from %d", header, n, start)
		}
	})
}
