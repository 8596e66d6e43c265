package events

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// Envelope is an event as EventBridge tells it, and a superset of what ECR tells
// there (ECR reference, policies.md section 14). Its JSON is what files, tails and
// plain webhooks get.
type Envelope struct {
	Version string `json:"version"` // "0"
	// ID is the same each time an event is told: whoever gets one twice knows it.
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"` // "aws.ecr", or "berth" for what ECR does not tell
	Account    string    `json:"account"`
	Time       time.Time `json:"time"`
	Region     string    `json:"region"`
	Resources  []string  `json:"resources"` // ARNs; may be empty, as ECR's are
	Detail     detail    `json:"detail"`
}

// detail has the members of all kinds; those that a kind does not have are left
// out. Names and values are ECR's where it has them.
type detail struct {
	Result             string          `json:"result,omitempty"`
	RepositoryName     string          `json:"repository-name,omitempty"`
	ImageDigest        string          `json:"image-digest,omitempty"`
	ActionType         string          `json:"action-type,omitempty"`
	ImageTag           string          `json:"image-tag,omitempty"`
	TargetStorageClass string          `json:"target-storage-class,omitempty"`
	ManifestMediaType  string          `json:"manifest-media-type,omitempty"`
	ArtifactMediaType  string          `json:"artifact-media-type,omitempty"`
	LastActivatedAt    *time.Time      `json:"last-activated-at,omitempty"`
	SourceAccount      string          `json:"source-account,omitempty"`
	SourceRegion       string          `json:"source-region,omitempty"`
	FailureCode        string          `json:"failure-code,omitempty"`
	FailureReason      string          `json:"failure-reason,omitempty"`
	ScanType           string          `json:"scan-type,omitempty"`
	ResourceType       string          `json:"resource-type,omitempty"`
	Repositories       []scanFrequency `json:"repositories,omitempty"`

	// What ECR does not tell.
	DestinationAccount string          `json:"destination-account,omitempty"`
	DestinationRegion  string          `json:"destination-region,omitempty"`
	Principal          string          `json:"principal,omitempty"`
	LayerDigest        string          `json:"layer-digest,omitempty"`
	Setting            string          `json:"setting,omitempty"`
	Action             string          `json:"action,omitempty"`
	Resource           string          `json:"resource,omitempty"`
	Reason             string          `json:"reason,omitempty"`
	Lifecycle          json.RawMessage `json:"lifecycle,omitempty"`
}

type scanFrequency struct {
	RepositoryName string `json:"repository-name"`
	RepositoryARN  string `json:"repository-arn"`
	Frequency      string `json:"scan-frequency"`
	Previous       string `json:"previous-scan-frequency"`
}

// The sources of events.
const (
	ecrSource = "aws.ecr"
	ownSource = "berth"
)

// Detail-types. Those of ECR's are its own.
const (
	ImageAction        = "ECR Image Action"
	ReferrerAction     = "ECR Referrer Action"
	ReplicationAction  = "ECR Replication Action"
	ScanResourceChange = "ECR Scan Resource Change"

	RepositoryCreated = "Berth Repository Created"
	RepositoryDeleted = "Berth Repository Deleted"
	RepositoryChanged = "Berth Repository Changed"
	RegistryChanged   = "Berth Registry Changed"
	TagRemoved        = "Berth Tag Removed"
	LayerDeleted      = "Berth Layer Deleted"
	ImagePulled       = "Berth Image Pulled"
	AccessDenied      = "Berth Access Denied"
	LifecycleRun      = "Berth Lifecycle Policy Execution"
	LifecyclePreview  = "Berth Lifecycle Policy Dry Run"
)

// DetailTypes are all detail-types that there are.
func DetailTypes() []string {
	return []string{
		ImageAction, ReferrerAction, ReplicationAction, ScanResourceChange, RepositoryCreated, RepositoryDeleted, RepositoryChanged,
		RegistryChanged, TagRemoved, LayerDeleted, ImagePulled, AccessDenied, LifecycleRun, LifecyclePreview,
	}
}

// kind is how events of a kind are told.
type kind struct {
	detailType string
	source     string
	resources  bool // the repository is among the resources
	fill       func(*Envelope, registry.Event) error
}

