package main

const head = `# How this API stands to Amazon ECR's

Written by ` + "`make generate`" + ` from the table of operations, the API's model and the README; a test fails when it is not what they say.

Each operation is in force: it has its effect at both doors, at once. None invents a result.

## What differs everywhere

`

// difference is something that differs from Amazon's in more than one operation.
type difference struct{ about, what string }

var differences = []difference{
	{"Manifests are never converted", "`acceptedMediaTypes` and `Accept` choose no other form: the bytes that were pushed are the bytes that are pulled, and a " +
		"digest never changes. An image whose type is not accepted is not found."},
	{"Who may do what", "Each request is decided by the policies of the caller, of the repository and of the registry, with their conditions and variables ([identities.md](identities.md), [policies.md](policies.md)). Organizations and their service control policies there are none."},
	{"Policies", "A user or role that a policy names need not exist; one that could not is `Principal not found`. Without `force` a policy is refused that denies the caller, without a condition, to set it again. " +
		"`REGISTRY_POLICY_SCOPE` cannot become `V1` while the registry policy has other actions than the three."},
	{"Encryption", "The setting and the key's ARN are kept and shown as at ECR, and two repositories with other settings share no layer by mounting as ECR does; " +
		"how bytes lie on disk is the operator's, and no key service is asked."},
	{"Times", "A lifecycle policy runs every `lifecycle-interval` (an hour; ECR: within 24 hours). An archived image is back after `restore-time` (a minute; ECR: about " +
		"20 minutes). `lastRecordedPullTime` is at most `pull-time-flush` late (a minute), and a crash forgets the pulls of that time. " +
		"A HEAD of a manifest counts, since clients look in that way whether what they have is still the one; it is no event of a pull."},
	{"The archive", "An index goes into the archive without its images, which others may need, and comes back with them, by a push as well; a new index brings " +
		"back what it names. An image that an index outside of the archive names cannot be archived. What only archived images use is not read or mounted; a push of " +
		"such a layer is taken. Images that a request names by `imageIds` are described whatever their status."},
	{"Lifecycle policies", "Referrers are not looked at by rules: they go with their subject. A policy with Berth's own key, taken while `lifecycle-extensions` was on, does not " +
		"run while it is off. [lifecycle.md](lifecycle.md) has what was chosen where ECR is silent."},
	{"Quotas and rates", "The quotas are ECR's by default and settable (`limits.*`). Rates are off by default and settable (`rate-limits`; the word `ecr` stands for ECR's)."},
	{"Lists", "Repositories, images and tags come in byte order of name, digest and tag. `nextToken` holds all that is needed, has no lifetime, is bound to the operation, the registry and the " +
		"query, and is refused if it was changed. What was there all along is listed once, whatever others write meanwhile."},
	{"Tags", "Up to 128 characters, as pulls need; the model lets 300 through."},
	{"Images without layers", "They are taken at both doors, as the OCI specification has it; ECR refuses them."},
	{"Services of AWS around ECR", "There is no EventBridge: events of its form go to webhooks, files and `berth events tail` ([events.md](events.md)). There is no Secrets Manager, " +
		"KMS or IAM role to assume: ARNs of theirs are checked for form, kept and shown. Images are scanned by a scanner of Berth's own, with ECR's and Inspector's answers, over a database that you supply; those with rpm are not yet ([scanning.md](scanning.md)). There is no Signer: its profiles are keys of the server's configuration, and the codes of " +
		"signings that failed are Berth's own ([signing.md](signing.md))."},
	{"Texts", "Messages are ECR's where they are known; where they are not, they are in the style of their neighbours."},
}
