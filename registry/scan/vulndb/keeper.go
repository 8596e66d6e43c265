package vulndb

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// Errors of a server that has no database to look into. They come with a scan.Problem,
// whose text is for people.
var (
	ErrNone   = errors.New("vulndb: there is no vulnerability database")
	ErrTooOld = errors.New("vulndb: the vulnerability database is too old")
)

// Settings say where records come from. With neither a folder nor an address the
// database is what was imported.
type Settings struct {
	// Directory has the zips, as OSV's bucket has them; it is looked at, never written.
	Directory string
	// URL is where such a bucket is, without a slash at its end.
	URL string
	// Ecosystems are those to take. Nil means all that the folder has, and from an
	// address DefaultEcosystems.
	Ecosystems []string
	// Interval is the time between two looks; zero means that nobody looks but who asks.
	Interval time.Duration
	// MaxAge is how old a database may be; zero means as old as it is.
	MaxAge time.Duration
}

// DefaultEcosystems are those that are fetched unless others are set: of the distributions
// and languages whose packages are found in images.
func DefaultEcosystems() []string {
	return []string{
		"Alpine", "Chainguard", "Debian", "Go", "Maven", "PyPI", "RubyGems", "Ubuntu", "Wolfi", "crates.io", "npm",
	}
}

// wanted are the ecosystems that are fetched.
func (s Settings) wanted() []string {
	if s.Ecosystems == nil {
		return DefaultEcosystems()
	}
	return s.Ecosystems
}

// KeeperOptions are what NewKeeper needs.
type KeeperOptions struct {
	// Folder is the keeper's own: it is made, and what others put there may go.
	Folder string
	// Settings are asked for whenever they matter, so they may change.
	Settings func() Settings
	// Client fetches; nil means that nothing can be fetched. It must bound the time that an answer
	// may rest.
	Client *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what happens; nil means nowhere.
	Log *slog.Logger
}

// Keeper has the database of a folder and keeps it current. It may be used by several
// goroutines at once.
type Keeper struct {
	o       KeeperOptions
	now     func() time.Time
	log     *slog.Logger
	working chan struct{} // held by who changes the folder
	wake    chan struct{}

	mu      sync.Mutex
	current *Info // nil if there is none
	why     error // there is none
	state   state
	changed chan struct{} // closed at the next change
	failed  error         // of the last update
	looked  time.Time     // when that ended
	busy    bool
	checked bool // the whole file was read
}

const databaseFile = "vulnerabilities.db"

// NewKeeper opens the folder and what database is there, of which only the end is read.
// What an earlier process did not finish is removed. A database that cannot be used is no
// error: Open says what it is, and the next update makes another.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	k := &Keeper{
		o: o, now: o.Now, log: o.Log, working: make(chan struct{}, 1), wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if k.now == nil {
		k.now = time.Now
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(k.zips(), 0o700); err != nil {
		return nil, fmt.Errorf("vulndb: %w", err)
	}
	if err := k.clear(); err != nil {
		return nil, fmt.Errorf("vulndb: %w", err)
	}
	k.state = readState(k.stateFile())
	k.load()
	k.Wake()
	return k, nil
}

func (k *Keeper) database() string  { return filepath.Join(k.o.Folder, databaseFile) }
func (k *Keeper) zips() string      { return filepath.Join(k.o.Folder, "zips") }
func (k *Keeper) stateFile() string { return filepath.Join(k.o.Folder, "state.json") }

