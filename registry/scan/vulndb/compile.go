package vulndb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage/disk"
)

// CompileOptions are what Compile may be told.
type CompileOptions struct {
	// Ecosystems are those to take, without releases; nil means all that there are.
	Ecosystems []string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// unfinished is how the names of files begin that are not complete; a "*" is a number.
const unfinished = ".unfinished-*"

// Compile makes a database at the path "to" of the zips in the folder "from", as Zips
// finds them. The file that was there gives way when the new one is complete and on the
// disk; who has it open keeps it. The records are not all held at once: what is held is
// some tens of megabytes, and the list of the files of one zip. A record that cannot be read is counted and the others are
// taken; a zip that cannot be read is an error, or more than a tenth and a hundred of whose
// records cannot, and so is a folder without any.
func Compile(ctx context.Context, from, to string, o CompileOptions) (Info, error) {
	zips, err := Zips(from)
	if err != nil {
		return Info{}, err
	}
	if o.Ecosystems != nil {
		zips = slices.DeleteFunc(zips, func(z Zip) bool { return !slices.Contains(o.Ecosystems, z.Ecosystem) })
	}
	if len(zips) == 0 {
		return Info{}, ErrNoZips
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	f, err := os.CreateTemp(filepath.Dir(to), unfinished)
	if err != nil {
		return Info{}, err
	}
	info, err := compileInto(ctx, f, zips, now)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return Info{}, errors.Join(err, os.Remove(f.Name()))
	}
	return info, disk.Sync(disk.OS{}, filepath.Dir(to))
}

// compileInto makes a database of an empty file.
func compileInto(ctx context.Context, f *os.File, zips []Zip, now func() time.Time) (Info, error) {
	c, err := newCompiler(f.Name(), now())
	if err != nil {
		return Info{}, err
	}
	for _, z := range zips {
		if err = c.zip(ctx, z); err != nil {
			break
		}
	}
	if err == nil {
		err = c.flush()
	}
	rows, err := c.close(err)
	if err != nil {
		return Info{}, err
	}
	info := c.described()
	info.Sum, err = putSeal(f, rows, info)
	return info, err
}

// A compiler gathers until so much is at hand, and then writes it in one transaction.
const (
	blockSize = 64 << 10 // bytes of the records of a block
	rowSize   = 64 << 10 // bytes of what is affected by a row
	batchSize = 16 << 20 // bytes between two transactions
	maxSample = 20
	fewBad    = 100 // records of a zip that may be unreadable, whatever share they are
)

type compiler struct {
	db    *bolt.DB
	codec *codec
	info  Info
	// counts are those of the ecosystems.
	counts map[string]int

	block  []byte   // lines of the block that is being filled
	lines  int      // how many
	blocks uint32   // how many are full
	full   [][]byte // those that are not written, packed

	entries    []entry
	held, rows int    // bytes of entries, and of full
	number     uint32 // of the next row of affected
	batch      int    // how many bytes are held until they are written
}

// entry is what affects a package, before it is written: a line.
type entry struct {
	key  string
	json []byte
}

func newCompiler(path string, now time.Time) (*compiler, error) {
	code, err := newCodec()
	if err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		// Nobody reads it before it is sealed, so what a kill leaves need not be sound.
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		Timeout: time.Second,
	})
	if err != nil {
		code.close()
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucket(blocksBucket)
		_, err2 := tx.CreateBucket(affectedBucket)
		return errors.Join(err1, err2)
	})
	if err != nil {
		code.close()
		return nil, errors.Join(err, db.Close())
	}
	return &compiler{db: db, codec: code, info: Info{Compiled: now.UTC()}, counts: map[string]int{}, batch: batchSize}, nil
}

// close ends the work on a file, of which so many bytes are bbolt's.
func (c *compiler) close(failed error) (rows int64, err error) {
	c.codec.close()
	err = failed
	if err == nil {
		err = c.db.View(func(tx *bolt.Tx) error {
			rows = tx.Size()
			return nil
		})
	}
	return rows, errors.Join(err, c.db.Close())
}

// described is what there is to say of the database.
func (c *compiler) described() Info {
	for _, name := range slices.Sorted(maps.Keys(c.counts)) {
		c.info.Ecosystems = append(c.info.Ecosystems, Ecosystem{name, c.counts[name]})
	}
	return c.info
}

