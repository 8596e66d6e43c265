package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// connect is the connection to a server, a new one if none is open.
func (w *wire) connect(ctx context.Context, base string) (*connection, error) {
	if c, ok := w.open[base]; ok {
		return c, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	conn, err := w.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		conf := w.transport.TLSClientConfig.Clone()
		conf.ServerName, conf.NextProtos = u.Hostname(), []string{"http/1.1"}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	c := &connection{Conn: conn, in: bufio.NewReaderSize(conn, inBuffer)}
	if u.Scheme == "https" {
		c.out = bufio.NewWriterSize(conn, outBuffer)
	}
	w.open[base] = c
	return c, nil
}

// dial reaches a server itself, or through the proxy that is to be gone by.
func (w *wire) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	proxy, err := w.transport.Proxy(&http.Request{URL: u})
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return w.transport.DialContext(ctx, "tcp", hostPort(u))
	}
	return w.tunnel(ctx, proxy, u)
}

// hostPort is the host of a URL with its port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// tunnel reaches a server through a proxy (RFC 9110, section 9.3.6).
func (w *wire) tunnel(ctx context.Context, proxy, u *url.URL) (net.Conn, error) {
	conn, err := w.transport.DialContext(ctx, "tcp", hostPort(proxy))
	if err != nil {
		return nil, err
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: hostPort(u)}, Host: hostPort(u), Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		ask.SetBasicAuth(user.Username(), password)
		ask.Header["Proxy-Authorization"] = ask.Header["Authorization"]
		ask.Header.Del("Authorization")
	}
	if err := ask.Write(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &connection{Conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	got, _, err := c.readHead()
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("the proxy %s answers %d", proxy.Host, got.status)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil // who speaks first after a tunnel is the client, so nothing is lost in the buffer
}
