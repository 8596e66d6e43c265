package remote

import (
	"net/http"
	"net/url"
)

// SetProxy has a client use a proxy: what the environment says is read only once.
func SetProxy(c *http.Client, proxy *url.URL) { c.Transport.(gate).next.Proxy = http.ProxyURL(proxy) }

// Watched is what looks after the bodies of a request and its answer.
var Watched = watched
