package boltindex

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// bbolt has no checksums but those of its two meta pages, and follows what pages
// say: damage makes it panic, in a goroutine of its own even while it opens a file
// that was not closed. So such a file is read here first, by reads that cannot
// fault. What it holds is that of bbolt's internal/common/{meta,page,inode}.go,
// file version 2: a page is its number (8 bytes), flags (2), count of elements (2)
// and count of pages that it goes on over (4), then elements, and then what these
// point to, from where each begins.

const (
	pageHead    = 16
	elementSize = 16
	metaSize    = 64
	maxDepth    = 64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	noFreelist = math.MaxUint64
)

var order = binary.NativeEndian

// meta is what a meta page says.
type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // how many there are
	tx       uint64
}

// checkFile reads a whole file and says whether bbolt can read every row and no
// page has two uses. It does not know what the rows should hold. The file must not
// change meanwhile.
func checkFile(ctx context.Context, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// Once from front to back, since the pages below come in any order.
	if err := readThrough(ctx, f); err != nil {
		return err
	}
	m, err := readMeta(f)
	if err != nil {
		return err
	}
	if m.pages > uint64(info.Size())/uint64(m.pageSize) {
		return fmt.Errorf("%w: it is cut short: %d bytes, of %d pages of %d", ErrDamaged, info.Size(), m.pages, m.pageSize)
	}
	c := &checker{ctx: ctx, file: f, meta: m, used: make([]uint64, m.pages/64+1)}
	c.used[0] = 3 // the meta pages
	if err := c.bucket(m.root, nil, true, 0); err != nil {
		return err
	}
	if !c.found {
		return fmt.Errorf("%w: it is a bbolt file of something else", ErrDamaged)
	}
	return c.freelist()
}

// readThrough has the system read all of a file.
func readThrough(ctx context.Context, f *os.File) error {
	b := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch _, err := f.Read(b); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}

// readMeta returns what the newer of the sound meta pages says.
func readMeta(f *os.File) (m meta, err error) {
	if one, ok := metaAt(f, 0); ok {
		m = one
	}
	// If the first is lost nobody knows where the second is: bbolt tries so too.
	for size := int64(1024); size <= 16<<20; size *= 2 {
		if two, ok := metaAt(f, size); ok && int64(two.pageSize) == size && (m.pageSize == 0 || two.tx > m.tx) {
			return two, nil
		}
	}
	if m.pageSize == 0 {
		return m, fmt.Errorf("%w: neither of its first two pages says what it is: invalid database", ErrDamaged)
	}
	return m, nil
}

func metaAt(f *os.File, at int64) (m meta, ok bool) {
	var b [pageHead + metaSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return m, false
	}
	d := b[pageHead:]
	sum := fnv.New64a()
	_, _ = sum.Write(d[:56])
	const magic, version = 0xED0CDAED, 2
	if order.Uint32(d) != magic || order.Uint32(d[4:]) != version || order.Uint64(d[56:]) != sum.Sum64() {
		return m, false
	}
	m = meta{order.Uint32(d[8:]), order.Uint64(d[16:]), order.Uint64(d[32:]), order.Uint64(d[40:]), order.Uint64(d[48:])}
	return m, m.pageSize >= 1024 && m.pages >= 2 && m.pages < math.MaxInt64/uint64(m.pageSize)
}

// checker walks over the pages of a file.
type checker struct {
	ctx   context.Context
	file  *os.File
	meta  meta
	used  []uint64 // a bit for each page
	found bool     // the bucket of the rows
}

// bucket checks the pages under a page, or the one that is given, of a bucket that
// has others, or rows.
func (c *checker) bucket(page uint64, inline []byte, top bool, depth int) error {
	if page != 0 {
		return c.page(page, bounds{}, top, true, depth)
	}
	return c.elements(inline, 0, bounds{}, top, true, depth)
}

// bounds are the keys that a page may have: from low on, to before high.
type bounds struct{ low, high []byte }

func (c *checker) page(id uint64, keys bounds, top, root bool, depth int) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return c.bad(id, "it lies too deep")
	}
	b, err := c.read(id)
	if err != nil {
		return err
	}
	return c.elements(b, id, keys, top, root, depth)
}

