package interop_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const (
	otherServer = "eu-west-1" // region by which each of two servers names the other
	twinsRepo   = "team/app"
	perTwin     = 6 // images that each of them is given between two kills
)

// twin is one of two servers that replicate to each other.
type twin struct {
	*harness.Server
	name string

	mu     sync.Mutex
	pushed map[string]string // digests by tag, of pushes that were acknowledged
	maybe  map[string]bool   // tags whose push or deletion was cut off
	gone   map[string]bool   // tags whose deletion was acknowledged
}

// twins are two servers, each of which has a rule that everything goes to the other one.
func twins(t *testing.T) (both [2]*twin) {
	t.Helper()
	var files [2]string
	for i := range both {
		files[i] = filepath.Join(t.TempDir(), "berth.yml")
		makeFile(t, files[i], "# what there is comes when the other one has an address\n")
		s := harness.Start(t, "--config", files[i])
		both[i] = &twin{Server: s, name: string(rune('a' + i)), pushed: map[string]string{}, maybe: map[string]bool{}, gone: map[string]bool{}}
		s.CreateRepository(t, twinsRepo)
	}
	for i, w := range both {
		w.join(t, files[i], both[1-i])
	}
	return both
}

// join has everything that is pushed to a server go to another one.
func (w *twin) join(t *testing.T, file string, other *twin) {
	t.Helper()
	secret := filepath.Join(filepath.Dir(file), "other.secret")
	makeFile(t, secret, "AWS:"+other.Password(t))
	makeFile(t, file, fmt.Sprintf(`
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
replication:
  destinations:
    - {account: %q, region: %s, url: "http://%s", file: %s, deletes: true}
`, harness.Account, otherServer, strings.Replace(other.Host, "localhost", "127.0.0.1", 1), secret))
	w.Server.Stop()
	w.Launch()
	rule := types.ReplicationRule{Destinations: []types.ReplicationDestination{{Region: aws.String(otherServer), RegistryId: aws.String(harness.Account)}}}
	_, err := w.ECR(t).PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{rule}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two servers replicate to each other while images are pushed to, retagged at and deleted
// from both, and one of them is killed with kill -9, again and again. In the end they hold
// the same, nothing that was acknowledged is lost, and nothing that came from the other one
// was on its way back.
func TestSDKTwinsKilled(t *testing.T) {
	both := twins(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range *kills {
		victim := both[random.IntN(2)]
		left := new(atomic.Int64)
		left.Store(1 + random.Int64N(4*perTwin))
		var group sync.WaitGroup
		for i, w := range both {
			group.Go(func() { w.round(t, round, uint64(10_000+20*round+10*i), victim, left) })
		}
		group.Wait()
		if left.Load() > 0 { // while what was pushed is on its way
			victim.Kill()
		}
		victim.Launch()
	}
	both[0].awaitAll(t)
	both[1].awaitAll(t)
	there := awaitEqual(t, both)
	all := 0
	for i, w := range both {
		all += len(w.pushed)
		w.check(t, there)
		w.checkNoLoop(t, both[1-i])
	}
	t.Logf("%d tags were acknowledged over %d kills, and %d are there", all, *kills, len(there))
}

// round pushes images, moves a tag that both move, and deletes one of the images, until
// the victim is killed, which is done after so many acknowledgements.
func (w *twin) round(t *testing.T, round int, seed uint64, victim *twin, left *atomic.Int64) {
	door, client := w.OCI(t), w.ECR(t)
	done := func(err error) bool {
		if err != nil {
			if w != victim || left.Load() > 0 {
				t.Errorf("server %s, round %d: %v", w.name, round, err)
			}
			return false
		}
		if left.Add(-1) == 0 {
			victim.Kill()
		}
		return w != victim || left.Load() > 0
	}
	for n := range perTwin {
		m := harness.NewImage(t, v1.MediaTypeImageManifest, seed+uint64(n), 1, 4096)
		for _, tag := range []string{fmt.Sprintf("%s-%d-%d", w.name, round, n), "latest"} {
			err := door.PushImage(t.Context(), twinsRepo, tag, m)
			w.note(tag, m, err)
			if !done(err) {
				return
			}
		}
	}
	tag := fmt.Sprintf("%s-%d-0", w.name, round)
	_, err := client.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String(twinsRepo), ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}})
	w.noteGone(tag, err)
	done(err)
}

