package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// door is the protocol that a scenario speaks.
type door string

const (
	registryDoor door = "registry" // that of OCI
	apiDoor      door = "API"      // ECR's
)

// scenario is one thing to measure.
type scenario struct {
	name, about string
	door        door
	concurrency int // unless another is asked for; 0 for that of the options
	// prepare puts in place what the operation needs, and is not measured. Its
	// error is a *unsupported if the registry does not offer the operation.
	prepare func(ctx context.Context, s *session) (operation, error)
}

// scenarios in the order that they are run in.
var scenarios = []scenario{
	{"push-image", "images of small layers: HEAD, POST, PATCH and PUT for each blob, then the manifest by tag", registryDoor, 0, pushImage},
	{"push-large", "large layers, one after the other", registryDoor, 1, pushLarge},
	{"pull-image", "the manifest by tag, then each blob", registryDoor, 0, pullImage},
	{"pull-large", "GET of large layers", registryDoor, 1, pullLarge},
	{"head-manifest", "HEAD of manifests by tag", registryDoor, 0, headManifest},
	{"get-manifest", "GET of manifests by digest", registryDoor, 0, getManifest},
	{"mount", "layers of one repository mounted into others", registryDoor, 0, mount},
	{"new-repository", "first image of a repository, made of layers of another", registryDoor, 0, newRepository},
	{"tag-push", "new tags of one image", registryDoor, 0, tagPush},
	{"tags-list", "pages of 100 tags", registryDoor, 0, tagsList},
	{"catalog", "pages of 100 repositories", registryDoor, 0, catalog},
	{"ecr-token", "GetAuthorizationToken", apiDoor, 0, ecrToken},
	{"ecr-repos", "CreateRepository", apiDoor, 0, ecrRepos},
	{"ecr-put-image", "PutImage with a new tag", apiDoor, 0, ecrPutImage},
	{"ecr-describe", "DescribeImages, pages of 100", apiDoor, 0, ecrDescribe},
	{"ecr-layer", "large layers by InitiateLayerUpload, UploadLayerPart and CompleteLayerUpload", apiDoor, 1, ecrLayer},
}

// unsupported says that the registry does not offer what a scenario needs.
type unsupported struct{ why string }

// Error implements error.
func (e *unsupported) Error() string { return e.why }

// Names are those of all scenarios, in the order that they are run in.
func Names() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// Describe says what a scenario does, in one line; "" if there is none with that
// name.
func Describe(name string) string {
	for _, s := range scenarios {
		if s.name == name {
			return s.about
		}
	}
	return ""
}

// Choice is a scenario that is to be run.
type Choice struct {
	Scenario    string
	Concurrency int // 0 for that of the options, or the scenario's own
}

// ErrNoScenario says that no scenario has a name.
var ErrNoScenario = errors.New("is no scenario")

// Choose reads what to run: names, or beginnings of them that end with "*", with a
// concurrency after an "@" where it is to be another. None means all.
func Choose(texts []string) ([]Choice, error) {
	if len(texts) == 0 {
		texts = []string{"*"}
	}
	var all []Choice
	for _, text := range texts {
		pattern, number, has := strings.Cut(text, "@")
		n := 0
		if has {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 1 {
				return nil, fmt.Errorf("%q: after the @ is a number of requests at once, from 1", text)
			}
		}
		chosen := matching(pattern)
		if len(chosen) == 0 {
			return nil, fmt.Errorf("%q %w: there are %s", pattern, ErrNoScenario, strings.Join(Names(), ", "))
		}
		for _, name := range chosen {
			all = append(all, Choice{name, n})
		}
	}
	return all, nil
}

func matching(pattern string) []string {
	beginning, open := strings.CutSuffix(pattern, "*")
	return slices.DeleteFunc(Names(), func(name string) bool {
		return name != pattern && !(open && strings.HasPrefix(name, beginning))
	})
}

func named(name string) scenario {
	return scenarios[slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })]
}

// spread is how many repositories images are spread over.
const spread = 10

