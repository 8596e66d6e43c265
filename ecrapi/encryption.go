package ecrapi

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// encryption reads how a repository is to be encrypted. Berth keeps the
// setting and shows it as ECR does, with the key as an ARN; the bytes
// themselves it does not encrypt, and it asks no key service whether a key
// exists.
func encryption(id registry.ID, in *shape.EncryptionConfiguration) (registry.Encryption, error) {
	if in == nil {
		return registry.Encryption{}, nil
	}
	kind := value(in.EncryptionType)
	if kind == shape.EncryptionTypeAes256 {
		if in.KMSKey != nil {
			return registry.Encryption{}, invalid("encryptionConfiguration",
				"Invalid encryption configuration: Encryption key should not be set for AES256 encryption.")
		}
		return registry.Encryption{Type: string(kind)}, nil
	}
	key := "alias/aws/ecr" // the account's key for ECR, where none is named
	if in.KMSKey != nil {
		key = *in.KMSKey
	}
	arn, err := keyARN(id, key)
	return registry.Encryption{Type: string(kind), KMSKey: arn}, err
}

func encryptionConfiguration(e registry.Encryption) *shape.EncryptionConfiguration {
	out := &shape.EncryptionConfiguration{EncryptionType: new(shape.EncryptionType(e.Type))}
	if e.KMSKey != "" {
		out.KMSKey = new(e.KMSKey)
	}
	return out
}

var (
	kmsARN   = regexp.MustCompile(`^arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):(.+)$`)
	kmsKeyID = regexp.MustCompile(`^[a-zA-Z0-9-]+$`)
	kmsAlias = regexp.MustCompile(`^[a-zA-Z0-9/_-]+$`)
)

// maxKey bounds both. It is not in the patterns, which would be 256 times as long, and are made
// at each start.
const maxKey = 256

// keyARN is the ARN of the key that an id, an alias or an ARN of either names
// for a registry.
func keyARN(id registry.ID, key string) (string, error) {
	prefix := "arn:" + endpoint.Partition(id.Region) + ":kms:" + id.Region + ":" + id.Account + ":"
	if m := kmsARN.FindStringSubmatch(key); m != nil {
		if m[2] != id.Region || m[1] != endpoint.Partition(id.Region) {
			return "", kmsFailure("InvalidArnException", "Invalid arn "+m[2])
		}
		prefix, key = strings.TrimSuffix(key, m[4]), m[4]
		if !strings.HasPrefix(key, "key/") && !strings.HasPrefix(key, "alias/") {
			return "", kmsFailure("InvalidArnException", "Invalid arn "+m[4])
		}
	}
	if alias, ok := strings.CutPrefix(key, "alias/"); ok && len(alias) <= maxKey && kmsAlias.MatchString(alias) {
		return prefix + "key/" + aliasKey(prefix+key), nil
	}
	if k := strings.TrimPrefix(key, "key/"); len(k) <= maxKey && kmsKeyID.MatchString(k) {
		return prefix + "key/" + k, nil
	}
	return "", kmsFailure("NotFoundException", "Invalid keyId "+key)
}

// aliasKey is the id of the key that an alias stands for: always the same one,
// in the form of a UUID, since there is no key service to ask.
func aliasKey(alias string) string {
	sum := sha256.Sum256([]byte(alias))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8: made as one likes (RFC 9562)
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func kmsFailure(code, message string) error {
	f := except(shape.KmsException, "%s", message)
	f.KMSError = code
	return f
}
