package ecrapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

func TestOperationsAreThoseOfTheModel(t *testing.T) {
	got, want := slices.Sorted(maps.Keys(operations)), slices.Sorted(maps.Keys(shape.Operations))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-model +table):\n%s", diff)
	}
	if len(got) != 58 {
		t.Errorf("%d operations, the model has 58", len(got))
	}
}

// TestActionsAreTheOperations: each operation is authorised under its own name
// but for ListImageReferrers (ECR reference, policies.md section 1).
func TestActionsAreTheOperations(t *testing.T) {
	for name, op := range operations {
		want := "ecr:" + name
		if name == "ListImageReferrers" {
			want = "ecr:BatchGetImage"
		}
		if op.action != want {
			t.Errorf("%s is authorised as %s, want %s", name, op.action, want)
		}
	}
}

// TestPoliciesKnowTheActions: policies speak of the operations, each under its own
// name, and of three actions that are permissions alone (ECR reference,
// policies.md section 1).
func TestPoliciesKnowTheActions(t *testing.T) {
	want := []string{"ecr:BatchImportUpstreamImage", "ecr:GetImageCopyStatus", "ecr:ReplicateImage"}
	for name := range operations {
		want = append(want, "ecr:"+name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(policy.Actions))); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// TestEveryCodeHasAnAnswer provokes each refusal of the domain at each
// operation, and holds the answer against the model.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	id, err := registry.ParseID("000000000000", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	name, err := registry.ParseName(id, "app")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := registry.ParseTag("1.0")
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(digest.SHA256, nil)
	for _, code := range registry.Codes() {
		if _, ok := exceptions[code]; !ok {
			t.Errorf("no answer to %q", code)
			continue
		}
		for op := range operations {
			f := answerTo(op, &registry.Error{
				Code: code, Msg: "words", Name: name, Ref: registry.Ref{Tag: tag, Digest: d}, Digests: []digest.Digest{d},
				Upload: "id", Offset: 5, Got: 7, Limit: 9, Field: "field",
			})
			as := shape.Exception(f.Type)
			if !models(op, as) && as != shape.InvalidParameterException {
				t.Errorf("%s answers %q with %s, which its model does not list", op, code, as)
			}
			if f.Message == "" || f.status != shape.Statuses[as] || f.status == 0 {
				t.Errorf("%s answers %q with status %d and the message %q", op, code, f.status, f.Message)
			}
		}
	}
	if len(exceptions) != len(registry.Codes()) {
		t.Errorf("%d answers to %d codes", len(exceptions), len(registry.Codes()))
	}
}