func pushImage(ctx context.Context, s *session) (operation, error) {
	repos, err := s.places(ctx, "push", spread)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		var im image
		w.aside(func() { im = s.newImage(repos, n) })
		return w.pushImage(ctx, im)
	}, nil
}

// newImage is an image for one of some repositories.
func (s *session) newImage(repos []string, n int64) image {
	return s.payload.image(repos[n%int64(len(repos))], fmt.Sprintf("v%d", n), s.options.Layers, s.options.LayerSize)
}

// places makes repositories.
func (s *session) places(ctx context.Context, purpose string, n int) ([]string, error) {
	w := s.worker()
	defer w.wire.close()
	return s.repositories(ctx, w, purpose, n)
}

func pushLarge(ctx context.Context, s *session) (operation, error) {
	repos, err := s.places(ctx, "large", 1)
	if err != nil {
		return nil, err
	}
	s.payload.blob(s.options.LargeSize) // hashed once, ahead of the clock
	return func(ctx context.Context, w *worker, _ int64) (int64, error) {
		var b blob
		w.aside(func() { b = s.payload.blob(s.options.LargeSize) })
		return b.size, w.upload(ctx, repos[0], b)
	}, nil
}

// someImages puts images in place that are read, once for all scenarios.
func (s *session) someImages(ctx context.Context) ([]image, error) {
	if len(s.images) > 0 {
		return s.images, nil
	}
	repos, err := s.places(ctx, "pull", spread)
	if err != nil {
		return nil, err
	}
	images := make([]image, s.options.Images)
	for i := range images {
		images[i] = s.newImage(repos, int64(i))
	}
	err = s.each(ctx, len(images), func(ctx context.Context, w *worker, i int) error {
		_, err := w.pushImage(ctx, images[i])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("push the images that are to be read: %w", err)
	}
	s.images = images
	return images, nil
}

// onImages measures something that is done to one image after the other.
func onImages(do func(ctx context.Context, w *worker, im *image) (int64, error)) func(context.Context, *session) (operation, error) {
	return func(ctx context.Context, s *session) (operation, error) {
		images, err := s.someImages(ctx)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, w *worker, n int64) (int64, error) {
			return do(ctx, w, &images[n%int64(len(images))])
		}, nil
	}
}

var (
	pullImage = onImages(func(ctx context.Context, w *worker, im *image) (int64, error) { return w.pullImage(ctx, *im) })

	headManifest = onImages(func(ctx context.Context, w *worker, im *image) (int64, error) {
		_, err := w.oci(ctx, request{method: "HEAD", path: manifestPath(im.repo, im.tag), accept: typeManifest}, []string{im.repo}, 200)
		return 0, err
	})

	getManifest = onImages(func(ctx context.Context, w *worker, im *image) (int64, error) {
		return w.read(ctx, im.repo, manifestPath(im.repo, im.manifest.digest))
	})
)

// largeLayers is how many large layers are read in turn.
const largeLayers = 4

func pullLarge(ctx context.Context, s *session) (operation, error) {
	if len(s.large) == 0 {
		repos, err := s.places(ctx, "large", 1)
		if err != nil {
			return nil, err
		}
		large := make([]stored, largeLayers)
		err = s.each(ctx, len(large), func(ctx context.Context, w *worker, i int) error {
			large[i] = stored{repos[0], s.payload.blob(s.options.LargeSize)}
			return w.upload(ctx, repos[0], large[i].blob)
		})
		if err != nil {
			return nil, fmt.Errorf("push the layers that are to be read: %w", err)
		}
		s.large = large
	}
	return func(ctx context.Context, w *worker, n int64) (int64, error) {
		from := s.large[n%int64(len(s.large))]
		size, err := w.read(ctx, from.repo, blobPath(from.repo, from.blob.digest))
		if err == nil && size != from.blob.size {
			err = fmt.Errorf("GET of a layer gave %d of %d bytes", size, from.blob.size)
		}
		return size, err
	}, nil
}
