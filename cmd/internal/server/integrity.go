package server

import (
	"context"
	"strings"

	"github.com/seed-78150930/berth/registry"
)

// compare holds the index against its journal.
func (k *Keeper) compare(ctx context.Context, most int) (list []registry.Fault, err error) {
	c, err := k.store.kept.Compare(ctx, most)
	for _, d := range c.Differences {
		list = append(list, registry.Fault{Kind: registry.FaultJournal, Row: strings.ReplaceAll(d.Key, "\x00", " "), Text: "between index and journal: " + string(d.Kind)})
	}
	return list, err
}
