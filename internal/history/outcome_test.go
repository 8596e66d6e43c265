package history

// outcome is what comes of a call, in no protocol's words.
type outcome string

const (
	accepted          outcome = "accepted"
	sameAgain         outcome = "the same again"
	layerThere        outcome = "layer is there"
	mounted           outcome = "mounted"
	began             outcome = "an upload began"
	repositoryMissing outcome = "repository missing"
	repositoryThere   outcome = "repository is there"
	notEmpty          outcome = "repository not empty"
	imageMissing      outcome = "image missing"
	imageInIndex      outcome = "image in index"
	manifestWrong     outcome = "manifest wrong"
	imageDigestWrong  outcome = "image digest wrong"
	layersMissing     outcome = "layers missing"
	childrenMissing   outcome = "children missing"
	tagImmutable      outcome = "tag immutable"
	tooManyTags       outcome = "too many tags"
	tooManyImages     outcome = "too many images"
	layerMissing      outcome = "layer missing"
	layerInImage      outcome = "layer in image"
	layerDigestWrong  outcome = "layer digest wrong"
	uploadMissing     outcome = "upload missing"
	uploadEmpty       outcome = "upload empty"
	offsetWrong       outcome = "offset wrong"
	classUnchangeable outcome = "storage class unchangeable"
	policyMissing     outcome = "policy missing"
	lifecycleMissing  outcome = "lifecycle policy missing"
	notAtThisDoor     outcome = "not at this door"
)

// words are how each door tells an outcome: the OCI door by the specification,
// the same as ECR's endpoint, and the API. "" is a success: to push again what
// is there is one at the OCI door and an exception of the API.
var words = map[outcome]struct{ oci, asECR, api string }{
	accepted:          {"", "", ""},
	sameAgain:         {"", "", "400 ImageAlreadyExistsException"},
	layerThere:        {"", "", "400 LayerAlreadyExistsException"},
	mounted:           {"201", "201", "none"},
	began:             {"202", "202", "none"},
	repositoryMissing: {"404 NAME_UNKNOWN", "404 NAME_UNKNOWN", "400 RepositoryNotFoundException"},
	repositoryThere:   {"none", "none", "400 RepositoryAlreadyExistsException"},
	notEmpty:          {"none", "none", "400 RepositoryNotEmptyException"},
	imageMissing:      {"404 MANIFEST_UNKNOWN", "404 MANIFEST_UNKNOWN", "failure ImageNotFound"},
	imageInIndex:      {"405 UNSUPPORTED", "405 UNSUPPORTED", "failure ImageReferencedByManifestList"},
	manifestWrong:     {"400 MANIFEST_INVALID", "405 UNSUPPORTED", "400 InvalidParameterException"},
	imageDigestWrong:  {"400 DIGEST_INVALID", "400 MANIFEST_INVALID", "400 ImageDigestDoesNotMatchException"},
	layersMissing:     {"400 MANIFEST_BLOB_UNKNOWN", "404 BLOB_UPLOAD_UNKNOWN", "400 LayersNotFoundException"},
	childrenMissing:   {"400 MANIFEST_BLOB_UNKNOWN", "404 MANIFEST_BLOB_UNKNOWN", "400 ReferencedImagesNotFoundException"},
	tagImmutable:      {"409 TAG_INVALID", "400 TAG_INVALID", "400 ImageTagAlreadyExistsException"},
	tooManyTags:       {"403 DENIED", "405 UNSUPPORTED", "400 LimitExceededException"},
	tooManyImages:     {"403 DENIED", "405 UNSUPPORTED", "400 LimitExceededException"},
	layerMissing:      {"404 BLOB_UNKNOWN", "404 BLOB_UNKNOWN", "none"},
	layerInImage:      {"405 UNSUPPORTED", "405 UNSUPPORTED", "none"},
	layerDigestWrong:  {"400 DIGEST_INVALID", "400 DIGEST_INVALID", "400 InvalidLayerException"},
	uploadMissing:     {"404 BLOB_UPLOAD_UNKNOWN", "404 BLOB_UPLOAD_UNKNOWN", "400 UploadNotFoundException"},
	uploadEmpty:       {"400 BLOB_UPLOAD_INVALID", "400 BLOB_UPLOAD_INVALID", "400 EmptyUploadException"},
	offsetWrong:       {"416 BLOB_UPLOAD_INVALID", "416 BLOB_UPLOAD_INVALID", "400 InvalidLayerPartException"},
	classUnchangeable: {"none", "none", "400 ImageStorageClassUpdateNotSupportedException"},
	policyMissing:     {"none", "none", "400 RepositoryPolicyNotFoundException"},
	lifecycleMissing:  {"none", "none", "400 LifecyclePolicyNotFoundException"},
	notAtThisDoor:     {"none", "404 404 page not found", "none"},
}

// at is how the door tells an outcome.
func (o outcome) at(c config, d door) string {
	w, ok := words[o]
	switch {
	case !ok: // of a batch, in the words of the API
		return string(o)
	case d == atAPI:
		return w.api
	case c.asECR():
		return w.asECR
	}
	return w.oci
}
