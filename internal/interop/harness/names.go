package harness

import (
	"fmt"
	"os"
	"testing"
)

// Names that lead to 127.0.0.1 for this process and all that it starts, where
// it could be shut off.
const (
	Account      = "000000000000" // the server's own, unless it is told otherwise
	OtherAccount = "123456789012"
	Region       = "us-east-1"
	OtherRegion  = "eu-west-1"
	// Example is a name of the kind that people give their own hosts.
	Example = "registry.example.test"
)

// Elsewhere is a name that leads to the same machine by an address that is not
// loopback's, of those set apart for documentation (RFC 5737): to it, docker
// wants TLS that it trusts.
const (
	Elsewhere        = "elsewhere.example.test"
	ElsewhereAddress = "192.0.2.1"
)

// RegistryName is the name that Amazon gives a registry.
func RegistryName(account, region string) string {
	return account + ".dkr.ecr." + region + ".amazonaws.com"
}

// NeedNames fails a test that needs names and ports of its own where the
// process is not shut off: only root can do that. A run by anybody else leaves
// out the tests that have Names in their own name.
func NeedNames(t testing.TB) {
	t.Helper()
	if os.Getenv(shutOffMark) == "" {
		t.Fatal("this test needs names and ports of its own, and with them root")
	}
}

// Names are all the names that lead to 127.0.0.1, every form of Amazon's among them.
func Names() []string {
	names := []string{Example, "api.ecr.amazonaws.com", "sts.amazonaws.com"}
	for _, region := range []string{Region, OtherRegion} {
		for _, form := range []string{
			"api.ecr.%s.amazonaws.com", "ecr.%s.amazonaws.com", "ecr-fips.%s.amazonaws.com", "ecr.%s.api.aws",
			"sts.%s.amazonaws.com", "api.ecr.%s.localhost", "ecr.%s.localhost", "sts.%s.localhost",
		} {
			names = append(names, fmt.Sprintf(form, region))
		}
		for _, account := range []string{Account, OtherAccount} {
			for _, form := range []string{
				"%s.dkr.ecr.%s.amazonaws.com", "%s.dkr.ecr-fips.%s.amazonaws.com", "%s.dkr-ecr.%s.on.aws", "%s.dkr.ecr.%s.localhost",
			} {
				names = append(names, fmt.Sprintf(form, account, region))
			}
		}
	}
	return names
}

// ownDomains are where all those names end, as NO_PROXY lists them.
const ownDomains = ".amazonaws.com,.on.aws,.api.aws,.localhost,.example.test"
