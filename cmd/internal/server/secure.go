package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// tlsLimits say how handshakes are treated.
type tlsLimits struct {
	timeout time.Duration // for a whole one
	log     *slog.Logger  // takes those that fail, at debug
}

// secureListener hands out connections whose TLS handshake is done, so that the
// bytes of HTTP/1.1 can be watched as they are without TLS: net/http has them
// in view only if it does the handshake itself. Connections of HTTP/2, whose
// frames leave no doubt, are handed out bare, as net/http asks for.
//
// A connection in its handshake counts among those that are bounded, and waits
// as an idle one does.
type secureListener struct {
	net.Listener
	bound  *connections
	conf   *tls.Config
	limits tlsLimits
	done   chan net.Conn // handshake done
	closed chan struct{}
	once   sync.Once
	run    sync.Once

	buffers sync.Pool  // as in framedListener
	failed  chan error // why no more connections come
}

func newSecureListener(l net.Listener, bound *connections, conf *tls.Config, limits tlsLimits) *secureListener {
	return &secureListener{
		Listener: l, bound: bound, conf: conf, limits: limits,
		done: make(chan net.Conn), closed: make(chan struct{}), failed: make(chan error, 1),
	}
}

// Accept returns the next connection that is ready to speak HTTP.
func (l *secureListener) Accept() (net.Conn, error) {
	l.run.Do(l.start)
	select {
	case c := <-l.done:
		return c, nil
	case err := <-l.failed:
		l.failed <- err // for whoever asks again
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the handshakes under way too: nobody would answer.
func (l *secureListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// start begins to accept. Handshakes end when the listener is closed.
func (l *secureListener) start() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-l.closed
		cancel()
	}()
	go l.acceptAll(ctx)
}

func (l *secureListener) acceptAll(ctx context.Context) {
	for {
		c, err := l.Listener.Accept()
		if isPassing(err) {
			l.limits.log.Warn("no connection can be accepted for a while", "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil {
			l.failed <- err
			return
		}
		l.bound.state(c, http.StateNew)
		go l.secure(ctx, c)
	}
}

// acceptPause is the longest that net/http waits after such an error.
const acceptPause = time.Second

// isPassing says that an error of Accept is over soon, as when no more files can
// be opened.
func isPassing(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no) && no.Temporary()
}

// secure does the handshake of a connection and hands it out.
func (l *secureListener) secure(ctx context.Context, c net.Conn) {
	t, err := l.handshake(ctx, c)
	l.bound.forget(c) // from here on it is the server's to say whether it waits
	if err == nil {
		select {
		case l.done <- t:
			return
		case <-l.closed:
			err = net.ErrClosed
		}
	}
	l.limits.log.Debug("no TLS connection", "remote", c.RemoteAddr().String(), "error", err)
	_ = c.Close()
	l.bound.free()
}

var errNoHTTP = errors.New("a connection for something else than HTTP")

func (l *secureListener) handshake(ctx context.Context, c net.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limits.timeout)
	defer cancel()
	t := tls.Server(c, l.conf)
	if err := t.HandshakeContext(ctx); err != nil {
		explainTLS(err)
		return nil, err
	}
	switch t.ConnectionState().NegotiatedProtocol {
	case "h2":
		return t, nil
	case "acme-tls/1": // an ACME server's, whose answer is the handshake (RFC 8737)
		return nil, errNoHTTP
	}
	return &secureConn{framedConn{Conn: t, buffers: &l.buffers}, t}, nil
}

// explainTLS tells a client that does not speak TLS what is missing.
func explainTLS(err error) {
	var e tls.RecordHeaderError
	if errors.As(err, &e) && e.Conn != nil && looksLikeHTTP(e.RecordHeader) {
		_, _ = io.WriteString(e.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis address speaks https\n")
	}
}

// looksLikeHTTP says that a record begins like a request line.
func looksLikeHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}

// secureConn is a connection by TLS whose requests are watched.
type secureConn struct {
	framedConn
	tls *tls.Conn
}

// ConnectionState lets net/http tell the requests that they came by TLS.
func (c *secureConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
