package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// Bounds of memory, in bytes.
const (
	mostIdle      = 25 << 20
	mostAsked     = 60 << 20
	mostPushing   = 80 << 20
	mostParts     = 60 << 20
	mostEachMore  = 2 << 20
	mostForLarger = 1.1 // of the peak with small layers
)

// asked is how many requests there are before the memory is looked at again.
const asked = 10_000

// pushers is how many push at once.
const pushers = 64

func memories(ctx context.Context, o options, z size) (all []figure, err error) {
	for _, part := range []func(context.Context, options, size) ([]figure, error){atRest, pushing, byParts} {
		figures, err := part(ctx, o, z)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// atRest is a server that has nothing, and one that has answered.
func atRest(ctx context.Context, o options, z size) (all []figure, err error) {
	data := filepath.Join(o.dir, "memory-"+z.file)
	defer removeAll(data, &err)
	err = with(ctx, o, data, func(s *server) error {
		time.Sleep(2 * time.Second) // it is idle then
		m, err := s.memory()
		if err != nil {
			return err
		}
		all = append(all, kept("anonymous memory, nothing stored", m.Anonymous, mostIdle, mib))
		if err := s.pushImage("team/app", "latest", 0); err != nil {
			return err
		}
		paths := []string{"/v2/team/app/manifests/latest", "/v2/team/app/tags/list", "/v2/_catalog", "/v2/"}
		err = many(asked, 16, func(i int) error {
			_, _, err := s.ask(http.MethodGet, paths[i%len(paths)], http.StatusOK, nil, 0)
			return err
		})
		if err != nil {
			return err
		}
		if m, err = s.memory(); err != nil {
			return err
		}
		all = append(all, kept(fmt.Sprintf("the same after %d requests, 16 at once", asked), m.Anonymous, mostAsked, mib))
		return nil
	})
	return all, err
}

// pushing is a server that takes many layers at once, small ones and larger ones.
func pushing(ctx context.Context, o options, z size) ([]figure, error) {
	// Three servers for each, since one peak is that of the moment of a collection.
	peaks := map[int]memory{}
	for _, size := range []int{z.little, z.large} {
		for round := range 3 {
			data := filepath.Join(o.dir, fmt.Sprintf("pushing-%s-%d-%d", z.file, size, round))
			m, err := peakOf(ctx, o, data, func(s *server) error {
				return many(pushers, pushers, func(i int) error {
					return s.push("team/app", content{name: fmt.Sprint("layer ", i), mib: size})
				})
			})
			if err != nil {
				return nil, err
			}
			if p := peaks[size]; round == 0 || m.Peak < p.Peak {
				peaks[size] = m
			}
		}
	}
	large, little := peaks[z.large], peaks[z.little]
	what := fmt.Sprintf("peak of resident memory, %d pushes of %%d MiB at once (least of three)", pushers)
	row := kept(fmt.Sprintf(what, z.large), large.Peak, mostPushing, mib)
	row.Value += ", " + mib(large.Anonymous) + " anonymous"
	against := kept("the one against the other", float64(large.Peak)/float64(little.Peak), mostForLarger, ratio)
	against.Why = "Each 8 MiB of a layer are a checkpoint in the index, which leaves a few KiB for the collector of memory: the larger layers reach its goal, " +
		"the smaller ones have ended before. The next step is a checkpoint that allocates less."
	return []figure{
		row,
		told(fmt.Sprintf(what, z.little), mib(little.Peak)+", "+mib(little.Anonymous)+" anonymous"),
		against,
	}, nil
}

// peakOf is the most that a new server took while something was done.
func peakOf(ctx context.Context, o options, data string, do func(*server) error) (m memory, err error) {
	return peakWith(ctx, o, data, do)
}

// peakWith is peakOf for a server with some flags.
func peakWith(ctx context.Context, o options, data string, do func(*server) error, flags ...string) (m memory, err error) {
	defer removeAll(data, &err)
	err = with(ctx, o, data, func(s *server) error {
		stop := s.peak()
		err := do(s)
		m = stop()
		now, err2 := s.memory()
		m.Peak = now.Peak
		if err == nil {
			err = err2
		}
		return err
	}, flags...)
	return m, err
}

// part is how much one call of UploadLayerPart sends, and more are how many uploads go on
// beside the first.
const (
	part = 16
	more = 4
)

// byParts is a server that takes a layer by the JSON API.
func byParts(ctx context.Context, o options, z size) ([]figure, error) {
	var peaks []memory
	for _, atOnce := range []int{1, 1 + more} {
		data := filepath.Join(o.dir, fmt.Sprintf("parts-%s-%d", z.file, atOnce))
		m, err := peakOf(ctx, o, data, func(s *server) error {
			if err := s.call("CreateRepository", map[string]any{"repositoryName": "team/app"}, nil); err != nil {
				return err
			}
			return many(atOnce, atOnce, func(int) error { return s.uploadParts("team/app", z.layer) })
		})
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, m)
	}
	one := kept(fmt.Sprintf("peak of resident memory, %d MiB by UploadLayerPart", z.layer), peaks[0].Peak, mostParts, mib)
	one.Value += ", " + mib(peaks[0].Anonymous) + " anonymous"
	return []figure{one, kept(fmt.Sprintf("each of %d more at once", more), (peaks[1].Peak-peaks[0].Peak)/more, mostEachMore, mib)}, nil
}

// uploadParts sends parts of an upload, which is not completed.
func (s *server) uploadParts(repo string, size int) error {
	var begun struct{ UploadID string }
	if err := s.call("InitiateLayerUpload", map[string]any{"repositoryName": repo}, &begun); err != nil {
		return err
	}
	bytes := make([]byte, part<<20)
	for at := 0; at < size<<20; at += len(bytes) {
		err := s.call("UploadLayerPart", map[string]any{
			"repositoryName": repo, "uploadId": begun.UploadID, "partFirstByte": at, "partLastByte": at + len(bytes) - 1, "layerPartBlob": bytes,
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}
