// Package remotetest has a name server for tests of what is reached by name.
package remotetest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// Names is a name server of a test.
type Names struct {
	Client *net.Resolver // which asks it

	mu        sync.Mutex
	addresses map[string][]string
}

// Resolver starts a name server that knows IPv4 addresses of some names, and of
// others that they do not exist. It ends with the test.
func Resolver(t testing.TB, addresses map[string][]string) *Names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Names{addresses: addresses}
	n.Client = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serve(conn)
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return n
}

// Set changes the addresses of a name.
func (n *Names) Set(name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses[name] = addresses
}

func (n *Names) serve(conn net.PacketConn) {
	query := make([]byte, 1500)
	for {
		length, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		if _, err := conn.WriteTo(n.answer(query[:length]), from); err != nil {
			return
		}
	}
}

// answer answers a query with one question (RFC 1035, section 4).
func (n *Names) answer(query []byte) []byte {
	const head, question = 12, 4 // bytes of the header, and of type and class behind the name
	var labels []string
	end := head
	for query[end] != 0 {
		next := end + 1 + int(query[end])
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	end++
	kind := binary.BigEndian.Uint16(query[end:])
	n.mu.Lock()
	addresses, known := n.addresses[strings.ToLower(strings.Join(labels, "."))]
	n.mu.Unlock()
	if kind != 1 { // it knows no AAAA
		addresses = nil
	}
	answer := append([]byte{}, query[:end+question]...)
	binary.BigEndian.PutUint16(answer[2:], 0x8180) // an answer, by one who looks further
	if !known {
		answer[3] |= 3 // no such name
	}
	binary.BigEndian.PutUint16(answer[6:], uint16(len(addresses)))
	clear(answer[8:head])
	for _, a := range addresses {
		answer = append(answer, 0xc0, head, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name above, an address, not to be kept
		answer = append(answer, netip.MustParseAddr(a).AsSlice()...)
	}
	return answer
}
