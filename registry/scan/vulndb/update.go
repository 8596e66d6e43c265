package vulndb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Updated is what an update did.
type Updated struct {
	Changed bool // there is another database now
	Info    Info // of the one that there is; zero if there is none
}

// ErrNoSource says that nothing is set from where records could come.
var ErrNoSource = errors.New("vulndb: neither a directory nor an address of records is configured")

// Update looks for newer records where the settings say, and makes a database of them
// if there are some. While it works, and when it fails, the old one stays. It does
// nothing beside another update.
func (k *Keeper) Update(ctx context.Context) (Updated, error) {
	return k.work(ctx, func() error {
		s := k.o.Settings()
		switch {
		case s.Directory != "":
			return k.fromDirectory(ctx, s)
		case s.URL != "":
			return k.fromURL(ctx, s)
		}
		return ErrNoSource
	})
}

// Run is Update for who does it again and again, and may do so before the time: where
// nothing is set there is nothing to do, and an address that was asked not long ago is not
// asked again. The database that is there is read whole first, once.
func (k *Keeper) Run(ctx context.Context) error {
	k.check(ctx)
	if s := k.o.Settings(); s.Directory == "" && s.URL == "" || k.fresh(s) {
		return nil
	}
	_, err := k.Update(ctx)
	return err
}

// Wanted says whether Run has anything to do.
func (k *Keeper) Wanted(context.Context) (bool, error) {
	s := k.o.Settings()
	k.mu.Lock()
	unread := k.current != nil && !k.checked
	k.mu.Unlock()
	return unread || s.Directory != "" || s.URL != "" && !k.fresh(s), nil
}

// fresh says whether all that an address has was asked for less than half an interval
// ago.
func (k *Keeper) fresh(s Settings) bool {
	if s.Directory != "" {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.state
	return k.current != nil && k.current.Sum == now.Sum && now.Source == fromURL && now.From == s.URL && slices.Equal(now.Ecosystems, s.Ecosystems) &&
		len(now.Zips) == len(s.wanted()) && k.now().Sub(oldest(now.Zips)) < s.Interval/2
}

// Import makes a database of the zips in a folder, once.
func (k *Keeper) Import(ctx context.Context, folder string) (Updated, error) {
	return k.work(ctx, func() error {
		zips, err := Zips(folder)
		if err != nil {
			return err
		}
		return k.compile(ctx, folder, state{Source: fromImport, From: folder, Zips: asFetched(zips)}, nil)
	})
}

// work changes the folder, beside nobody else.
func (k *Keeper) work(ctx context.Context, fn func() error) (Updated, error) {
	select {
	case k.working <- struct{}{}:
		defer func() { <-k.working }()
	case <-ctx.Done():
		return Updated{}, ctx.Err()
	}
	k.note(func() { k.busy = true })
	before, _ := k.Info()
	err := fn()
	after, _ := k.Info()
	k.note(func() {
		k.busy = false
		if ctx.Err() != nil || errors.Is(err, ErrNoSource) {
			return
		}
		k.looked, k.failed = k.now().UTC(), err
	})
	return Updated{before.Sum != after.Sum, after}, err
}

func (k *Keeper) note(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
}

// check reads the whole database, once after the start, and lets go of one that is
// damaged.
func (k *Keeper) check(ctx context.Context) {
	var once bool
	k.note(func() { once, k.checked = !k.checked && k.current != nil, true })
	if !once || ctx.Err() != nil {
		return
	}
	f, err := os.Open(k.database())
	if err != nil {
		return
	}
	defer f.Close()
	if _, err = Verify(f); errors.Is(err, ErrDamaged) {
		k.log.Error("the vulnerability database is damaged, and is not used any more", "error", err)
		if err := os.Remove(k.database()); err != nil {
			k.log.Error("the damaged vulnerability database cannot be removed", "error", err)
		}
		k.load()
	}
}

// fromDirectory compiles the zips of a folder if they are others than those that the
// database was made of.
func (k *Keeper) fromDirectory(ctx context.Context, s Settings) error {
	zips, err := Zips(s.Directory)
	if err != nil {
		return fmt.Errorf("scanning.database.directory: %w", err)
	}
	if s.Ecosystems != nil {
		zips = slices.DeleteFunc(zips, func(z Zip) bool { return !slices.Contains(s.Ecosystems, z.Ecosystem) })
	}
	next := state{Source: fromDirectory, From: s.Directory, Ecosystems: s.Ecosystems, Zips: asFetched(zips)}
	if k.isOf(next) {
		return nil
	}
	return k.compile(ctx, s.Directory, next, s.Ecosystems)
}

// asFetched are zips that somebody else has put where they are.
func asFetched(zips []Zip) []Fetched {
	list := make([]Fetched, 0, len(zips))
	for _, z := range zips {
		list = append(list, Fetched{Zip: z, Checked: z.Modified})
	}
	return list
}

// isOf says whether the database that there is was made of just these zips.
func (k *Keeper) isOf(next state) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.state
	return k.current != nil && k.current.Sum == now.Sum && now.Source == next.Source && now.From == next.From &&
		slices.Equal(now.Ecosystems, next.Ecosystems) && slices.EqualFunc(now.Zips, next.Zips, sameZip)
}

func sameZip(a, b Fetched) bool {
	return a.Ecosystem == b.Ecosystem && a.Size == b.Size && a.Modified.Equal(b.Modified) && a.ETag == b.ETag
}

// compile makes the database anew, and notes what it is made of.
func (k *Keeper) compile(ctx context.Context, folder string, next state, ecosystems []string) error {
	begun := time.Now()
	info, err := Compile(ctx, folder, k.database(), CompileOptions{Ecosystems: ecosystems, Now: k.now})
	if err != nil {
		return err
	}
	next.Sum, next.AsOf = info.Sum, oldest(next.Zips)
	k.keep(next)
	k.load()
	k.log.Info("the vulnerability database is compiled", "records", info.Records, "withdrawn", info.Withdrawn, "unreadable", info.Unreadable,
		"newest", info.Newest, "took", time.Since(begun).Round(time.Millisecond))
	for _, s := range info.Samples {
		k.log.Warn("a record of vulnerabilities cannot be read", "ecosystem", s.Zip, "record", s.Name, "reason", s.Reason)
	}
	return nil
}

// keep notes a state. One that cannot be written costs work after the next start, no
// more.
func (k *Keeper) keep(next state) {
	k.note(func() { k.state = next })
	if err := next.write(k.stateFile()); err != nil {
		k.log.Warn("what the vulnerability database is made of cannot be noted", "error", err)
	}
}
