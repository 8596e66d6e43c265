// Package failpoint names the points at which a process may die with the most to
// lose: around each write, sync, rename and commit, and between the steps of what
// takes several transactions.
//
// Hit does nothing and costs nothing, unless the program was built with the tag
// "failpoints", for tests that kill it: no release has them.
package failpoint

// Point is where a process may die.
type Point string

// The points. A name says what has just been done.
const (
	BlobMade     Point = "fsblob: file made"
	BlobCut      Point = "fsblob: file cut"
	BlobWritten  Point = "fsblob: bytes written"
	BlobSynced   Point = "fsblob: file synced"
	BlobNamed    Point = "fsblob: folder synced"
	BlobSealed   Point = "fsblob: renamed"
	BlobDeleted  Point = "fsblob: removed"
	FoldersMade  Point = "fsblob: folders made"
	FoldersNamed Point = "fsblob: folders synced"

	IndexMade      Point = "boltindex: new file made"
	IndexSynced    Point = "boltindex: new file synced"
	IndexRenamed   Point = "boltindex: new file renamed"
	IndexNamed     Point = "boltindex: folder synced"
	IndexCommit    Point = "boltindex: about to commit"
	IndexCommitted Point = "boltindex: committed"

	CompactMade    Point = "boltindex: compacted copy made"
	CompactCopied  Point = "boltindex: rows copied"
	CompactSynced  Point = "boltindex: compacted copy synced"
	CompactRenamed Point = "boltindex: compacted copy renamed"
	CompactNamed   Point = "boltindex: folder synced for a compacted copy"

	SegmentMade     Point = "journal: segment made"
	SegmentNamed    Point = "journal: folder synced for a segment"
	RecordsWritten  Point = "journal: records written"
	RecordsSynced   Point = "journal: records synced"
	SnapshotSynced  Point = "journal: snapshot synced"
	SnapshotRenamed Point = "journal: snapshot renamed"
	SnapshotNamed   Point = "journal: folder synced for a snapshot"
	JournalTrimmed  Point = "journal: old files removed"

	UploadAppended     Point = "registry: bytes of an upload appended"
	UploadCheckpointed Point = "registry: upload checkpointed"
	UploadSealed       Point = "registry: upload sealed"
	UploadKept         Point = "registry: upload kept as content"
	CondemnedFound     Point = "registry: about to delete condemned bytes"
	CondemnedDeleted   Point = "registry: condemned bytes deleted"
	LayersLetGo        Point = "registry: collection let go of layers"
	TrashPurged        Point = "registry: trash purged"
	DroppedFound       Point = "registry: about to clear a deleted repository"

	DraftSynced  Point = "privatefile: draft synced"
	DraftRenamed Point = "privatefile: renamed"
	DraftNamed   Point = "privatefile: folder synced"
)

// All are the points there are.
func All() []Point {
	return []Point{
		BlobMade, BlobCut, BlobWritten, BlobSynced, BlobNamed, BlobSealed, BlobDeleted, FoldersMade, FoldersNamed,
		IndexMade, IndexSynced, IndexRenamed, IndexNamed, IndexCommit, IndexCommitted,
		CompactMade, CompactCopied, CompactSynced, CompactRenamed, CompactNamed,
		SegmentMade, SegmentNamed, RecordsWritten, RecordsSynced, SnapshotSynced, SnapshotRenamed, SnapshotNamed, JournalTrimmed,
		UploadAppended, UploadCheckpointed, UploadSealed, UploadKept, CondemnedFound, CondemnedDeleted, DroppedFound, LayersLetGo, TrashPurged,
		DraftSynced, DraftRenamed, DraftNamed,
	}
}
