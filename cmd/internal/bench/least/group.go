package least

import (
	"encoding/binary"
	"sync"
)

// group has those that wait at the same time share one commit.
type group struct {
	commit func(records []byte) error

	mu      sync.Mutex
	records []byte // of those that wait for the next commit
	next    *batch // nil if nobody does
	running bool
}

type batch struct {
	done chan struct{}
	err  error
}

// do returns when a commit that has the record, and began after the call, is
// done.
func (g *group) do(record []byte) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &batch{done: make(chan struct{})}
	}
	b := g.next
	g.records = append(g.records, record...)
	first := !g.running
	g.running = true
	g.mu.Unlock()
	if first {
		g.run()
	}
	<-b.done
	return b.err
}

// run commits for whoever waits: first for the caller and those that came with
// it, then, in a goroutine of its own, for those that came meanwhile.
func (g *group) run() {
	g.mu.Lock()
	b, records := g.next, g.records
	g.next, g.records = nil, nil
	if b == nil {
		g.running = false
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	b.err = g.commit(records)
	close(b.done)
	g.mu.Lock()
	more := g.next != nil
	g.running = more
	g.mu.Unlock()
	if more {
		go g.run()
	}
}

// record is a line of the log: its parts, each after its length.
func record(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		var text []byte
		switch p := p.(type) {
		case string:
			text = []byte(p)
		case []byte:
			text = p
		}
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}
