package registry

import "github.com/seed-78150930/berth/storage"

// sizeSums are what many rows add up to, by repository and by registry.
type sizeSums struct {
	repositories map[string]sizeRow // by id
	registries   map[ID]sizeRow
}

func newSizeSums() sizeSums { return sizeSums{map[string]sizeRow{}, map[ID]sizeRow{}} }

// add counts for a repository, whose key begins the given one, and its registry.
func (s sizeSums) add(key []string, change sizeRow) {
	s.addTo(key, change)
	s.addToRegistry(key, change)
}

// addHolder counts a layer that a repository holds, the first time that its registry
// does or not.
func (s sizeSums) addHolder(repo []string, content contentRow, first bool) {
	if content.Holders == 1 {
		s.add(repo, sizeRow{Sole: content.Size})
	}
	s.addTo(repo, sizeRow{Layers: content.Size})
	if first {
		s.addToRegistry(repo, sizeRow{Layers: content.Size})
	}
}

func (s sizeSums) addTo(key []string, change sizeRow) {
	row := s.repositories[key[2]]
	row.add(change)
	row.Account, row.Region = key[0], key[1]
	s.repositories[key[2]] = row
}

func (s sizeSums) addToRegistry(key []string, change sizeRow) {
	id := ID{key[0], key[1]}
	row := s.registries[id]
	row.add(change)
	s.registries[id] = row
}

// put adds the sums to what is counted.
func (s sizeSums) put(tx storage.Tx) error {
	for id, row := range s.repositories {
		if _, err := resizeRepository(tx, []string{row.Account, row.Region, id}, row); err != nil {
			return err
		}
	}
	for id, row := range s.registries {
		if err := resizeRegistry(tx, id.Account, id.Region, row); err != nil {
			return err
		}
	}
	return nil
}
