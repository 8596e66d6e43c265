package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"strconv"
)

// sum is a SHA-256.
type sum [sha256.Size]byte

func (s sum) String() string { return hex.EncodeToString(s[:]) }

func newHMAC(key []byte) hash.Hash { return hmac.New(sha256.New, key) }

// chain makes lines of records. The last member of a line, and nothing else, is
//
//	"chain":{"sequence":N,"previous":"…","hash":"…","seal":"…"}
//
// where previous is the hash of the line before, hash the SHA-256 of the line up
// to that member, so of its content, its number and the line before, and seal
// the HMAC-SHA256 of hash.
type chain struct {
	mark
	seal hash.Hash // nil without a key
	made sum       // the last seal, which lives here so that none is allocated
}

const (
	chainMember = `,"chain":{"sequence":`
	hashMember  = `,"hash":"`
	sealMember  = `","seal":"`
)

// append adds a record to dst as the next line. The record is a JSON object
// without its last brace.
func (c *chain) append(dst, record []byte) []byte {
	start := len(dst)
	dst = append(dst, record...)
	dst = append(dst, chainMember...)
	c.sequence++
	dst = strconv.AppendUint(dst, c.sequence, 10)
	dst = append(dst, `,"previous":"`...)
	dst = hex.AppendEncode(dst, c.hash[:])
	dst = append(dst, '"')
	c.hash = sha256.Sum256(dst[start:])
	dst = append(dst, hashMember...)
	dst = hex.AppendEncode(dst, c.hash[:])
	if c.seal != nil {
		dst = append(dst, sealMember...)
		c.seal.Reset()
		c.seal.Write(c.hash[:])
		c.seal.Sum(c.made[:0])
		dst = hex.AppendEncode(dst, c.made[:])
	}
	return append(dst, `"}}`+"\n"...)
}

// link is what a line says of its place in the chain.
type link struct {
	mark
	previous sum
	seal     []byte // nil if it has none
	computed sum    // what hash should be
}

// Why a line is none of a chain.
var (
	errNoJSON  = errors.New("the line is not JSON")
	errNoChain = errors.New("the line has no place in a chain")
)

// parseLine reads a line, without its newline.
func parseLine(line []byte) (l link, err error) {
	if !json.Valid(line) {
		return l, errNoJSON
	}
	at := bytes.LastIndex(line, []byte(chainMember))
	end := bytes.LastIndex(line, []byte(hashMember))
	if at < 0 || end < at {
		return l, errNoChain
	}
	var member struct {
		Chain struct {
			Sequence       uint64
			Previous, Hash string
			Seal           *string
		}
	}
	if err := json.Unmarshal(append([]byte{'{'}, line[at+1:]...), &member); err != nil {
		return l, errNoChain
	}
	m := member.Chain
	l.sequence, l.computed = m.Sequence, sha256.Sum256(line[:end])
	ok := parseSum(&l.previous, m.Previous) && parseSum(&l.hash, m.Hash)
	if m.Seal != nil {
		var seal sum
		ok = ok && parseSum(&seal, *m.Seal)
		l.seal = seal[:]
	}
	if !ok {
		return l, errNoChain
	}
	return l, nil
}

func parseSum(to *sum, text string) bool {
	if len(text) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to[:], []byte(text))
	return err == nil
}

// sealed says whether a line's seal was made with key.
func (l link) sealed(key []byte) bool {
	mac := newHMAC(key)
	mac.Write(l.hash[:])
	return l.seal != nil && hmac.Equal(mac.Sum(nil), l.seal)
}
