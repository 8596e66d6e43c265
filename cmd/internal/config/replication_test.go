package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
)

// destinations loads a file with these destinations.
func destinations(t *testing.T, list string) ([]config.ReplicationDestination, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "berth.yml")
	if err := os.WriteFile(name, []byte("replication:\n  destinations: ["+list+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{Flags: map[string]string{"config": name}})
	if err != nil {
		return nil, err
	}
	return c.Replication.Destinations, nil
}

const place = `account: "000000000000", region: eu-west-1`

func TestReplicationDestinations(t *testing.T) {
	for list, remote := range map[string]bool{
		"{" + place + ", deletes: true, backfill: true, tags: ['v*']}":                                                                 false,
		"{" + place + ", url: https://berth.example, file: secret, bandwidth: 10MiB, windows: ['22:00-06:00'], repository-prefix: a/}": true,
		"{" + place + ", ecr: {region: eu-west-1}, env: KEY}":                                                                          true,
	} {
		got, err := destinations(t, list)
		if err != nil || len(got) != 1 || got[0].Remote() != remote {
			t.Errorf("%s: %+v, %v", list, got, err)
		}
	}
}

func TestReplicationDestinationsAreRefused(t *testing.T) {
	for list, says := range map[string]string{
		"{region: eu-west-1}":                                                       "account is missing",
		`{account: "1", region: eu-west-1}`:                                         "account",
		"{" + place + "}, {" + place + "}":                                          "another destination",
		"{" + place + ", bandwidth: 1MiB}":                                          "url is missing",
		"{" + place + ", url: 'ftp://berth.example'}":                               "not one such as",
		"{" + place + ", url: 'https://user:word@berth.example'}":                   "not one such as",
		"{" + place + ", url: https://berth.example, file: a, env: B}":              "one of file, env and helper",
		"{" + place + ", ecr: {region: eu-west-1}}":                                 "one of file, env and helper",
		"{" + place + ", url: https://berth.example, ecr: {endpoint: https://ecr}}": "ecr.region is missing",
		"{" + place + ", url: https://berth.example, windows: ['25:00-06:00']}":     "no window of a day",
		"{" + place + ", url: https://berth.example, repository-prefix: 'UPPER/'}":  "repository-prefix",
	} {
		_, err := destinations(t, list)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "user:word") {
			t.Errorf("%s: %v, want %q in it", list, err, says)
		}
	}
}