func (w *twin) note(tag string, m harness.Image, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.maybe[tag] = true
		return
	}
	w.pushed[tag] = m.Digest().String()
}

func (w *twin) noteGone(tag string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[tag], w.maybe[tag] = err == nil, err != nil
}

// patient is a client that tries again, as Amazon's does by default. It closes a connection
// that has a long answer on it if that began before its request was seen to be at its end.
func (w *twin) patient(t *testing.T) *ecr.Client {
	return ecr.New(w.ECR(t).Options(), func(o *ecr.Options) { o.Retryer = retry.NewStandard() })
}

// tags are the digests by tag.
func (w *twin) tags(t *testing.T, client *ecr.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	pages := ecr.NewListImagesPaginator(client, &ecr.ListImagesInput{RepositoryName: aws.String(twinsRepo)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range page.ImageIds {
			if id.ImageTag != nil {
				all[*id.ImageTag] = *id.ImageDigest
			}
		}
	}
	return all
}

// awaitAll waits until nothing is left to bring to the other server.
func (w *twin) awaitAll(t *testing.T) {
	t.Helper()
	client := w.patient(t)
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); {
		waiting := ""
		for tag, d := range w.tags(t, client) {
			for _, status := range w.statuses(t, client, d) {
				if status.Status != types.ReplicationStatusComplete {
					waiting = fmt.Sprintf("%s is %s: %s", tag, status.Status, aws.ToString(status.FailureCode))
				}
			}
		}
		if waiting == "" {
			return
		}
	}
	t.Fatalf("server %s has not brought everything to the other one in five minutes:\n%s", w.name, w.Log())
}

// awaitEqual waits until the servers hold the same: deletions have no status.
func awaitEqual(t *testing.T, both [2]*twin) map[string]string {
	t.Helper()
	var a, b map[string]string
	clients := [2]*ecr.Client{both[0].patient(t), both[1].patient(t)}
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		if a, b = both[0].tags(t, clients[0]), both[1].tags(t, clients[1]); maps.Equal(a, b) {
			return a
		}
	}
	t.Fatalf("the servers differ:\n%s", difference(a, b))
	return nil
}

// statuses are those of an image, none if it has been deleted since it was listed, as the
// other server may have told.
func (w *twin) statuses(t *testing.T, client *ecr.Client, d string) []types.ImageReplicationStatus {
	t.Helper()
	out, err := client.DescribeImageReplicationStatus(t.Context(), &ecr.DescribeImageReplicationStatusInput{
		RepositoryName: aws.String(twinsRepo), ImageId: &types.ImageIdentifier{ImageDigest: &d},
	})
	if gone := new(types.ImageNotFoundException); errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.ReplicationStatuses
}

// check compares what there is with what was acknowledged.
func (w *twin) check(t *testing.T, there map[string]string) {
	t.Helper()
	for tag, d := range w.pushed {
		got := there[tag]
		switch {
		case tag == "latest", w.maybe[tag]:
		case w.gone[tag] && got != "":
			t.Errorf("%s was deleted from server %s and is there", tag, w.name)
		case !w.gone[tag] && got != d:
			t.Errorf("%s was pushed to server %s as %s and is %q", tag, w.name, d, got)
		}
	}
}

// checkNoLoop looks for images that were on their way back to where they came from.
func (w *twin) checkNoLoop(t *testing.T, other *twin) {
	t.Helper()
	client := w.patient(t)
	for tag, d := range w.tags(t, client) {
		if other.pushed[tag] == d && tag != "latest" && len(w.statuses(t, client, d)) > 0 {
			t.Errorf("%s came from server %s and was on its way back", tag, other.name)
		}
	}
}

// difference are the tags that two servers have and that do not name the same.
func difference(a, b map[string]string) string {
	var lines []string
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, tag := range slices.Sorted(maps.Keys(both)) {
		if a[tag] != b[tag] {
			lines = append(lines, fmt.Sprintf("%s: %q and %q", tag, a[tag], b[tag]))
		}
	}
	return strings.Join(lines, "\n")
}