// clear removes what was not finished.
func (k *Keeper) clear() error {
	var left []string
	for _, pattern := range []string{unfinished, filepath.Join("zips", unfinished)} {
		found, err := filepath.Glob(filepath.Join(k.o.Folder, pattern))
		if err != nil {
			return err
		}
		left = append(left, found...)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// load reads what database there is, and says so to those who wait for a change.
func (k *Keeper) load() {
	info, err := infoOf(k.database())
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.current
	k.current, k.why = &info, nil
	if err != nil {
		k.current, k.why = nil, err
		if !errors.Is(err, fs.ErrNotExist) {
			k.log.Error("the vulnerability database cannot be used", "error", err)
		}
	}
	if before != nil && k.current != nil && before.Sum != k.current.Sum || (before == nil) != (k.current == nil) {
		close(k.changed)
		k.changed = make(chan struct{})
	}
}

// infoOf reads what a file says of itself.
func infoOf(path string) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	_, info, err := readSeal(f)
	return info, err
}

// Open opens the database for who looks into it, who has to close it. It stays what it
// is while another takes its place. The error wraps ErrNone or ErrTooOld if there is none
// that may be used, and a *scan.Problem.
func (k *Keeper) Open() (*os.File, error) {
	if err := k.Usable(); err != nil {
		return nil, err
	}
	f, err := os.Open(k.database())
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrNone, scan.NewProblem(scan.NoDatabase, "The vulnerability database of the server cannot be opened"), err)
	}
	return f, nil
}

// Usable says why there is no database that may be used, as Open does; nil if there is
// one.
func (k *Keeper) Usable() error {
	most := k.o.Settings().MaxAge
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.current == nil && k.why != nil && !errors.Is(k.why, fs.ErrNotExist):
		return fmt.Errorf("%w: %w: %w", ErrNone, scan.NewProblem(scan.NoDatabase, "The vulnerability database of the server cannot be used"), k.why)
	case k.current == nil:
		return fmt.Errorf("%w: %w", ErrNone, scan.NewProblem(scan.NoDatabase, "The server has no vulnerability database"))
	}
	if at := k.asOf(); most > 0 && k.now().Sub(at) > most {
		return fmt.Errorf("%w: %w", ErrTooOld, scan.NewProblem(scan.NoDatabase,
			"The vulnerability database of the server is too old: it is of %s, and may have %s", at.Format(time.DateOnly), most))
	}
	return nil
}

// asOf is how old the records are. What was asked for again and had not changed is
// as new as the answer. The caller holds mu.
func (k *Keeper) asOf() time.Time {
	if k.current == nil {
		return time.Time{}
	}
	if k.state.Sum == k.current.Sum && !k.state.AsOf.IsZero() {
		return k.state.AsOf
	}
	return k.current.AsOf
}

// Changed is closed when there is another database than there is now, or none any more.
func (k *Keeper) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// Info says what the database is; false if there is none.
func (k *Keeper) Info() (Info, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil {
		return Info{}, false
	}
	info := *k.current
	info.AsOf = k.asOf()
	return info, true
}

// Status is what there is to say of a keeper.
type Status struct {
	// Database is nil if there is none.
	Database *Info
	// Unusable is why no scan can use it, "" if one can.
	Unusable string
	// Source is where the records are of: "directory", "url" or "import"; "" if there
	// is no database. From says which.
	Source, From string
	Zips         []Fetched // that it was made of
	Bytes        int64     // of its file
	// Looked is when it was last looked for newer records, and Failed why that came to
	// nothing, "" if it did not. Busy says that somebody does now.
	Looked time.Time
	Failed string
	Busy   bool
}

// Status says how the keeper does.
func (k *Keeper) Status() Status {
	var st Status
	if err := k.Usable(); err != nil {
		var p *scan.Problem
		if errors.As(err, &p) {
			st.Unusable = p.Text
		}
	}
	if info, ok := k.Info(); ok {
		st.Database = &info
	}
	if stat, err := os.Stat(k.database()); err == nil {
		st.Bytes = stat.Size()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil {
		st.Source, st.From, st.Zips = k.state.Source, k.state.From, k.state.Zips
	}
	st.Looked, st.Busy = k.looked, k.busy
	if k.failed != nil {
		st.Failed = k.failed.Error()
	}
	return st
}

// Wake has Woken say that there may be something to do: settings have changed.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Woken is when there may be something to do before Every says so.
func (k *Keeper) Woken() <-chan struct{} { return k.wake }

// retry is how soon is tried again what failed.
const retry = 10 * time.Minute

// Every is the time between two updates.
func (k *Keeper) Every() time.Duration {
	every := k.o.Settings().Interval
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil && every > retry {
		return retry
	}
	return every
}
