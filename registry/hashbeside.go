package registry

import "hash"

// besides is how many pieces a hash may be behind what it is given.
const besides = 8

// hashBeside hashes beside whoever gives it bytes, who copies them to it and goes on.
// Hashing takes longer than anything else that is done with a layer, on machines without
// instructions for it, and a layer that is passed on is waited for.
type hashBeside struct {
	hash   hash.Hash
	pieces chan []byte
	free   chan []byte
	done   chan struct{}
}

// newHashBeside makes one, for whoever calls end.
func newHashBeside(h hash.Hash) *hashBeside {
	b := &hashBeside{hash: h, pieces: make(chan []byte, besides), free: make(chan []byte, besides), done: make(chan struct{})}
	for range besides {
		b.free <- nil
	}
	go b.run(b.pieces)
	return b
}

func (b *hashBeside) run(pieces <-chan []byte) {
	defer close(b.done)
	for piece := range pieces {
		b.hash.Write(piece)
		b.free <- piece
	}
}

// write gives it a copy of p.
func (b *hashBeside) write(p []byte) { b.pieces <- append((<-b.free)[:0], p...) }

// end waits for the hash of all that was given. It may be called again, and nothing may
// be given after it.
func (b *hashBeside) end() hash.Hash {
	if b.pieces != nil {
		close(b.pieces)
		b.pieces = nil
	}
	<-b.done
	return b.hash
}
