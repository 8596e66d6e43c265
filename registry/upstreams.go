package registry

import (
	"regexp"
	"slices"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// Upstream is a kind of registry that images can be pulled through from, as ECR
// names it (model: UpstreamRegistry).
type Upstream string

// credential is what a pull-through rule needs to get into its upstream.
type credential string

const (
	noCredential     credential = ""
	secretCredential credential = "secret" // a name and a password
	roleCredential   credential = "role"   // of IAM
	anyCredential    credential = "any"    // a secret or none
)

// upstream is what is known of one kind.
type upstream struct {
	kind  Upstream
	hosts *regexp.Regexp // match whole host names, case for case
	needs credential
}

// upstreams are all kinds, with the host names that lead to them. The names are those
// of the model's documentation of upstreamRegistryUrl (botocore 1.43.11), which
// has none for chainguard: that one is Chainguard's own. What each needs is from
// the ECR reference, policies.md section 8.
var upstreams = []upstream{
	{"ecr", regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([0-9a-z-]{2,25})\.amazonaws\.com$`), roleCredential},
	{"ecr-public", host("public.ecr.aws"), noCredential},
	{"quay", host("quay.io"), noCredential},
	{"k8s", host("registry.k8s.io"), noCredential},
	{"docker-hub", host("registry-1.docker.io"), secretCredential},
	{"github-container-registry", host("ghcr.io"), secretCredential},
	{"gitlab-container-registry", host("registry.gitlab.com"), secretCredential},
	{"azure-container-registry", regexp.MustCompile(`^[0-9a-z]+(-[0-9a-z]+)*\.azurecr\.io$`), secretCredential},
	{"chainguard", host("cgr.dev"), secretCredential},
}

func host(name string) *regexp.Regexp { return regexp.MustCompile("^" + regexp.QuoteMeta(name) + "$") }

// upstreamOf finds the kind that a host name leads to. Those of more are of none that ECR
// has a name for.
func upstreamOf(host string, more []string) (upstream, bool) {
	for _, u := range upstreams {
		if u.hosts.MatchString(host) {
			return u, true
		}
	}
	return upstream{needs: anyCredential}, slices.Contains(more, host)
}

// registryAt is the registry of ECR at a host name, the zero value if it is at
// none.
func registryAt(host string) ID {
	if m := upstreams[0].hosts.FindStringSubmatch(host); m != nil {
		return ID{m[1], m[2]}
	}
	return ID{}
}

// pullThroughPrefix is what a prefix of a rule looks like (model:
// PullThroughCacheRuleRepositoryPrefix).
var pullThroughPrefix = regexp.MustCompile(`^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*/?|ROOT)$`)

// settle checks a new rule, whose upstream may be one of more too, and fills in the kind of its upstream. The sentences
// are ECR's (ECR reference, errors-and-limits.md section 5) but where a comment
// says that hers is not known.
func (rule *PullThroughRule) settle(id ID, more []string) error {
	if err := rule.checkPrefixes(); err != nil {
		return err
	}
	known, ok := upstreamOf(rule.UpstreamHost, more)
	if !ok {
		e := refuse(UpstreamInvalid, "%.300q is no upstream registry", rule.UpstreamHost)
		e.Field = rule.UpstreamHost
		return e
	}
	// A wrong name of an open upstream passes, at ECR too.
	if rule.Upstream != "" && rule.Upstream != known.kind && known.needs != noCredential {
		return refuse(ConfigurationInvalid, "Invalid input: Upstream registry URL and entered upstream registry do not match. Please verify input and try again.")
	}
	rule.Upstream = known.kind
	if registryAt(rule.UpstreamHost) == id {
		return refuse(ConfigurationInvalid, "Upstream registry URL cannot be the same as the cache registry")
	}
	return rule.checkCredentials(id, known)
}

func (rule *PullThroughRule) checkPrefixes() error {
	if err := checkPullThroughPrefix("ecrRepositoryPrefix", rule.Prefix); err != nil {
		return err
	}
	if err := checkPullThroughPrefix("upstreamRepositoryPrefix", rule.UpstreamPrefix); err != nil {
		return err
	}
	if rule.Prefix == RootPrefix && rule.UpstreamPrefix != RootPrefix { // ECR's sentence is not known
		return invalidSetting("upstreamRepositoryPrefix", "Member must be %[1]s when ecrRepositoryPrefix is %[1]s", RootPrefix)
	}
	return nil
}

func checkPullThroughPrefix(at, prefix string) error {
	if len(prefix) < 2 || len(prefix) > 30 || !pullThroughPrefix.MatchString(prefix) {
		return invalidSetting(at, "%.100q is neither a path of 2 to 30 characters nor %s", prefix, RootPrefix)
	}
	return nil
}

// checkCredentials checks that a rule has what its upstream asks for. There is
// no store of secrets here, so whether a secret exists, and what it says, is not
// checked.
func (rule *PullThroughRule) checkCredentials(id ID, known upstream) error {
	switch {
	case known.needs == noCredential && rule.Credential+rule.Role != "":
		return refuse(ConfigurationInvalid, "The specified upstream registry doesn't require authentication")
	case known.needs == anyCredential && rule.Role != "", known.needs == secretCredential && rule.Role != "", known.needs == roleCredential && rule.Credential != "":
		return refuse(ConfigurationInvalid, "Upstream registry URL and provided credential type do not match")
	case known.needs == secretCredential && rule.Credential == "":
		return refuse(UpstreamUnauthenticated, "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN containing the upstream registry credentials and try again.")
	case known.needs == roleCredential && rule.Role == "" && registryAt(rule.UpstreamHost).Account != id.Account: // ECR's sentence is not known
		return refuse(UpstreamUnauthenticated, "The specified upstream registry requires authentication. Specify a valid IAM role ARN and try again.")
	}
	return checkCredentialARNs(id, rule.Credential, rule.Role)
}

var (
	// (model: CredentialArn)
	secretSyntax = regexp.MustCompile(`^arn:(aws(?:-\w+)*):secretsmanager:([a-zA-Z0-9-:]+):secret:ecr-pullthroughcache/[a-zA-Z0-9/_+=.@-]+$`)
	// The model has no syntax for roles; this is IAM's.
	roleSyntax = regexp.MustCompile(`^arn:(aws(?:-\w+)*):iam::([0-9]{12}):role/[\w+=,.@/-]+$`)
)

// checkCredentialARNs checks the ARNs that are not "": both name something of
// the account of the rule, a secret of its region too.
func checkCredentialARNs(id ID, secret, role string) error {
	if secret != "" {
		m := secretSyntax.FindStringSubmatch(secret)
		switch {
		case m == nil:
			return invalidSetting("credentialArn", "%.700q is not the ARN of a secret whose name begins with ecr-pullthroughcache/", secret)
		case m[1] != endpoint.Partition(id.Region) || m[2] != id.Region+":"+id.Account:
			return refuse(ConfigurationInvalid, "Please verify the secret exists in the same region and account that the pullthrough cache rule will be created in")
		}
	}
	if role != "" {
		m := roleSyntax.FindStringSubmatch(role)
		if m == nil || m[1] != endpoint.Partition(id.Region) || m[2] != id.Account { // ECR's sentence is not known
			return invalidSetting("customRoleArn", "Member must be the ARN of a role of the account %s", id.Account)
		}
	}
	return nil
}
