package policy

// Keys are the condition keys of a request and their values, by name in lower case
// ("aws:sourceip"). A key that is not there is absent.
type Keys map[string][]string

// KnownKeys are the condition keys that Berth sends with requests, as they are
// usually written. A name that ends in a slash stands for all that begin with it:
// the rest is the key of a tag. Those of a web identity ("token.example.com:sub")
// have the name of its issuer and are not here.
//
// The last four are Berth's own. They come with each call that can move a tag or take
// it away, once for each tag, and are the same at both doors:
//
//   - berth:ImageTag: the tag
//   - berth:ImageDigest: the digest that it will have
//   - berth:MediaType: the media type of that manifest
//   - berth:TagExists: "true" if the tag names an image that loses it by the call
var KnownKeys = []string{
	"aws:CurrentTime",
	"aws:EpochTime",
	"aws:FederatedProvider",
	"aws:MultiFactorAuthPresent",
	"aws:PrincipalAccount",
	"aws:PrincipalArn",
	"aws:PrincipalTag/",
	"aws:PrincipalType",
	"aws:RequestTag/",
	"aws:RequestedRegion",
	"aws:ResourceAccount",
	"aws:ResourceTag/",
	"aws:SecureTransport",
	"aws:SourceIdentity",
	"aws:SourceIp",
	"aws:TagKeys",
	"aws:TokenIssueTime",
	"aws:UserAgent",
	"aws:userid",
	"aws:username",
	"ecr:ResourceTag/",
	"iam:ResourceTag/",
	"sts:ExternalId",
	"sts:RoleSessionName",
	"sts:SourceIdentity",
	"sts:TransitiveTagKeys",
	"berth:ImageTag",
	"berth:ImageDigest",
	"berth:MediaType",
	"berth:TagExists",
}
