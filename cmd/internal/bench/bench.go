// Package bench puts load on registries, by the protocol of OCI and by ECR's API,
// and says how long they take to answer. What it measures is the server: requests
// are put together ahead, answers read no further than needed, and layers made of
// bytes that are hashed once. It works in repositories of its own and removes them.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

// Target is the registry that is measured.
type Target struct {
	Registry string // URL of the protocol of OCI, without a slash at its end; "" for none
	API      string // URL of ECR's API, in the same form; "" for none
	Signer   ecrlogin.Signer
	User     string // whose password opens the registry; "" for nobody's
	Password accounts.Secret
	CA       string // file of certificates to trust beside the system's; "" for none
	// CPU is the time that the server's process has had a processor for, if it can
	// be known; nil if it cannot.
	CPU func() (time.Duration, error)
}

// Options say what is measured. All must be set, but for those with a zero that
// is explained.
type Options struct {
	Scenarios    []Choice
	Concurrency  int           // requests at once; 0 for each scenario's own, or 16
	Duration     time.Duration // of each scenario
	Count        int64         // operations of each scenario, in the place of a duration; 0 for none
	Layers       int           // of an image
	LayerSize    int64         // bytes
	LargeSize    int64         // bytes of a large layer
	Images       int           // that are put in place to be read
	Tags         int           // of the repository whose tags are listed, and images of the one that is described
	Repositories int           // that are put in place to be listed
	Prefix       string        // folder of the repositories, such as "berth-bench"
	Monolithic   bool          // send a blob with the PUT, as containerd does, and not with a PATCH
	Keep         bool          // leave everything in the registry
	// Watch is told how it goes, some times a second and never by two goroutines at
	// once; nil for nobody.
	Watch func(Progress)
}

// Defaults are options for a person who wants to see what a registry does.
func Defaults() Options {
	return Options{
		Duration: 5 * time.Second, Layers: 5, LayerSize: 64 << 10, LargeSize: 64 << 20,
		Images: 64, Tags: 1000, Repositories: 200, Prefix: "berth-bench",
	}
}

// concurrency is that of small requests where nothing says another.
const concurrency = 16

// Check says what options make no sense.
func (o Options) Check() error {
	switch {
	case o.Concurrency < 0 || o.Count < 0:
		return errors.New("neither a concurrency nor a count is below zero")
	case o.Duration <= 0 && o.Count == 0:
		return errors.New("a scenario needs a duration or a count")
	case o.Layers < 1 || o.Images < 1 || o.Tags < 1 || o.Repositories < 1:
		return errors.New("layers, images, tags and repositories are 1 at least")
	case o.LayerSize < ownBytes || o.LargeSize < ownBytes:
		return fmt.Errorf("a layer has %d bytes at least", ownBytes)
	case o.Prefix == "":
		return errors.New("the repositories need a prefix")
	}
	return nil
}

// Run measures scenarios one after the other. What is done by the end of ctx
// counts. The report is of use also beside an error.
func Run(ctx context.Context, t Target, o Options) (Report, error) {
	report := Report{Registry: t.Registry, API: t.API, Started: time.Now().UTC()}
	if err := o.Check(); err != nil {
		return report, err
	}
	s, err := open(ctx, t, o)
	if err != nil {
		return report, err
	}
	for i, c := range o.Scenarios {
		if ctx.Err() != nil {
			break
		}
		report.Results = append(report.Results, s.scenario(ctx, c, i))
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	s.tell(Progress{Scenario: "clean up", Index: len(o.Scenarios), Of: len(o.Scenarios)})
	report.Left = s.clean(clean)
	return report, ctx.Err()
}

// cleaning is how long removing what was made may take.
const cleaning = 5 * time.Minute

// scenario runs one.
func (s *session) scenario(ctx context.Context, c Choice, index int) Result {
	sc := named(c.Scenario)
	r := &run{scenario: sc.name, concurrency: s.concurrency(c, sc), duration: s.options.Duration, count: s.options.Count}
	if why := s.lacks(sc.door); why != "" {
		return Result{Scenario: sc.name, Concurrency: r.concurrency, Skipped: why}
	}
	progress := Progress{Scenario: sc.name, Index: index, Of: len(s.options.Scenarios)}
	s.tell(progress)
	do, err := sc.prepare(ctx, s)
	var cannot *unsupported
	switch {
	case errors.As(err, &cannot):
		return Result{Scenario: sc.name, Concurrency: r.concurrency, Skipped: cannot.why}
	case err != nil:
		return Result{Scenario: sc.name, Concurrency: r.concurrency, Errors: 1, ErrorKinds: map[string]int64{kindOf(err): 1}, FirstError: err.Error()}
	}
	stop := s.watch(r, progress)
	server, own := s.serverCPU(), ownCPU()
	r.measure(ctx, s, do)
	res := r.result()
	res.ClientCPU = (ownCPU() - own).Seconds()
	if now := s.serverCPU(); now > 0 {
		res.ServerCPU = (now - server).Seconds()
	}
	stop()
	return res
}

func (s *session) concurrency(c Choice, sc scenario) int {
	for _, n := range []int{c.Concurrency, s.options.Concurrency, sc.concurrency} {
		if n > 0 {
			return n
		}
	}
	return concurrency
}

// lacks says why a door is not there; "" if it is.
func (s *session) lacks(d door) string {
	switch {
	case d == apiDoor && s.target.API == "":
		return "no key for an API of ECR's is known"
	case d == registryDoor && s.target.Registry == "":
		return "the address is that of an API alone"
	}
	return ""
}

// serverCPU is the time that the server had a processor for; 0 if that is not
// known.
func (s *session) serverCPU() time.Duration {
	if s.target.CPU == nil {
		return 0
	}
	d, err := s.target.CPU()
	if err != nil {
		return 0
	}
	return d
}