// read returns a page with all that it goes on over, and marks them as used.
func (c *checker) read(id uint64) ([]byte, error) {
	if id < 2 || id >= c.meta.pages {
		return nil, c.bad(id, "there is no such page")
	}
	var head [pageHead]byte
	if _, err := c.file.ReadAt(head[:], int64(id)*int64(c.meta.pageSize)); err != nil {
		return nil, c.bad(id, err.Error())
	}
	more := uint64(order.Uint32(head[12:]))
	if order.Uint64(head[:]) != id || more >= c.meta.pages-id {
		return nil, c.bad(id, "it is another page")
	}
	for p := id; p <= id+more; p++ {
		if !c.use(p) {
			return nil, c.bad(p, "it is used twice")
		}
	}
	b := make([]byte, (more+1)*uint64(c.meta.pageSize))
	if _, err := c.file.ReadAt(b, int64(id)*int64(c.meta.pageSize)); err != nil {
		return nil, c.bad(id, err.Error())
	}
	return b, nil
}

// use marks a page, and says whether it was free.
func (c *checker) use(page uint64) bool {
	word, bit := &c.used[page/64], uint64(1)<<(page%64)
	free := *word&bit == 0
	*word |= bit
	return free
}

func (c *checker) bad(page uint64, what string) error {
	return fmt.Errorf("%w: page %d: %s", ErrDamaged, page, what)
}

// elements checks what is on a page, and all pages below it.
func (c *checker) elements(b []byte, id uint64, keys bounds, top, root bool, depth int) error {
	if len(b) < pageHead {
		return c.bad(id, "a bucket in it is cut short")
	}
	flags, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || pageHead+count*elementSize > len(b) || count == 0 && (flags == branchPage || !root) {
		return c.bad(id, "it does not begin as it should")
	}
	var last []byte
	for i := range count {
		e := element{b[pageHead+i*elementSize:], flags == branchPage}
		key, value, ok := e.read()
		if !ok || len(key) == 0 || i > 0 && bytes.Compare(key, last) <= 0 ||
			bytes.Compare(key, keys.low) < 0 || keys.high != nil && bytes.Compare(key, keys.high) >= 0 {
			return c.bad(id, fmt.Sprintf("its key %d is not in order", i))
		}
		last = key
		var err error
		switch {
		case e.branch:
			below := bounds{key, keys.high}
			if i+1 < count {
				below.high, _, _ = element{b[pageHead+(i+1)*elementSize:], true}.read()
			}
			err = c.page(e.page(), below, top, false, depth+1)
		case top:
			err = c.inner(id, e, key, value, depth)
		case e.flags() != 0:
			err = c.bad(id, "a row is a bucket")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inner checks a bucket that is an element of the uppermost one: its value is the
// number of its first page and its sequence, and its page itself if it has none.
func (c *checker) inner(id uint64, e element, key, value []byte, depth int) error {
	if e.flags() != 1 || len(value) < 16 {
		return c.bad(id, "what should be a bucket is a row")
	}
	c.found = c.found || bytes.Equal(key, bucket)
	return c.bucket(order.Uint64(value), value[16:], false, depth+1)
}

// element is one of a page, with all of the page that comes after its beginning.
type element struct {
	b      []byte
	branch bool
}

func (e element) flags() uint32 { return order.Uint32(e.b) }
func (e element) page() uint64  { return order.Uint64(e.b[8:]) }

// read returns what the element points to, if that is on the page.
func (e element) read() (key, value []byte, ok bool) {
	var at, keySize, valueSize uint64
	if e.branch {
		at, keySize = uint64(order.Uint32(e.b)), uint64(order.Uint32(e.b[4:]))
	} else {
		at, keySize, valueSize = uint64(order.Uint32(e.b[4:])), uint64(order.Uint32(e.b[8:])), uint64(order.Uint32(e.b[12:]))
	}
	if at+keySize+valueSize > uint64(len(e.b)) {
		return nil, nil, false
	}
	return e.b[at : at+keySize], e.b[at+keySize : at+keySize+valueSize], true
}

// freelist checks the list of free pages, which only a file that was closed has.
func (c *checker) freelist() error {
	id := c.meta.freelist
	if id == noFreelist {
		return nil
	}
	b, err := c.read(id)
	if err != nil {
		return err
	}
	count, list := uint64(order.Uint16(b[10:])), b[pageHead:]
	if count == math.MaxUint16 { // it stands in the list's first place
		count, list = order.Uint64(list), list[8:]
	}
	if order.Uint16(b[8:]) != freelistPage || count > uint64(len(list)/8) {
		return c.bad(id, "it is not the list of free pages")
	}
	for i := range count {
		if page := order.Uint64(list[8*i:]); page >= c.meta.pages || !c.use(page) {
			return c.bad(page, "it is not free, as the list of free pages says")
		}
	}
	return nil
}
