package throttle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/throttle"
)

func TestParse(t *testing.T) {
	got, err := throttle.Parse([]string{"ecr", "PutImage=0.5", "BatchGetImage=10/50"})
	if err != nil {
		t.Fatal(err)
	}
	want := throttle.Rates{
		"BatchCheckLayerAvailability": {1000, 1000}, "BatchGetImage": {10, 50}, "GetDownloadUrlForLayer": {3000, 3000},
		"GetAuthorizationToken": {500, 500}, "UploadLayerPart": {500, 500}, "InitiateLayerUpload": {100, 100},
		"CompleteLayerUpload": {100, 100}, "PutImage": {0.5, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "PutImage", "PutImage=", "PutImage=0", "PutImage=0.0", "PutImage=-1", "PutImage=1/0", "PutImage=1e9", "ecr:PutImage=1", "PutImage=1/1/1", "ECR"} {
		if got, err := throttle.Parse([]string{bad}); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestTake(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	l := throttle.New(throttle.Rates{"PutImage": {2, 3}}, func() time.Time { return now })
	take := func(account, region, action string) bool {
		return l.Take(account, region, action) == nil
	}
	for range 3 {
		if !take("1", "a", "ecr:PutImage") {
			t.Error("the burst is refused")
		}
	}
	err := l.Take("1", "a", "ecr:BatchGetImage", "ecr:PutImage")
	var exceeded *throttle.Exceeded
	if !errors.As(err, &exceeded) || exceeded.Action != "PutImage" || exceeded.After != time.Second/2 {
		t.Errorf("the fourth of three is answered %v", err)
	}
	if !take("2", "a", "ecr:PutImage") || !take("1", "b", "ecr:PutImage") || !take("1", "a", "ecr:BatchGetImage") {
		t.Error("another account, region or action is refused too")
	}
	now = now.Add(time.Second / 2)
	if !take("1", "a", "ecr:PutImage") || take("1", "a", "ecr:PutImage") {
		t.Error("half a second does not let just one more through")
	}
	l.Configure(nil)
	if !take("1", "a", "ecr:PutImage") {
		t.Error("without a rate it is refused")
	}
	if err := (*throttle.Limiter)(nil).Take("1", "a", "ecr:PutImage"); err != nil {
		t.Errorf("no limiter at all: %v", err)
	}
}
