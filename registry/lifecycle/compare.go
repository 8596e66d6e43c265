package lifecycle

import "github.com/seed-78150930/berth/registry/digest"

// Only are the decisions of a list that are done and that the other list does
// not have: its policy leaves the image alone, keeps it, or does something else
// to it. Both lists are about the same images at the same time.
func Only(list, other []Decision) (only []Decision) {
	type deed struct {
		image  digest.Digest
		action Action
	}
	done := map[deed]bool{}
	for _, d := range other {
		if d.Kept == "" {
			done[deed{d.Image.Digest, d.Action}] = true
		}
	}
	for _, d := range list {
		if d.Kept == "" && !done[deed{d.Image.Digest, d.Action}] {
			only = append(only, d)
		}
	}
	return only
}
