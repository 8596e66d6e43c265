package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
)

// profiles loads a file with these signing profiles.
func profiles(t *testing.T, list string) ([]config.SigningProfile, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "berth.yml")
	if err := os.WriteFile(name, []byte("signing:\n  profiles: ["+list+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{Flags: map[string]string{"config": name}})
	if err != nil {
		return nil, err
	}
	return c.Signing.Profiles, nil
}

const profileARN = "arn: 'arn:aws:signer:us-east-1:000000000000:/signing-profiles/release'"

func TestSigningProfiles(t *testing.T) {
	got, err := profiles(t, "{"+profileARN+", generate: true}, {arn: 'arn:aws-cn:signer:cn-north-1:123456789012:/signing-profiles/a_1', key-file: a, chain-file: b, accounts: ['000000000000']}")
	if err != nil || len(got) != 2 || !got[0].Generate || got[1].KeyFile != "a" || got[1].ChainFile != "b" || len(got[1].Accounts) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for list, says := range map[string]string{
		"{generate: true}":         "arn is missing",
		"{arn: x, generate: true}": "not the ARN of a signing profile",
		"{arn: 'arn:aws:signer:us-east-1:000000000000:/signing-profiles/a', generate: true}": "not the ARN of a signing profile",
		"{" + profileARN + "}":                                                       "key-file and chain-file are asked for, or generate",
		"{" + profileARN + ", key-file: a}":                                          "key-file and chain-file are asked for",
		"{" + profileARN + ", generate: true, key-file: a, chain-file: b}":           "either generate or",
		"{" + profileARN + ", generate: true, accounts: ['1']}":                      "twelve digits",
		"{" + profileARN + ", generate: true}, {" + profileARN + ", generate: true}": "twice",
	} {
		if _, err := profiles(t, list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q in it", list, err, says)
		}
	}
}
