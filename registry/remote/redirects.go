package remote

import (
	"net/http"
	"net/url"
	"strings"
)

// private are the headers that are meant for the origin of a request alone: what
// proves who asks, and the address of what was asked for, which may be signed.
var private = []string{"Authorization", "Cookie", "X-Amz-Security-Token", "Referer"}

// redirects has a client follow so many redirects, and then see the next as an
// answer. What is private leaves its origin with none of them. (net/http itself
// compares the names of hosts alone, not their ports and schemes.) Nor does a body.
func redirects(most int) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, before []*http.Request) error {
		left := leftOrigin(next, before)
		if len(before) > most || left && next.Body != nil && next.Body != http.NoBody {
			return http.ErrUseLastResponse
		}
		if left {
			for _, name := range private {
				next.Header.Del(name)
			}
		}
		return nil
	}
}

// leftOrigin says whether a request, or one of those that led to it, was of another
// origin than the first. net/http makes the headers of each from those of the
// first, so one that comes back would have them again.
func leftOrigin(next *http.Request, before []*http.Request) bool {
	for _, r := range append(before[1:len(before):len(before)], next) {
		if !SameOrigin(before[0].URL, r.URL) {
			return true
		}
	}
	return false
}

// SameOrigin says whether two addresses have one scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && plainHost(a.Hostname()) == plainHost(b.Hostname()) && portOf(a) == portOf(b)
}
