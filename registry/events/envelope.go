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
	Time       time.Time `json:"time"` // to the second, as EventBridge has it
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
	ScanStatus         string          `json:"scan-status,omitempty"`
	FindingCounts      map[string]int  `json:"finding-severity-counts,omitzero"` // without severities that were not found
	ImageTags          []string        `json:"image-tags,omitzero"`
	RuleVersion        string          `json:"rule-version,omitempty"`
	SyncStatus         string          `json:"sync-status,omitempty"`
	RepositoryPrefix   string          `json:"ecr-repository-prefix,omitempty"`
	UpstreamURL        string          `json:"upstream-registry-url,omitempty"`

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

// names are the repositories that an event concerns.
func (d detail) names() (list []string) {
	if d.RepositoryName != "" {
		list = append(list, d.RepositoryName)
	}
	for _, r := range d.Repositories {
		list = append(list, r.RepositoryName)
	}
	return list
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
	ImageScan          = "ECR Image Scan"
	PullThroughAction  = "ECR Pull Through Cache Action"

	RepositoryCreated  = "Berth Repository Created"
	RepositoryDeleted  = "Berth Repository Deleted"
	RepositoryRestored = "Berth Repository Restored"
	ImageRestored      = "Berth Image Restored"
	RepositoryChanged  = "Berth Repository Changed"
	RegistryChanged    = "Berth Registry Changed"
	TagRemoved         = "Berth Tag Removed"
	LayerDeleted       = "Berth Layer Deleted"
	ImagePulled        = "Berth Image Pulled"
	AccessDenied       = "Berth Access Denied"
	LifecycleRun       = "Berth Lifecycle Policy Execution"
	LifecyclePreview   = "Berth Lifecycle Policy Dry Run"
	ContentDamaged     = "Berth Content Damaged"
	ContentHealed      = "Berth Content Healed"
	IndexRebuilt       = "Berth Index Rebuilt"
)

// DetailTypes are all detail-types that there are.
func DetailTypes() []string {
	return []string{
		ImageAction, ReferrerAction, ReplicationAction, ScanResourceChange, ImageScan, PullThroughAction, RepositoryCreated, RepositoryDeleted, RepositoryChanged,
		RegistryChanged, TagRemoved, LayerDeleted, ImagePulled, AccessDenied, LifecycleRun, LifecyclePreview,
		RepositoryRestored, ImageRestored, ContentDamaged, ContentHealed, IndexRebuilt,
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
	registry.ImageScanned:        {ImageScan, ecrSource, true, scan},
	registry.UpstreamAsked:       {PullThroughAction, ecrSource, true, pullThrough},

	registry.RepositoryCreated:  {RepositoryCreated, ownSource, true, nil},
	registry.RepositoryDeleted:  {RepositoryDeleted, ownSource, true, nil},
	registry.RepositoryRestored: {RepositoryRestored, ownSource, true, nil},
	registry.ImageRestored:      {ImageRestored, ownSource, true, image},
	registry.RepositoryChanged:  {RepositoryChanged, ownSource, true, nil},
	registry.RegistryChanged:    {RegistryChanged, ownSource, false, setting},
	registry.TagRemoved:         {TagRemoved, ownSource, true, image},
	registry.LayerDeleted:       {LayerDeleted, ownSource, true, layer},
	registry.ImagePulled:        {ImagePulled, ownSource, true, image},
	registry.AccessDenied:       {AccessDenied, ownSource, false, denial},
	registry.LifecycleRun:       {LifecycleRun, ownSource, true, lifecycleRecord},
	registry.LifecyclePreviewed: {LifecyclePreview, ownSource, true, lifecycleRecord},
	registry.ContentDamaged:     {ContentDamaged, ownSource, false, damage},
	registry.ContentHealed:      {ContentHealed, ownSource, false, damage},
	registry.IndexRebuilt:       {IndexRebuilt, ownSource, false, rebuilt},
}

// Tell makes the envelope of an event.
func Tell(e registry.Event) (Envelope, error) {
	k, ok := kinds[e.Kind]
	if !ok {
		return Envelope{}, fmt.Errorf("events: no form for the kind %q", e.Kind)
	}
	id := e.Repository.ID()
	env := Envelope{
		Version: "0", ID: eventID(e), DetailType: k.detailType, Source: k.source, Account: id.Account, Time: e.At.UTC().Truncate(time.Second),
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
