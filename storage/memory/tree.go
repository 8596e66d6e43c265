package memory

import (
	"math/rand/v2"
	"strings"
)

// node is an immutable treap: a search tree by key that is a heap by rank. A
// change copies the nodes on the way to the key and shares the rest, so every
// root is a snapshot for ever. The random ranks keep it balanced.
type node struct {
	key         string
	value       []byte
	rank        uint64
	left, right *node
}

// find returns the node with key, or nil.
func (n *node) find(key string) *node {
	for n != nil {
		switch c := strings.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// with returns the tree in which key has value. Its root is a fresh node that
// the caller may still change.
func (n *node) with(key string, value []byte) *node {
	if n == nil {
		return &node{key: key, value: value, rank: rand.Uint64()}
	}
	c := *n
	switch cmp := strings.Compare(key, n.key); {
	case cmp < 0:
		c.left = n.left.with(key, value)
		if c.left.rank > c.rank {
			return c.turnRight()
		}
	case cmp > 0:
		c.right = n.right.with(key, value)
		if c.right.rank > c.rank {
			return c.turnLeft()
		}
	default:
		c.value = value
	}
	return &c
}

// turnRight makes the left child the root; both nodes must be fresh.
func (n *node) turnRight() *node {
	root := n.left
	n.left, root.right = root.right, n
	return root
}

// turnLeft makes the right child the root; both nodes must be fresh.
func (n *node) turnLeft() *node {
	root := n.right
	n.right, root.left = root.left, n
	return root
}

// without returns the tree that lacks key; n itself if it had none.
func (n *node) without(key string) *node {
	if n == nil {
		return nil
	}
	c := *n
	switch cmp := strings.Compare(key, n.key); {
	case cmp < 0:
		c.left = n.left.without(key)
	case cmp > 0:
		c.right = n.right.without(key)
	default:
		return join(n.left, n.right)
	}
	if c.left == n.left && c.right == n.right {
		return n
	}
	return &c
}

// join makes one tree of two, all keys of a being before those of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.rank > b.rank:
		c := *a
		c.right = join(a.right, b)
		return &c
	}
	c := *b
	c.left = join(a, b.left)
	return &c
}

// from yields the nodes whose keys are not before start, in order, and says
// whether all were taken.
func (n *node) from(start string, yield func(*node) bool) bool {
	if n == nil {
		return true
	}
	if n.key >= start && !(n.left.from(start, yield) && yield(n)) {
		return false
	}
	return n.right.from(start, yield)
}
