package vulndb

import "strings"

// origins are those who keep records, by how the ids of these begin, and where people
// read of them. A "*" stands for the id, and "+" for that of the CVE that it is of.
var origins = []struct{ prefix, source, uri string }{
	{"DEBIAN-CVE-", "Debian", "https://security-tracker.debian.org/tracker/+"},
	{"DSA-", "Debian", "https://security-tracker.debian.org/tracker/*"},
	{"DLA-", "Debian", "https://security-tracker.debian.org/tracker/*"},
	{"DTSA-", "Debian", "https://security-tracker.debian.org/tracker/*"},
	{"UBUNTU-CVE-", "Ubuntu", "https://ubuntu.com/security/+"},
	{"USN-", "Ubuntu", "https://ubuntu.com/security/notices/*"},
	{"ALPINE-CVE-", "Alpine", "https://security.alpinelinux.org/vuln/+"},
	{"GHSA-", "GitHub", "https://github.com/advisories/*"},
	{"GO-", "Go", "https://pkg.go.dev/vuln/*"},
	{"PYSEC-", "PyPA", "https://osv.dev/vulnerability/*"},
	{"RUSTSEC-", "RustSec", "https://rustsec.org/advisories/*"},
	{"RHSA-", "Red Hat", "https://access.redhat.com/errata/*"},
	{"ALSA-", "AlmaLinux", "https://osv.dev/vulnerability/*"},
	{"RLSA-", "Rocky Linux", "https://errata.rockylinux.org/*"},
	{"MAL-", "OpenSSF", "https://osv.dev/vulnerability/*"},
}

// origin is who keeps a record of an ecosystem, and where to read of it.
func origin(ecosystem, id string) (source, uri string) {
	for _, o := range origins {
		if strings.HasPrefix(id, o.prefix) {
			return o.source, strings.NewReplacer("*", id, "+", cveOf(id)).Replace(o.uri)
		}
	}
	source = family(ecosystem)
	if strings.HasPrefix(id, "CVE-") {
		switch source {
		case "Debian":
			return source, "https://security-tracker.debian.org/tracker/" + id
		case "Alpine":
			return source, "https://security.alpinelinux.org/vuln/" + id
		}
		return source, "https://nvd.nist.gov/vuln/detail/" + id
	}
	return source, "https://osv.dev/vulnerability/" + id
}
