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

// imagesOfRepository is how many images a repository gets, half of what it may
// have (Amazon ECR service quotas: 20,000 images per repository).
const imagesOfRepository = 10_000

// numbered makes images that differ by a number alone, in repositories that have
// what they consist of.
type numbered struct{ growing[image] }

func newNumbered(purpose string) *numbered {
	return &numbered{growing[image]{make: func(ctx context.Context, w *worker, _ int) (image, error) {
		repo, err := w.repository(ctx, w, purpose)
		if err != nil {
			return image{}, err
		}
		im := w.payload.image(repo, purpose, 1, smallLayer)
		for _, b := range im.blobs {
			if err := w.uploadLayer(ctx, repo, b); err != nil {
				return im, fmt.Errorf("upload what the images consist of: %w", err)
			}
		}
		return im, nil
	}}}
}

// at is the image with a number.
func (m *numbered) at(ctx context.Context, w *worker, n int64) (im image, err error) {
	of, err := m.growing.at(ctx, w, n/imagesOfRepository)
	if err == nil {
		w.aside(func() { im = describe(of.repo, tagOf(n), of.blobs, map[string]string{"n": strconv.FormatInt(n, 10)}) })
	}
	return im, err
}

// put is an operation that pushes them by the API.
func (m *numbered) put(ctx context.Context, w *worker, n int64) (int64, error) {
	im, err := m.at(ctx, w, n)
	if err != nil {
		return 0, err
	}
	return 0, w.putImage(ctx, im)
}

func ecrPutImage(ctx context.Context, s *session) (operation, error) {
	images := newNumbered("put")
	w := s.worker()
	defer w.wire.close()
	_, err := images.at(ctx, w, 0)
	return images.put, err
}

func ecrDescribe(ctx context.Context, s *session) (operation, error) {
	images := newNumbered("described")
	w := s.worker()
	defer w.wire.close()
	first, err := images.at(ctx, w, 0)
	if err != nil {
		return nil, err
	}
	err = s.each(ctx, s.options.Tags, func(ctx context.Context, w *worker, i int) error {
		_, err := images.put(ctx, w, int64(i))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("push the images that are to be described: %w", err)
	}
	repo := first.repo
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
