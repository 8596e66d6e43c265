package scantest_test

import (
	"testing"

	"github.com/seed-78150930/berth/registry/scan/scantest"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// The records are such as the database takes all of.
func TestRecordsAreTaken(t *testing.T) {
	folder, to := t.TempDir(), t.TempDir()+"/db"
	if err := scantest.WriteZips(folder); err != nil {
		t.Fatal(err)
	}
	info, err := vulndb.Compile(t.Context(), folder, to, vulndb.CompileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, e := range scantest.Ecosystems() {
		list, err := scantest.Records(e)
		if err != nil {
			t.Fatal(err)
		}
		all += len(list)
	}
	if info.Unreadable != 0 || info.Withdrawn != 6 || info.Records != all-6 {
		t.Errorf("of %d records: %+v", all, info)
	}
}
