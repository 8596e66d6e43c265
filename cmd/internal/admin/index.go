package admin

import "time"

// Index says how the index is, and the journal from which it can be made anew.
type Index struct {
	// Damage is what was found damaged since the start, "" if nothing was. It takes a
	// stop and `berth rebuild`.
	Damage string `json:"damage,omitempty"`
	// Reading says that it was not closed in order and is being read whole: reads are
	// answered, and updates wait.
	Reading bool `json:"reading,omitempty"`
	// Rebuilt says what was made of a bad index at the start, "" if it was sound.
	Rebuilt string `json:"rebuilt,omitempty"`

	FileBytes int64 `json:"fileBytes"`
	// FreeBytes is how many of them hold nothing, about, as of some minutes ago. When that
	// is more than half of a file that is not small, it is compacted.
	FreeBytes   int64 `json:"freeBytes"`
	Compactions int64 `json:"compactions"` // since the start

	Updates uint64 `json:"updates"` // number of the last one
	Safe    uint64 `json:"safe"`    // up to which number the journal would give it back
	// BehindSince is when the oldest update came that is not safe, zero if all are.
	BehindSince time.Time `json:"behindSince,omitzero"`
	// Incomplete says that updates are missing in the journal, so that a new snapshot
	// is needed; Snapshotting that one is under way.
	Incomplete   bool `json:"incomplete,omitempty"`
	Snapshotting bool `json:"snapshotting,omitempty"`
	// Failure is the last one to write the journal, "" if there was none.
	Failure string    `json:"failure,omitempty"`
	Failed  time.Time `json:"failed,omitzero"`
	// Cut says what of the journal was not sound at the start, "" if nothing.
	Cut           string `json:"cut,omitempty"`
	SnapshotBytes int64  `json:"snapshotBytes"`
	RecordBytes   int64  `json:"recordBytes"` // since the snapshot
}
