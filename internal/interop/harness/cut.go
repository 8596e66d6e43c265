package harness

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// A Cutter stands between clients and a server, and cuts connections at random
// bytes, which it counts in both directions together.
type Cutter struct {
	Host string // what people type to reach the server through it

	server   string
	listener net.Listener
	carriers sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	armed  int // cuts to come
	most   int64
	cuts   int
	cords  map[*cord]bool
	ended  bool
}

// Cutter stands before s until the test ends, and cuts nothing until it is armed.
func (s *Server) Cutter(t testing.TB, seed uint64) *Cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c := &Cutter{
		Host: "localhost:" + port, server: strings.Replace(s.Host, "localhost", "127.0.0.1", 1),
		listener: l, random: rand.New(rand.NewPCG(seed, 0)), cords: map[*cord]bool{},
	}
	c.carriers.Go(c.accept)
	t.Cleanup(c.end)
	return c
}

// Arm has the next n connections that live so long cut, each at one of its
// first most bytes. After them nothing is cut.
func (c *Cutter) Arm(n int, most int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.most = n, most
}

// Cuts is how many connections were cut so far.
func (c *Cutter) Cuts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

func (c *Cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return // closed: the test has ended
		}
		server, err := net.Dial("tcp", c.server)
		if err != nil {
			_ = client.Close() // as if the server had refused
			continue
		}
		c.carriers.Go(func() { c.carry(client.(*net.TCPConn), server.(*net.TCPConn)) })
	}
}

// carry carries bytes in both directions until both have ended.
func (c *Cutter) carry(client, server *net.TCPConn) {
	k := c.open(client, server)
	var both sync.WaitGroup
	both.Go(func() { k.copy(server, client) })
	both.Go(func() { k.copy(client, server) })
	both.Wait()
	k.close(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cords, k)
}

func (c *Cutter) open(client, server *net.TCPConn) *cord {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &cord{cutter: c, client: client, server: server, left: -1}
	if c.armed > 0 {
		k.left = 1 + c.random.Int64N(c.most)
	}
	if c.ended {
		k.close(false)
	}
	c.cords[k] = true
	return k
}

// cut says whether a connection that has reached its byte is cut there, and
// whether as by a machine that is lost or by one that hangs up.
func (c *Cutter) cut() (now, reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == 0 {
		return false, false
	}
	c.armed--
	c.cuts++
	return true, c.random.IntN(2) == 0
}

func (c *Cutter) end() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.ended = true
	for k := range c.cords {
		k.close(false)
	}
	c.mu.Unlock()
	c.carriers.Wait()
}

// A cord is one connection of a client, with its other half to the server.
type cord struct {
	cutter         *Cutter
	client, server *net.TCPConn

	mu   sync.Mutex
	left int64 // bytes until the cut; less than 0 if there is none
}

// copy carries one direction to its end, which it passes on.
func (k *cord) copy(to, from *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		pass, cut, reset := k.spend(n)
		_, writeErr := to.Write(buf[:pass])
		switch {
		case cut:
			k.close(reset)
			return
		case err == io.EOF && writeErr == nil:
			_ = to.CloseWrite()
			return
		case err != nil || writeErr != nil:
			k.close(true)
			return
		}
	}
}

// spend says how many of n bytes pass, and whether the connection is cut after
// them.
func (k *cord) spend(n int) (pass int, cut, reset bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left < 0 {
		return n, false, false
	}
	if int64(n) < k.left {
		k.left -= int64(n)
		return n, false, false
	}
	pass, k.left = int(k.left), -1
	if cut, reset = k.cutter.cut(); !cut {
		return n, false, false
	}
	return pass, cut, reset
}

// close ends both halves. With reset what was not read is lost, and the other
// side is told so.
func (k *cord) close(reset bool) {
	for _, conn := range []*net.TCPConn{k.client, k.server} {
		if reset {
			_ = conn.SetLinger(0)
		}
		_ = conn.Close()
	}
}
