package registry

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage/table"
)

// Every row of the domain. Rows of a registry begin with its account and
// region; what is inside a repository is keyed by the repository's id, which
// is never used again, so a deleted repository's rows are out of reach at once
// and can be cleared away later.
var (
	// account, region, name
	repositories = table.New[repositoryRow]("repository", 3)
	settings     = table.New[settingRow]("setting", 3)     // (name of the setting is last)
	documents    = table.New[documentRow]("document", 3)   // (kind of the document is last)
	templates    = table.New[templateRow]("template", 3)   // prefix without a slash at its end
	exclusions   = table.New[exclusionRow]("exclusion", 3) // ARN of a principal

	pullThroughRules = table.New[pullThroughRow]("pullthrough", 3) // likewise

	// account, region
	registries = table.New[registryRow]("registry", 2)

	// account, region, repository id, …
	images    = table.New[imageRow]("image", 4)         // digest
	manifests = table.New[manifestChunk]("manifest", 5) // digest, number of the chunk
	tags      = table.New[tagRow]("tag", 4)             // tag
	imageTags = table.New[noRow]("imagetag", 5)         // digest, tag
	layerUses = table.New[layerUseRow]("layeruse", 5)   // layer, active image
	idleUses  = table.New[layerUseRow]("idleuse", 5)    // layer, image that is not active
	trashUses = table.New[layerUseRow]("trashuse", 5)   // layer, image in the trash
	trash     = table.New[trashRow]("trash", 4)         // digest of an image that was deleted
	children  = table.New[noRow]("child", 5)            // child, index
	referrers = table.New[referrerRow]("referrer", 5)   // subject, referrer
	held      = table.New[heldRow]("held", 4)           // digest
	uploads   = table.New[uploadRow]("upload", 4)       // upload id
	dropped   = table.New[droppedRow]("dropped", 3)     // (repository id is last)

	pendings       = table.New[pendingRow]("pending", 4)             // digest of an image on its way from upstream
	pendingChunks  = table.New[manifestChunk]("pendingmanifest", 5)  // digest, number of the chunk
	pendingLayers  = table.New[pendingLayerRow]("pendinglayer", 5)   // layer, image on its way
	absentChildren = table.New[noRow]("absentchild", 5)              // child that upstream does not have, index
	mirroredImages = table.New[mirroredImageRow]("mirroredimage", 4) // digest of an image that came from upstream
	mirroredTags   = table.New[mirroredTagRow]("mirroredtag", 4)     // tag

	manifestDamages = table.New[damageRow]("manifestdamage", 4) // digest

	// …, digest, type of scan
	scans     = table.New[scanRow]("scan", 5)
	scanPages = table.New[scanPageRow]("scanpage", 6) // and which page

	// …, digest, account and region of the destination
	replications = table.New[replicationRow]("replication", 6)

	// …, digest of an image, ARN of the profile that signs it
	signings = table.New[signingRow]("signing", 5)

	repositoryDocuments = table.New[documentRow]("repodocument", 4) // kind

	lifecycles = table.New[lifecycleRow]("lifecycle", 3) // (repository id is last)
	previews   = table.New[previewRow]("preview", 3)     // (repository id is last)
	decisions  = table.New[decisionRow]("decision", 5)   // plan, number
	decided    = table.New[decidedRow]("decided", 5)     // plan, digest or tag
	oldPlans   = table.New[noRow]("oldplan", 4)          // plan

	// account, region, name, repository id
	trashedRepositories = table.New[trashedRepositoryRow]("trashrepository", 4)
	// account, region, repository id: what was being sent to it is to be dropped
	trashedUploads = table.New[noRow]("trashupload", 3)

	// account, region, digest, repository id: who holds a layer
	holders = table.New[holderRow]("holder", 4)

	// account and region of the destination, account and region of the source,
	// repository id, number
	replicas = table.New[replicaRow]("replica", 6)

	// account, region, repository id, tag or digest of an image
	stamps = table.New[stampRow]("stamp", 4)
	// account and region of the destination, account and region of the source
	backfills = table.New[backfillRow]("backfill", 4)
	servers   = table.New[serverRow]("server", 1) // "" (there is one)

	// Rows of the server.
	contents  = table.New[contentRow]("content", 1)     // digest
	owners    = table.New[ownerRow]("owner", 1)         // blob id
	condemned = table.New[condemnedRow]("condemned", 1) // blob id
	damages   = table.New[damageRow]("damage", 1)       // digest of a content
	holds     = table.New[holdRow]("hold", 1)           // id
	events    = table.New[eventRow]("event", 1)         // sequence number
	restores  = table.New[restoreRow]("restore", 5)     // due time, account, region, repository id, digest

	lifecyclesDue = table.New[dueRow]("lifecycledue", 4) // time of the last run, account, region, repository id
	previewsDue   = table.New[dueRow]("previewdue", 4)   // due time, account, region, repository id
	trashDue      = table.New[dueRow]("trashdue", 5)     // time of the deletion, account, region, repository id, digest or wholeRepository

	signingsDue = table.New[dueRow]("signingdue", 6) // due time, account, region, repository id, digest, profile
	// scanAsked or scanBehind, due time, account, region, repository id, digest, type of scan
	scansDue     = table.New[dueRow]("scandue", 7)
	scanFills    = table.New[scanFillRow]("scanfill", 2)       // account, region
	scanRematch  = table.New[scanRematchRow]("scanrematch", 1) // "" (there is one)
	scanFailures = table.New[scanFailureRow]("scanfailure", 1) // place among the last ones

	collections = table.New[collectionRow]("collection", 1) // passUnderWay or lastPass

	sequences = table.New[sequenceRow]("sequence", 1) // name
	lineages  = table.New[lineageRow]("lineage", 1)   // "" (there is one)
)

