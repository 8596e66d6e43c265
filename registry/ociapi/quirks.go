package ociapi

// Compat says whose answers the door gives where the OCI specification and
// Amazon ECR differ.
type Compat string

// The two ways. The zero value means OCI.
const (
	OCI Compat = "oci" // the specification's
	ECR Compat = "ecr" // Amazon's
)

// quirk is one way in which Amazon ECR differs from the specification, or from
// what other registries do where it leaves a choice. All that a door does
// differently for ECR is in the table of quirks, and is asked for by its name.
type quirk int

const (
	bareChallenge quirk = iota
	passwordRefusals
	codeMapping
	badParameters
	bareNotFound
	absoluteURLs
	boundedPages
	opaquePlaces
	tagsAsText
	patchCreates
	noUploadUUID
	noUploadStatus
	noWholeUpload
	partRules
	mountBySetting
	lastTagTakesImage
	keptBlobs
	boundedTags
)

// quirks say what the door does without each and with it, and which section of
// the ECR reference's registry-http.md that is from; how many tags there may be is in
// errors-and-limits.md, section 8.
var quirks = []struct {
	quirk    quirk
	name     string
	oci, ecr string
	section  int
}{
	{bareChallenge, "bare challenge", "401 with a JSON error", "401 with the text `Not Authorized` and an empty `Sizes` header", 1},
	{passwordRefusals, "password refusals", "401 whatever is wrong with a password", "403 DENIED for an expired one, 400 DENIED without a challenge for any other", 1},
	{codeMapping, "code mapping", "statuses and codes of the specification", "ECR's: an immutable tag 400 TAG_INVALID, missing layers 404 BLOB_UPLOAD_UNKNOWN, missing children 404 MANIFEST_BLOB_UNKNOWN, a manifest's other digest 400 MANIFEST_INVALID, each in the API's words", 2},
	{badParameters, "bad parameters", "400 with the code of the thing that is wrong", "405 UNSUPPORTED with `Invalid parameter at ...`", 2},
	{bareNotFound, "bare not found", "404 or 405 with a JSON error for paths and methods that are none", "404 with the text `404 page not found`", 2},
	{absoluteURLs, "absolute URLs", "Location and Link are a path alone where the Host header is not known", "Location and Link are always absolute", 2},
	{boundedPages, "bounded pages", "lists without `n` are whole, `n=0` is an empty page, a large `n` is clamped", "pages of 100 without `n`, which may be from 1 to 1000", 6},
	{opaquePlaces, "opaque places", "`last` is a tag or a repository", "`last` is a token from a Link", 6},
	{tagsAsText, "tags as text", "tags/list is application/json", "tags/list is text/plain", 6},
	{patchCreates, "patch creates", "PATCH of an upload is answered 202", "PATCH of an upload is answered 201", 4},
	{noUploadUUID, "no upload UUID", "answers about an upload have `Docker-Upload-UUID`", "they have none", 4},
	{noUploadStatus, "no upload status", "GET of an upload tells how far it is", "404", 4},
	{noWholeUpload, "no whole upload", "POST with `digest` takes a whole blob", "`digest` is ignored, an upload begins", 4},
	{partRules, "part rules", "chunks of any size, and empty blobs", "all chunks but the last have 5 MiB at least, and a blob one byte", 4},
	{mountBySetting, "mount by setting", "a blob that the caller may read is mounted, also without `from`", "only with the account setting BLOB_MOUNTING, from a named repository, and what a stored image uses; else an upload begins", 4},
	{lastTagTakesImage, "last tag takes image", "an image stays when its last tag is deleted", "it goes with it", 5},
	{keptBlobs, "kept blobs", "DELETE of a blob takes it from the repository", "404", 4},
	{boundedTags, "bounded tags", "an image has as many tags as it is given, or as `limits.tags` says", "1,000 at most, unless `limits.tags` says otherwise", 5},
}

// does says whether the door has a quirk.
func (s *Server) does(quirk) bool { return s.compat == ECR }