var kinds = map[registry.EventKind]kind{
	registry.ImagePushed:         {ImageAction, ecrSource, false, imageAction("PUSH")},
	registry.ImageDeleted:        {ImageAction, ecrSource, false, imageAction("DELETE")},
	registry.StorageClassChanged: {ImageAction, ecrSource, false, storageClass},
	registry.ImageReplicated:     {ReplicationAction, ecrSource, true, replication},
	registry.ReplicationFailed:   {ReplicationAction, ecrSource, true, replication},
	registry.ScanningChanged:     {ScanResourceChange, ecrSource, false, scanning},

	registry.RepositoryCreated:  {RepositoryCreated, ownSource, true, nil},
	registry.RepositoryDeleted:  {RepositoryDeleted, ownSource, true, nil},
	registry.RepositoryChanged:  {RepositoryChanged, ownSource, true, nil},
	registry.RegistryChanged:    {RegistryChanged, ownSource, false, setting},
	registry.TagRemoved:         {TagRemoved, ownSource, true, image},
	registry.LayerDeleted:       {LayerDeleted, ownSource, true, layer},
	registry.ImagePulled:        {ImagePulled, ownSource, true, image},
	registry.AccessDenied:       {AccessDenied, ownSource, false, denial},
	registry.LifecycleRun:       {LifecycleRun, ownSource, true, lifecycleRecord},
	registry.LifecyclePreviewed: {LifecyclePreview, ownSource, true, lifecycleRecord},
}

// Tell makes the envelope of an event.
func Tell(e registry.Event) (Envelope, error) {
	k, ok := kinds[e.Kind]
	if !ok {
		return Envelope{}, fmt.Errorf("events: no form for the kind %q", e.Kind)
	}
	id := e.Repository.ID()
	env := Envelope{
		Version: "0", ID: eventID(e), DetailType: k.detailType, Source: k.source, Account: id.Account, Time: e.At.UTC().Truncate(time.Millisecond),
		Region: id.Region, Resources: []string{}, Detail: detail{RepositoryName: e.Repository.String()},
	}
	if k.source == ownSource {
		env.Detail.Principal = e.Actor
	}
	if k.resources {
		env.Resources = append(env.Resources, e.Repository.ARN())
	}
	if k.fill == nil {
		return env, nil
	}
	if err := k.fill(&env, e); err != nil {
		return Envelope{}, fmt.Errorf("events: detail of event %d, %s: %w", e.Sequence, e.Kind, err)
	}
	return env, nil
}

// eventID is a UUID, version 8, that is always that of the event.
func eventID(e registry.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "event %d at %d in %v", e.Sequence, e.At.UnixNano(), e.Repository.ID()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func image(env *Envelope, e registry.Event) error {
	env.Detail.ImageDigest, env.Detail.ImageTag = e.Digest.String(), e.Tag.String()
	return nil
}

func imageAction(action string) func(*Envelope, registry.Event) error {
	return func(env *Envelope, e registry.Event) error {
		env.Detail.Result, env.Detail.ActionType = "SUCCESS", action
		return image(env, e)
	}
}

func storageClass(env *Envelope, e registry.Event) error {
	var d registry.StorageClassDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	if d.Referrer {
		env.DetailType = ReferrerAction
	}
	env.Detail.TargetStorageClass, env.Detail.ArtifactMediaType, env.Detail.ManifestMediaType = string(d.Target), d.ArtifactMediaType, e.MediaType
	if !d.LastActivatedAt.IsZero() {
		env.Detail.LastActivatedAt = new(d.LastActivatedAt.UTC().Truncate(time.Millisecond))
	}
	return imageAction("UPDATE_STORAGE_CLASS")(env, e)
}

func replication(env *Envelope, e registry.Event) error {
	// The detail struct's JSON has the names of ECR's members.
	if err := json.Unmarshal(e.Detail, &env.Detail); err != nil {
		return err
	}
	env.Detail.ActionType = "REPLICATE"
	return image(env, e)
}

func scanning(env *Envelope, e registry.Event) error {
	var d registry.ScanningDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	env.Detail.ActionType, env.Detail.ResourceType, env.Detail.ScanType = "SCAN_FREQUENCY_CHANGE", "ECR", string(d.Type)
	for _, r := range d.Repositories {
		arn := e.Repository.ID().ARN(r.Repository)
		env.Resources = append(env.Resources, arn)
		env.Detail.Repositories = append(env.Detail.Repositories, scanFrequency{r.Repository, arn, string(r.Frequency), string(r.Previous)})
	}
	return nil
}

func setting(env *Envelope, e registry.Event) error {
	var d registry.RegistryDetail
	err := json.Unmarshal(e.Detail, &d)
	env.Detail.Setting = d.What
	return err
}

func layer(env *Envelope, e registry.Event) error {
	env.Detail.LayerDigest = e.Digest.String()
	return nil
}

func denial(env *Envelope, e registry.Event) error {
	var d registry.DenialDetail
	err := json.Unmarshal(e.Detail, &d)
	env.Detail.Action, env.Detail.Resource, env.Detail.Reason = d.Action, d.Resource, d.Reason
	return err
}

func lifecycleRecord(env *Envelope, e registry.Event) error {
	env.Detail.Lifecycle = e.Detail
	return nil
}