// registryRow counts what a registry has.
type registryRow struct {
	Repositories int
}

type repositoryRow struct {
	ID           string
	CreatedAt    time.Time
	Mutability   Mutability        `json:",omitempty"`
	Exclusions   []string          `json:",omitempty"`
	ScanOnPush   bool              `json:",omitempty"`
	Encryption   Encryption        `json:",omitzero"`
	ResourceTags map[string]string `json:",omitempty"`
	Images       int               // how many it holds
	Inactive     int               `json:",omitempty"` // how many of them are archived or on their way back
}

// settingRow is a setting of a registry.
type settingRow struct {
	Value string
}

// documentRow is a text that people set: a policy or a configuration. One that
// was deleted leaves its version, so that no two texts share one.
type documentRow struct {
	Version   int // 1 for the first text
	UpdatedAt time.Time
	Text      string `json:",omitempty"` // "" for one that was deleted
}

type exclusionRow struct {
	CreatedAt time.Time
}

type templateRow struct {
	Prefix       string  // as it was given
	Description  string  `json:",omitempty"`
	AppliedFor   []Cause `json:",omitempty"`
	Mutability   Mutability
	Exclusions   []string `json:",omitempty"`
	Encryption   Encryption
	ResourceTags map[string]string `json:",omitempty"`
	Policy       string            `json:",omitempty"`
	Lifecycle    string            `json:",omitempty"`
	CustomRole   string            `json:",omitempty"`
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

type pullThroughRow struct {
	Prefix               string // as it was given
	UpstreamHost         string
	Upstream             Upstream
	UpstreamPrefix       string
	Credential, Role     string `json:",omitempty"`
	CreatedAt, UpdatedAt time.Time
}

func (row pullThroughRow) public() PullThroughRule { return PullThroughRule(row) }

type imageRow struct {
	MediaType       string
	ManifestSize    int64
	Size            int64
	Layers          int64 `json:",omitempty"` // bytes of the layers that it uses, each once
	PushedAt        time.Time
	ArtifactType    string        `json:",omitempty"`
	ConfigMediaType string        `json:",omitempty"`
	Subject         digest.Digest `json:",omitzero"`
	Tags            int           // how many name it
	Status          ImageStatus   `json:",omitempty"` // "" is Active
	ArchivedAt      time.Time     `json:",omitzero"`  // the last time
	ActivatedAt     time.Time     `json:",omitzero"`  // the last time that it came back from the archive
	PulledAt        time.Time     `json:",omitzero"`
	TaggedAt        time.Time     `json:",omitzero"` // the last time that a tag came to it
	// Replica says that it came by replication, so that it goes no further by itself.
	Replica bool `json:",omitempty"`
}

// manifestChunk is a run of a manifest's bytes, kept as they are.
type manifestChunk []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (c manifestChunk) MarshalBinary() ([]byte, error) { return c, nil }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (c *manifestChunk) UnmarshalBinary(b []byte) error {
	*c = slices.Clone(b)
	return nil
}

// tagRow is what a tag names. It is read with each pull, and kept as the bare
// digest.
type tagRow struct {
	Digest digest.Digest
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r tagRow) MarshalBinary() ([]byte, error) { return r.Digest.MarshalText() }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (r *tagRow) UnmarshalBinary(b []byte) error { return r.Digest.UnmarshalText(b) }

// noRow is the row of a table whose keys say all.
type noRow struct{}

// MarshalBinary implements encoding.BinaryMarshaler.
func (noRow) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (*noRow) UnmarshalBinary([]byte) error { return nil }

type layerUseRow struct {
	MediaType string
}

type referrerRow struct {
	MediaType    string
	ArtifactType string
	Size         int64
}

type heldRow struct {
	Size  int64
	At    time.Time
	Fresh bool `json:",omitempty"` // no image has used it yet
	// Hidden says that images in the trash are all that uses the layer, which is
	// out of sight like them. A layer that was uploaded since is in sight.
	Hidden bool `json:",omitempty"`
	// Deleted says, of one that is hidden, that somebody deleted the layer by itself.
	Deleted bool `json:",omitempty"`
}

// show puts the layer in sight again.
func (row *heldRow) show() { row.Hidden, row.Deleted = false, false }

type holderRow struct {
	Repository string // its name
}

type contentRow struct {
	Blob    string
	Size    int64
	Holders int // held rows, of all registries
	// By is who holds it.
	By holdersXOR `json:",omitempty"`
	// Stamp is what the store of blobs gave when the bytes were last known to be
	// right; "" if that was before there were stamps.
	Stamp string `json:",omitempty"`
}

// pendingRow is an image that upstream gave whose layers, or images that it lists, are
// not all here yet.
type pendingRow struct {
	Repository string // its name
	Prefix     string // of the rule that it came by
	Upstream   string // the repository's name there
	MediaType  string
	Size       int64 // bytes of the manifest
	At         time.Time
	Tags       []string        `json:",omitempty"` // that are to name it
	Absent     []digest.Digest `json:",omitempty"` // images that it lists and upstream does not have
}

type pendingLayerRow struct {
	Size int64
}

// mirroredImageRow says that an image came from upstream and was not here before.
type mirroredImageRow struct {
	Repository string // its name
	Prefix     string // of the rule
}

// mirroredTagRow is what upstream said last of a tag.
type mirroredTagRow struct {
	Digest  digest.Digest
	Was     digest.Digest `json:",omitzero"` // what the tag named here then
	AskedAt time.Time
}

// damageRow says that bytes are not what their digest says.
type damageRow struct {
	Blob       string    `json:",omitempty"` // of a content
	Repository string    `json:",omitempty"` // of a manifest: its name
	Size       int64     // that it should have
	At         time.Time // when it was found
	Found      string    // what was, in words
	Stamp      string    `json:",omitempty"` // of the blob then
	// TriedAt is when it was last tried to heal it, and Tried why that failed.
	TriedAt time.Time `json:",omitzero"`
	Tried   string    `json:",omitempty"`
}

// ownerRow says which row owns a blob, unless that is a condemned row.
type ownerRow struct {
	Content digest.Digest `json:",omitzero"`  // the content row, or
	Upload  []string      `json:",omitempty"` // the key of the upload row, or
	Scan    []string      `json:",omitempty"` // that of a page of what a scan found
}

type condemnedRow struct {
	At   time.Time
	Size int64 `json:",omitempty"` // bytes
}

// holdRow keeps condemned bytes from deletion.
type holdRow struct {
	By           string
	Since, Until time.Time
}

type droppedRow struct {
	At time.Time
}

// uploadRow is an upload at a checkpoint.
type uploadRow struct {
	Blob      string
	Owner     string // who began it: ARN, and the id of a user or role
	Algorithm digest.Algorithm
	Offset    int64
	Hash      []byte // state of the hash over the bytes before Offset
	Parts     int
	LastPart  int64 // size of the last part
	SmallPart bool  // a part before the last was under minPart
	TouchedAt time.Time
}

// restoreRow is an image on its way back from the archive.
type restoreRow struct {
	Repository string    // its name
	ArchivedAt time.Time // of the image, when it set out
}

// lifecycleRow is a repository's lifecycle policy. One that was deleted leaves
// its version, so that no two texts share one.
type lifecycleRow struct {
	Version     int       // 1 for the first text
	Text        string    `json:",omitempty"` // compact; "" for one that was deleted
	PolicyID    string    `json:",omitempty"` // the same from version to version, until it is deleted
	EvaluatedAt time.Time `json:",omitzero"`  // when the last run ended
	// Since is when it was put or last run: the time of its row in lifecyclesDue.
	Since time.Time `json:",omitzero"`
	// KeptAt is when images that had to stay were last recorded.
	KeptAt time.Time `json:",omitzero"`
	Plan   *planRow  `json:",omitempty"` // of the run under way
}

// planRow is a list of decisions that are being written, or carried out.
type planRow struct {
	ID    string
	At    time.Time // when it was decided
	Kept  bool      `json:",omitempty"` // it has those images too that must stay
	Ready bool      `json:",omitempty"` // all of it is written
}

// decisionRow is a decision with the facts that it stands on.
type decisionRow struct {
	Digest   digest.Digest
	Tags     []string  `json:",omitempty"`
	PushedAt time.Time `json:",omitzero"`
	// PulledAt is nil where the rule does not count from pulls.
	PulledAt                          *time.Time       `json:",omitempty"`
	ActivatedAt, ArchivedAt, TaggedAt time.Time        `json:",omitzero"`
	Archived                          bool             `json:",omitempty"`
	Subject                           digest.Digest    `json:",omitzero"` // which it follows
	Action                            lifecycle.Action // what is to be done
	Rule                              int              `json:",omitempty"`
	Reason                            string           `json:",omitempty"`
	Kept                              lifecycle.Kept   `json:",omitempty"`
}

// decidedRow says which decision of a plan is on an image.
type decidedRow struct {
	Number string // as in its key
}

// previewRow is the last preview of a repository's lifecycle policy.
type previewRow struct {
	ID        string // of its plan
	Text      string // as it was sent
	PolicyID  string `json:",omitempty"` // "" where a text was sent
	Version   int    `json:",omitempty"`
	State     PreviewState
	StartedAt time.Time
	Due       time.Time `json:",omitzero"`  // of its row in previewsDue, zero if it has none
	Written   bool      `json:",omitempty"` // all results are
	Recorded  string    `json:",omitempty"` // number of the last one that was recorded
	Expiring  int
	Archiving int
}

// dueRow is something that is to be done to a repository.
type dueRow struct {
	Repository string // its name
}

type eventRow struct {
	At           time.Time
	Kind         EventKind
	Account      string
	Region       string
	Repository   string
	RepositoryID string
	Digest       digest.Digest `json:",omitzero"`
	MediaType    string        `json:",omitempty"`
	Tag          string        `json:",omitempty"`
	Actor        string        `json:",omitempty"`
	// Detail is as in Event.
	Detail json.RawMessage `json:",omitempty"`
}

// lineageRow names the history that the numbers of updates are of.
type lineageRow struct {
	ID string
}

type sequenceRow struct {
	Last uint64
}
