package registry

import "github.com/seed-78150930/berth/storage/table"

// The forms of the rows that pushes and pulls read and write. A test holds them against
// the structures.

// Form implements table.Formed.
func (row *registryRow) Form(f *table.Form) { table.Number(f, "Repositories", &row.Repositories) }

// Form implements table.Formed.
func (row *repositoryRow) Form(f *table.Form) {
	table.Text(f, "ID", &row.ID)
	f.Time("CreatedAt", &row.CreatedAt)
	table.OptionalText(f, "Mutability", &row.Mutability)
	f.Rare("Exclusions", len(row.Exclusions) == 0)
	f.OptionalTruth("ScanOnPush", &row.ScanOnPush)
	f.OptionalObject("Encryption", row.Encryption == Encryption{}, &row.Encryption)
	f.Rare("ResourceTags", len(row.ResourceTags) == 0)
	table.Number(f, "Images", &row.Images)
	table.OptionalNumber(f, "Inactive", &row.Inactive)
}

// Form implements table.Formed.
func (e *Encryption) Form(f *table.Form) {
	table.OptionalText(f, "Type", &e.Type)
	table.OptionalText(f, "KMSKey", &e.KMSKey)
}

// Form implements table.Formed.
func (row *imageRow) Form(f *table.Form) {
	table.Text(f, "MediaType", &row.MediaType)
	table.Number(f, "ManifestSize", &row.ManifestSize)
	table.Number(f, "Size", &row.Size)
	table.OptionalNumber(f, "Layers", &row.Layers)
	f.Time("PushedAt", &row.PushedAt)
	table.OptionalText(f, "ArtifactType", &row.ArtifactType)
	table.OptionalText(f, "ConfigMediaType", &row.ConfigMediaType)
	table.OptionalTexter(f, "Subject", &row.Subject)
	table.Number(f, "Tags", &row.Tags)
	table.OptionalText(f, "Status", &row.Status)
	f.OptionalTime("ArchivedAt", &row.ArchivedAt)
	f.OptionalTime("ActivatedAt", &row.ActivatedAt)
	f.OptionalTime("PulledAt", &row.PulledAt)
	f.OptionalTime("TaggedAt", &row.TaggedAt)
	f.OptionalTruth("Replica", &row.Replica)
}

// Form implements table.Formed.
func (row *layerUseRow) Form(f *table.Form) { table.Text(f, "MediaType", &row.MediaType) }

// Form implements table.Formed.
func (row *heldRow) Form(f *table.Form) {
	table.Number(f, "Size", &row.Size)
	f.Time("At", &row.At)
	f.OptionalTruth("Fresh", &row.Fresh)
	f.OptionalTruth("Hidden", &row.Hidden)
	f.OptionalTruth("Deleted", &row.Deleted)
}

// Form implements table.Formed.
func (row *holderRow) Form(f *table.Form) { table.Text(f, "Repository", &row.Repository) }

// Form implements table.Formed.
func (row *contentRow) Form(f *table.Form) {
	table.Text(f, "Blob", &row.Blob)
	table.Number(f, "Size", &row.Size)
	table.Number(f, "Holders", &row.Holders)
	table.OptionalText(f, "By", &row.By)
	table.OptionalText(f, "Stamp", &row.Stamp)
}

// Form implements table.Formed.
func (row *ownerRow) Form(f *table.Form) {
	table.OptionalTexter(f, "Content", &row.Content)
	f.Rare("Upload", len(row.Upload) == 0)
	f.Rare("Scan", len(row.Scan) == 0)
}

// Form implements table.Formed.
func (row *eventRow) Form(f *table.Form) {
	f.Time("At", &row.At)
	table.Text(f, "Kind", &row.Kind)
	table.Text(f, "Account", &row.Account)
	table.Text(f, "Region", &row.Region)
	table.Text(f, "Repository", &row.Repository)
	table.Text(f, "RepositoryID", &row.RepositoryID)
	table.OptionalTexter(f, "Digest", &row.Digest)
	table.OptionalText(f, "MediaType", &row.MediaType)
	table.OptionalText(f, "Tag", &row.Tag)
	table.OptionalText(f, "Actor", &row.Actor)
	f.Rare("Detail", len(row.Detail) == 0)
}

// Form implements table.Formed.
func (row *sequenceRow) Form(f *table.Form) { table.Number(f, "Last", &row.Last) }
