package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

// plan is what is compared.
type plan struct {
	programs
	version string
	rounds  int
	peers   []peer
	options bench.Options
}

// usual are the scenarios that are compared unless others are named.
const usual = "push-image,push-large@1,push-large@4,pull-image,pull-large@1,pull-large@4,head-manifest,get-manifest," +
	"mount,new-repository,tag-push,tags-list,catalog,ecr-token,ecr-repos,ecr-put-image,ecr-describe,ecr-layer"

// line is a figure as it is stored: a result of one server in one round.
type line struct {
	Version string `json:"version"` // of Berth
	Started string `json:"started"`
	Machine string `json:"machine"`
	Round   int    `json:"round"` // from 1
	Server  string `json:"server"`
	bench.Result
}

// compare runs all rounds, stores the figures and prints a table of them.
func compare(ctx context.Context, args []string) error {
	p, out, err := readPlan(args)
	if err != nil {
		return err
	}
	w := io.Discard
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer file.Close()
		w = file
	}
	all, err := p.run(ctx, json.NewEncoder(w))
	if err != nil {
		return err
	}
	return write(os.Stdout, all)
}

func readPlan(args []string) (p plan, out string, err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	p.options = bench.Defaults()
	p.options.Keep = true // the folders go anyway
	f.StringVar(&p.berth, "berth", "bin/berth", "the program to measure")
	f.StringVar(&p.distribution, "distribution", "bin/peers/registry", "the registry of the CNCF, to hold it against")
	f.StringVar(&p.version, "version", "unknown", "what `berth version` says")
	f.IntVar(&p.rounds, "rounds", 3, "rounds; the order of the servers is turned round in every second one")
	f.DurationVar(&p.options.Duration, "duration", 2*time.Second, "how long each scenario takes")
	f.IntVar(&p.options.Tags, "tags", 1000, "tags of the repository that is listed")
	f.IntVar(&p.options.Repositories, "repositories", 200, "repositories that are listed")
	f.StringVar(&out, "o", "", "file for the figures, a line of JSON each")
	names := f.String("servers", strings.Join([]string{theLeast, berth, distribution, leastAgain}, ","), "servers, with commas")
	scenarios := f.String("scenarios", usual, "scenarios, with commas; NAME@N has N requests at once")
	if err := parse(f, args); err != nil {
		return p, "", err
	}
	if p.self, err = os.Executable(); err != nil {
		return p, "", err
	}
	if p.options.Scenarios, err = bench.Choose(strings.Split(*scenarios, ",")); err != nil {
		return p, "", err
	}
	for _, name := range strings.Split(*names, ",") {
		i := slices.IndexFunc(peers, func(q peer) bool { return q.name == name })
		if i < 0 {
			return p, "", fmt.Errorf("%q is none of the servers", name)
		}
		p.peers = append(p.peers, peers[i])
	}
	if p.rounds < 1 {
		return p, "", errors.New("there is one round at least")
	}
	return p, out, p.options.Check()
}

// run measures each server once in each round.
func (p plan) run(ctx context.Context, to *json.Encoder) (all []line, err error) {
	for round := range p.rounds {
		order := slices.Clone(p.peers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, q := range order {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, p.rounds, q.name)
			lines, err := p.measure(ctx, q, round+1)
			if err != nil {
				return all, fmt.Errorf("%s: %w", q.name, err)
			}
			for _, l := range lines {
				if err := to.Encode(l); err != nil {
					return all, err
				}
			}
			all = append(all, lines...)
		}
	}
	return all, nil
}

// measure starts a server, puts load on it and stops it.
func (p plan) measure(ctx context.Context, q peer, round int) (lines []line, err error) {
	s, err := q.start(ctx, p.programs)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := s.stop(); err == nil {
			err = stopped
		}
	}()
	t, err := s.target(ctx)
	if err != nil {
		return nil, err
	}
	report, err := bench.Run(ctx, t, p.options)
	for _, r := range report.Results {
		if r.Errors > 0 {
			fmt.Fprintf(os.Stderr, "%s, %s: %d errors, the first: %s\n", q.name, r.Scenario, r.Errors, r.FirstError)
		}
		lines = append(lines, line{
			p.version, report.Started.Format(time.RFC3339), fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
			round, q.name, r,
		})
	}
	return lines, err
}
