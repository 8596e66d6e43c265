package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

func ecrToken(_ context.Context, _ *session) (operation, error) {
	return calling("GetAuthorizationToken", func(int64) members { return members{} }), nil
}

func ecrRepos(_ context.Context, s *session) (operation, error) {
	return func(ctx context.Context, w *worker, _ int64) (int64, error) {
		name := s.name("made")
		if _, err := calling("CreateRepository", func(int64) members { return members{"repositoryName": name} })(ctx, w, 0); err != nil {
			return 0, err
		}
		s.ledger.repository(name)
		return 0, nil
	}, nil
}

// calling measures a call, whose answer is not looked at.
func calling(op string, in func(n int64) members) operation {
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		r, err := w.prepare(ctx, op, mustJSON(in(n)))
		if err == nil {
			_, err = w.send(ctx, op, r, false)
		}
		return 0, err
	}
}

// numbered makes images that differ by a number alone, in a repository that has
// what they consist of.
func (s *session) numbered(ctx context.Context, purpose string) (func(n int64) image, error) {
	w := s.worker()
	defer w.wire.close()
	repo, err := s.repository(ctx, w, purpose)
	if err != nil {
		return nil, err
	}
	layer := s.payload.blob(smallLayer)
	blobs := []blob{layer, configOf(repo, purpose, []blob{layer})}
	for _, b := range blobs {
		if err := w.uploadLayer(ctx, repo, b); err != nil {
			return nil, fmt.Errorf("upload what the images consist of: %w", err)
		}
	}
	return func(n int64) image {
		return describe(repo, tagOf(n), blobs, map[string]string{"n": strconv.FormatInt(n, 10)})
	}, nil
}

func ecrPutImage(ctx context.Context, s *session) (operation, error) {
	make, err := s.numbered(ctx, "put")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		var im image
		w.aside(func() { im = make(n) })
		return 0, w.putImage(ctx, im)
	}, nil
}

func ecrDescribe(ctx context.Context, s *session) (operation, error) {
	make, err := s.numbered(ctx, "described")
	if err != nil {
		return nil, err
	}
	err = s.each(ctx, s.options.Tags, func(ctx context.Context, w *worker, i int) error { return w.putImage(ctx, make(int64(i))) })
	if err != nil {
		return nil, fmt.Errorf("push the images that are to be described: %w", err)
	}
	repo := make(0).repo
	return func(ctx context.Context, w *worker, _ int64) (int64, error) {
		in := members{"repositoryName": repo, "maxResults": page}
		if w.page != "" {
			in["nextToken"] = w.page
		}
		answer, err := w.call(ctx, "DescribeImages", in)
		if err != nil {
			return 0, err
		}
		w.aside(func() { w.page, err = nextToken(answer) })
		return int64(len(answer)), err
	}, nil
}

// nextToken is that of an answer; "" after the last page.
func nextToken(answer []byte) (string, error) {
	var said struct {
		NextToken string `json:"nextToken"`
	}
	err := json.Unmarshal(answer, &said)
	return said.NextToken, err
}

func ecrLayer(ctx context.Context, s *session) (operation, error) {
	w := s.worker()
	defer w.wire.close()
	repo, err := s.repository(ctx, w, "layer")
	if err != nil {
		return nil, err
	}
	s.payload.blob(s.options.LargeSize) // hashed once, ahead of the clock
	return func(ctx context.Context, w *worker, _ int64) (int64, error) {
		var b blob
		w.aside(func() { b = s.payload.blob(s.options.LargeSize) })
		return b.size, w.uploadLayer(ctx, repo, b)
	}, nil
}
