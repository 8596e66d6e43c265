package registry

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// ID names one of the registries of a server: that of an account in a region.
// The zero value names none.
type ID struct {
	Account string // twelve digits
	Region  string // such as "us-east-1"
}

// ParseID checks the form of an account id and a region's name. Whether the
// server knows either is not its business. The error is a refusal with the
// code RegistryInvalid.
func ParseID(account, region string) (ID, error) {
	if !isAccount(account) || !isRegion(region) {
		return ID{}, refuse(RegistryInvalid, "account %.40q and region %.40q name no registry", account, region)
	}
	return ID{account, region}, nil
}

// ARN is the resource name of the registry's repositories that match pattern,
// such as "*".
func (id ID) ARN(pattern string) string {
	return "arn:" + endpoint.Partition(id.Region) + ":ecr:" + id.Region + ":" + id.Account + ":repository/" + pattern
}

// Name is a repository's name such as "team/app", with the registry that it is
// in. ParseName is the only way to make one, so a Name is always safe in a
// key, a path or an ARN. The zero value names none.
type Name struct {
	id   ID
	path string
}

// MaxName is the length of the longest repository name (model: RepositoryName).
const MaxName = 256

// ParseName checks a repository name by ECR's rule (model: RepositoryName),
// which is that of the OCI specification with a length: 2 to 256 characters.
// The error is a refusal with the code NameInvalid.
func ParseName(id ID, s string) (Name, error) {
	if len(s) < 2 || len(s) > MaxName || !isPath(s) {
		return Name{}, refuse(NameInvalid, "%.300q is not a repository name: 2 to 256 lower-case letters, digits, single separators . _ - and slashes", s)
	}
	return Name{id, s}, nil
}

// ID is the registry that the repository is in.
func (n Name) ID() ID { return n.id }

// IsZero says that n names no repository.
func (n Name) IsZero() bool { return n.path == "" }

// String is the name without its registry, such as "team/app".
func (n Name) String() string { return n.path }

// key is the key of the repository's row.
func (n Name) key() []string { return []string{n.id.Account, n.id.Region, n.path} }

// ARN is the repository's resource name.
func (n Name) ARN() string { return n.id.ARN(n.path) }

// Tag is an image's tag such as "1.0". ParseTag is the only way to make one;
// the zero value is no tag.
type Tag struct{ s string }

// ParseTag checks a tag by the grammar of the OCI specification: up to 128
// characters. (The ECR model lets 300 through; what could not be pulled is
// refused at both doors.) The error is a refusal with the code TagInvalid.
func ParseTag(s string) (Tag, error) {
	if !isTag(s) {
		return Tag{}, refuse(TagInvalid, "%.300q is not a tag: up to 128 letters, digits, _ . and -, the first no . or -", s)
	}
	return Tag{s}, nil
}

// IsZero says that t is no tag.
func (t Tag) IsZero() bool { return t.s == "" }

// String implements fmt.Stringer.
func (t Tag) String() string { return t.s }

// MarshalText writes the tag for a row.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.s), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *Tag) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = Tag{}
		return nil
	}
	parsed, err := ParseTag(string(text))
	if err == nil {
		*t = parsed
	}
	return err
}

// newID makes an id that is never used again: sixteen random bytes in the form
// of a UUID (version 4), which the ECR model asks of upload ids.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return formatID(b, 4)
}

// newRepositoryID is newID for a repository, with the time before the random bytes
// (RFC 9562, UUID version 7). So the rows of repositories that come one after the other
// lie side by side in all tables, and a commit of many writes few pages.
func newRepositoryID(now time.Time) string {
	var b [16]byte
	rand.Read(b[6:])
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16|uint64(b[6])<<8|uint64(b[7]))
	return formatID(b, 7)
}

// newBlobID is newID for a blob. Those of the same second begin alike, so that keepers
// have them together: their files share a folder, and its sync.
func newBlobID(now time.Time) string {
	var b [16]byte
	rand.Read(b[:])
	b[0] = byte(now.Unix())
	return formatID(b, 4)
}

func formatID(b [16]byte, version byte) string {
	b[6], b[8] = b[6]&0x0f|version<<4, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