// TestAnswersInECRsWords holds the messages against those of the ECR
// reference, errors-and-limits.md sections 2 to 4.
func TestAnswersInECRsWords(t *testing.T) {
	id, _ := registry.ParseID("000000000000", "us-east-1")
	name, _ := registry.ParseName(id, "app")
	tag, _ := registry.ParseTag("1.0")
	d := digest.FromBytes(digest.SHA256, nil)
	two := []digest.Digest{d, digest.FromBytes(digest.SHA256, []byte("x"))}
	tests := []struct {
		op   string
		e    registry.Error
		as   shape.Exception
		want string
	}{
		{"DescribeImages", registry.Error{Code: registry.RepositoryNotFound}, shape.RepositoryNotFoundException,
			"The repository with name 'app' does not exist in the registry with id '000000000000'"},
		{"CreateRepository", registry.Error{Code: registry.RepositoryExists}, shape.RepositoryAlreadyExistsException,
			"The repository with name 'app' already exists in the registry with id '000000000000'"},
		{"DeleteRepository", registry.Error{Code: registry.RepositoryNotEmpty}, shape.RepositoryNotEmptyException,
			"The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images"},
		{"DescribeImages", registry.Error{Code: registry.ImageNotFound, Ref: registry.Ref{Tag: tag}}, shape.ImageNotFoundException,
			"The image with imageId {imageDigest:'null', imageTag:'1.0'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
		{"PutImage", registry.Error{Code: registry.TagImmutable, Ref: registry.Ref{Tag: tag}}, shape.ImageTagAlreadyExistsException,
			"The image tag '1.0' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."},
		{"PutImage", registry.Error{Code: registry.ImageDigestMismatch, Ref: registry.Ref{Digest: d}}, shape.ImageDigestDoesNotMatchException,
			"The image with digest '" + d.String() + "' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated."},
		{"PutImage", registry.Error{Code: registry.LayersMissing, Digests: two}, shape.LayersNotFoundException,
			"Layers with digests '[" + two[0].String() + ", " + two[1].String() + "]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"},
		{"PutImage", registry.Error{Code: registry.ChildrenMissing, Digests: two[:1]}, shape.ReferencedImagesNotFoundException,
			"Images with digests '[" + d.String() + "]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"},
		{"PutImage", registry.Error{Code: registry.TooManyTags, Ref: registry.Ref{Tag: tag}, Limit: 1000}, shape.LimitExceededException,
			"Adding tag '1.0' to an image in the repository with name 'app' in registry with id '000000000000' exceeds the maximum allowed number of tags per image which is '1000'"},
		{"PutImage", registry.Error{Code: registry.TooManyImages, Limit: 7}, shape.LimitExceededException,
			"The repository with name 'app' in registry with id '000000000000' already has the maximum allowed number of images which is '7'"},
		{"GetDownloadUrlForLayer", registry.Error{Code: registry.LayerNotFound, Digests: two[:1]}, shape.LayersNotFoundException,
			"The layer with digest '" + d.String() + "' does not exist within the repository with name 'app' in the registry with id '000000000000'"},
		{"UploadLayerPart", registry.Error{Code: registry.UploadOffset, Got: 7, Offset: 5}, shape.InvalidLayerPartException,
			"First byte of the layer part is 7 instead of 5"},
		{"CompleteLayerUpload", registry.Error{Code: registry.UploadEmpty, Upload: "id"}, shape.EmptyUploadException,
			"The upload with id 'id' in the repository with name 'app' in registry with id '000000000000' cannot be completed because it does not have any parts"},
		{"PutImage", registry.Error{Code: registry.StoreFull}, shape.ServerException, "No room left on the server"},
		{"PutImage", registry.Error{Code: registry.StoreReadOnly}, shape.ServerException, "The server takes no writes for now: it is read-only"},
		{"PutImage", registry.Error{Code: registry.StoreFailed}, shape.ServerException, "The server takes no writes after a failure of its store"},
		{"CompleteLayerUpload", registry.Error{Code: registry.UploadOffset, Got: -1, Upload: "id"}, shape.InvalidParameterException,
			"The upload with id 'id' in the repository with name 'app' in registry with id '000000000000' is in use by another request"},
	}
	for _, tt := range tests {
		tt.e.Name = name
		if f := answerTo(tt.op, &tt.e); f.Type != string(tt.as) || f.Message != tt.want {
			t.Errorf("%s: %q is answered with\n%s: %s, want\n%s: %s", tt.op, tt.e.Code, f.Type, f.Message, tt.as, tt.want)
		}
	}
}

// TestFaultsThatClientsSee: a full disk is told, whatever of the request found
// it; other faults are not.
func TestFaultsThatClientsSee(t *testing.T) {
	a := &API{log: slog.New(slog.DiscardHandler)}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{t.Context(), fmt.Errorf("hold request body: %w", storage.ErrFull), "No room left on the server"},
		{t.Context(), errors.New("disk on fire"), "The server failed to carry out the request, and its log says why. Request id: 7"},
		{gone, gone.Err(), "The server failed to carry out the request, and its log says why. Request id: 7"},
	}
	for _, tt := range tests {
		f := a.failure(tt.ctx, "7", "PutImage", tt.err)
		if f.Type != "ServerException" || f.Message != tt.want || f.status != 500 {
			t.Errorf("%v is told as %d %s: %s", tt.err, f.status, f.Type, f.Message)
		}
	}
}
