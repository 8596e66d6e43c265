package events

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry"
)

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

// scanning has the resource type, and no resources, of the example in Amazon's user
// guide; ECR's reference does not say more of them.
func scanning(env *Envelope, e registry.Event) error {
	var d registry.ScanningDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	env.Detail.ActionType, env.Detail.ResourceType, env.Detail.ScanType = "SCAN_FREQUENCY_CHANGE", "REPOSITORY", string(d.Type)
	for _, r := range d.Repositories {
		arn := e.Repository.ID().ARN(r.Repository)
		env.Detail.Repositories = append(env.Detail.Repositories, scanFrequency{r.Repository, arn, string(r.Frequency), string(r.Previous)})
	}
	return nil
}

func scan(env *Envelope, e registry.Event) error {
	d := registry.ScanDetail{Counts: map[string]int{}, Tags: []string{}}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	env.Detail.ImageDigest, env.Detail.ScanStatus, env.Detail.FindingCounts, env.Detail.ImageTags = e.Digest.String(), d.Status, d.Counts, d.Tags
	return nil
}

func pullThrough(env *Envelope, e registry.Event) error {
	env.Detail.RuleVersion = "1"
	if err := json.Unmarshal(e.Detail, &env.Detail); err != nil {
		return err
	}
	return image(env, e)
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

func rebuilt(env *Envelope, e registry.Event) error {
	var d registry.IndexRebuiltDetail
	err := json.Unmarshal(e.Detail, &d)
	env.Detail.Reason = d.Reason
	return err
}

// damage has the repository among the resources if it is of a manifest, which lies in
// one.
func damage(env *Envelope, e registry.Event) error {
	var d registry.DamageDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	env.Detail.Reason = d.Reason
	if d.What != "manifest" {
		return layer(env, e)
	}
	env.Resources = append(env.Resources, e.Repository.ARN())
	env.Detail.ManifestMediaType = e.MediaType
	return image(env, e)
}

func denial(env *Envelope, e registry.Event) error {
	var d registry.DenialDetail
	err := json.Unmarshal(e.Detail, &d)
	env.Detail.Action, env.Detail.Resource, env.Detail.Reason = d.Action, d.Resource, d.Reason
	if _, path, ok := strings.Cut(d.Resource, ":repository/"); ok {
		if name, err := registry.ParseName(e.Repository.ID(), path); err == nil { // no pattern
			env.Detail.RepositoryName = name.String()
		}
	}
	return err
}

func lifecycleRecord(env *Envelope, e registry.Event) error {
	env.Detail.Lifecycle = e.Detail
	return nil
}
