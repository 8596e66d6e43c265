package doctor

import (
	"context"
	"fmt"
	"time"
)

// soon is when a certificate that nobody renews should have been: those of
// ACME are, at a third of ninety days.
const soon = 14 * 24 * time.Hour

// checkTLS says whether what the server shows is trusted here, and for how
// long.
func checkTLS(ctx context.Context, v *visit) []Finding {
	if v.base == nil || v.base.Scheme != "https" {
		return []Finding{{"tls", Skipped, "the server is used by plain HTTP", ""}}
	}
	a := v.probe(ctx, v.base.String())
	if a.err != nil || len(a.certs) == 0 {
		return []Finding{{"tls", Skipped, "the server shows no certificate", ""}}
	}
	all := []Finding{v.trust(a), v.expiry(a)}
	if bundle := v.Env("AWS_CA_BUNDLE"); bundle != "" && !v.exists(bundle) {
		all = append(all, Finding{"tls.bundle", Fail, "AWS_CA_BUNDLE names " + bundle + ", which is absent", "unset AWS_CA_BUNDLE"})
	}
	return all
}

// howToTrust is the command that says how each kind of client is told.
func (v *visit) howToTrust() string { return "berth ca trust " + v.base.Host }

func (v *visit) trust(a answer) Finding {
	by := a.certs[0].Issuer.CommonName
	if a.trusted == nil {
		return Finding{"tls", OK, fmt.Sprintf("the system trusts the certificate of %s, by %q", v.base.Host, by), ""}
	}
	return Finding{"tls", Warn, fmt.Sprintf("the system does not trust the certificate of %s, by %q: %v", v.base.Host, by, a.trusted), v.howToTrust()}
}

func (v *visit) expiry(a answer) Finding {
	end := a.certs[0].NotAfter
	left := end.Sub(v.Now())
	f := Finding{"tls.expiry", OK, fmt.Sprintf("the certificate is valid for %d days, until %s", int(left.Hours()/24), end.UTC().Format(time.DateOnly)), ""}
	switch {
	case left <= 0:
		f.Status, f.Found, f.Mend = Fail, "the certificate expired on "+end.UTC().Format(time.DateOnly), "renew the files of tls.cert and tls.key; the server reads them again by itself"
	// A certificate for a few days is of one who renews it by himself.
	case left < soon && end.Sub(a.certs[0].NotBefore) > 4*soon:
		f.Status, f.Mend = Warn, "renew the files of tls.cert and tls.key; the server reads them again by itself"
	}
	return f
}