// zip takes the records of a zip.
func (c *compiler) zip(ctx context.Context, z Zip) error {
	if c.info.AsOf.IsZero() || z.Modified.Before(c.info.AsOf) {
		c.info.AsOf = z.Modified
	}
	before, read := c.info.Unreadable, 0
	err := z.read(ctx, func(name string, data []byte) error {
		read++
		return c.record(z, name, data)
	}, func(name string, reason error) {
		read++
		c.unreadable(z, name, reason)
	})
	if bad := c.info.Unreadable - before; err == nil && bad > fewBad && bad > read/10 {
		err = z.wrong(fmt.Errorf("%d of its %d records cannot be read", bad, read))
	}
	return err
}

func (c *compiler) unreadable(z Zip, name string, reason error) {
	c.info.Unreadable++
	if len(c.info.Samples) < maxSample {
		c.info.Samples = append(c.info.Samples, Sample{z.Ecosystem, shown(strings.TrimSuffix(name, ".json")), reason.Error()})
	}
}

// record takes one.
func (c *compiler) record(z Zip, name string, data []byte) error {
	r, err := parseRecord(data)
	if err != nil {
		c.unreadable(z, name, err)
		return nil
	}
	if r.Withdrawn != "" {
		c.info.Withdrawn++
		return nil
	}
	// A date in times to come is a mistake, and would hide how old the others are.
	if at := r.Modified.UTC(); at.After(c.info.Newest) && at.Before(c.info.Compiled.Add(24*time.Hour)) {
		c.info.Newest = at
	}
	here, err := c.affects(z, r)
	if err != nil {
		c.unreadable(z, name, err)
	}
	if len(here) == 0 {
		return nil
	}
	return c.put(distil(r), here)
}

// packageEntry is what is affected of one package.
type packageEntry struct {
	ecosystem, name string
	affected        affected
}

// affects are the packages that a record affects and the zip is for. The error is of
// those that are left out, if there are any.
func (c *compiler) affects(z Zip, r *osvRecord) (list []packageEntry, failed error) {
	for i := range r.Affected {
		a := &r.Affected[i]
		if !z.has(a.Package.Ecosystem) {
			continue
		}
		kept, err := affectedOf(a)
		if !isName(a.Package.Name) || !isName(a.Package.Ecosystem) {
			err = errBadPackage
		}
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		list = append(list, packageEntry{a.Package.Ecosystem, a.Package.Name, kept})
	}
	return list, failed
}

// put takes a record and the packages that it affects.
func (c *compiler) put(r record, packages []packageEntry) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	at := ref{c.blocks, c.lines}
	c.info.Records++
	c.block = append(append(c.block, body...), '\n')
	c.lines++
	seen := map[string]bool{}
	for _, p := range packages {
		p.affected.Record = at
		body, err := json.Marshal(p.affected)
		if err != nil {
			return err
		}
		key := keyOf(p.ecosystem, p.name)
		c.entries = append(c.entries, entry{key, body})
		c.held += len(key) + len(body) + 64
		if !seen[p.ecosystem] {
			seen[p.ecosystem] = true
			c.counts[p.ecosystem]++
		}
	}
	if len(c.block) >= blockSize {
		c.endBlock()
	}
	if c.held+c.rows >= c.batch {
		return c.flush()
	}
	return nil
}

// endBlock packs the block that is being filled.
func (c *compiler) endBlock() {
	if c.lines == 0 {
		return
	}
	packed := c.codec.pack(c.block)
	c.full = append(c.full, packed)
	c.rows += len(packed)
	c.block, c.lines = c.block[:0], 0
	c.blocks++
}

// flush writes what is at hand.
func (c *compiler) flush() error {
	c.endBlock()
	slices.SortStableFunc(c.entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	err := c.db.Update(func(tx *bolt.Tx) error {
		blocks, rows := tx.Bucket(blocksBucket), tx.Bucket(affectedBucket)
		blocks.FillPercent = 1 // its keys come in order
		for i, packed := range c.full {
			if err := blocks.Put(numbered("", c.blocks-uint32(len(c.full)-i)), packed); err != nil {
				return err
			}
		}
		return c.putEntries(rows)
	})
	c.full, c.entries, c.held, c.rows = nil, c.entries[:0], 0, 0
	return err
}

// putEntries writes the entries, which are in order, several to a row.
func (c *compiler) putEntries(rows *bolt.Bucket) error {
	var lines []byte
	for i := 0; i < len(c.entries); {
		key := c.entries[i].key
		lines = lines[:0]
		for ; i < len(c.entries) && c.entries[i].key == key && len(lines) < rowSize; i++ {
			lines = append(append(lines, c.entries[i].json...), '\n')
		}
		if c.number++; c.number == 0 {
			return fmt.Errorf("vulndb: more rows than there are numbers")
		}
		if err := rows.Put(numbered(key, c.number), c.codec.pack(lines)); err != nil {
			return err
		}
	}
	return nil
}
