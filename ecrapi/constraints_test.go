package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/ecrapi/shape"
)

// TestConstraintsOfTheModel violates each constraint of each operation, one at
// a time, in a request that is right otherwise.
func TestConstraintsOfTheModel(t *testing.T) {
	b := open(t)
	n := 0
	for op, in := range built {
		for _, v := range violations(shape.Operations[op].Input, "", in) {
			n++
			b.invalid(op, v.in, v.at, v.reason)
		}
	}
	if n < 150 {
		t.Errorf("only %d violations were tried", n)
	}
}

// violation is a request, or a part of one, that breaks a constraint.
type violation struct {
	in         any
	at, reason string
}

// violations breaks each constraint of a structure in a copy of in.
func violations(s *shape.Shape, at string, in obj) (all []violation) {
	for _, m := range s.Members {
		path := strings.ToLower(m.Name[:1]) + m.Name[1:]
		if at != "" {
			path = at + "." + path
		}
		word := "Member "
		if path == "repositoryName" {
			word = ""
		}
		switch {
		case m.Name == "policyText": // ECR's exception
			all = append(all, violation{merge(in, obj{m.Name: nil}), "PolicyText", "Cannot be null"})
		case m.Required:
			all = append(all, violation{merge(in, obj{m.Name: nil}), path, word + "must not be null"})
		}
		for _, v := range breaches(m.Shape, path, in[m.Name]) {
			all = append(all, violation{merge(in, obj{m.Name: v.in}), v.at, v.reason})
		}
	}
	return all
}

// breaches are values that break the constraints of a shape; right is one that
// does not, if one is known.
func breaches(s *shape.Shape, path string, right any) (all []violation) {
	word := "Member "
	if path == "repositoryName" {
		word = ""
	}
	add := func(in any, format string, args ...any) {
		all = append(all, violation{in, path, word + fmt.Sprintf(format, args...)})
	}
	what := "length"
	if s.Type == shape.Long || s.Type == shape.Integer {
		what = "value"
	}
	if s.Min != nil && (what == "value" || *s.Min > 0) {
		add(sized(s, *s.Min-1), "must have %s greater than or equal to %d", what, *s.Min)
	}
	if s.Max != nil {
		add(sized(s, *s.Max+1), "must have %s less than or equal to %d", what, *s.Max)
	}
	if s.Pattern != "" {
		expression := "regular expression pattern: " + s.Pattern
		if word == "" {
			expression = "regular expression '" + strings.ReplaceAll(s.Pattern, `\/`, "/") + "'"
		}
		noSuch := "No Such"
		if s.Min != nil { // long enough for another rule to be the one that it breaks
			noSuch += strings.Repeat("!", int(*s.Min))
		}
		for _, bad := range []string{noSuch, sample(s.Name) + "\n", " " + sample(s.Name)} {
			add(bad, "must satisfy %s", expression)
		}
	}
	if s.Enum != nil {
		add("NONE", "must satisfy enum value set: [%s]", strings.Join(order(s), ", "))
	}
	switch s.Type {
	case shape.List:
		for _, v := range breaches(s.Element, path+".2.member", nil) {
			all = append(all, violation{arr{element(s.Element), v.in}, v.at, v.reason})
		}
		if s.Element.Type == shape.Structure {
			for _, v := range violations(s.Element, path+".2.member", element(s.Element).(obj)) {
				all = append(all, violation{arr{element(s.Element), v.in}, v.at, v.reason})
			}
		}
	case shape.Structure:
		if !strings.HasSuffix(path, ".member") {
			full, _ := right.(obj)
			if full == nil {
				full = element(s).(obj)
			}
			all = append(all, violations(s, path, full)...)
		}
	}
	return all
}

// sized is a value of a shape with the given length or value.
func sized(s *shape.Shape, n int64) any {
	switch s.Type {
	case shape.String:
		return strings.Repeat("é", int(n)) // of two bytes: lengths are in characters
	case shape.Blobs:
		return strings.Repeat("AAAA", int(n/3+1))
	case shape.List:
		list := arr{}
		for range n {
			list = append(list, element(s.Element))
		}
		return list
	}
	return n
}

// element is a value that satisfies a shape.
func element(s *shape.Shape) any {
	if s.Type == shape.Structure {
		full := obj{}
		for _, m := range s.Members {
			if m.Required {
				full[m.Name] = element(m.Shape)
			}
		}
		return full
	}
	if s.Type == shape.List {
		return arr{element(s.Element)}
	}
	if s.Enum != nil {
		return s.Enum[0]
	}
	return sample(s.Name)
}

// sample is a string that satisfies a shape of that name.
func sample(name string) string {
	switch name {
	case "RegistryId":
		return account
	case "UploadId":
		return noUpload
	case "LayerDigest", "ImageDigest", "BatchedOperationLayerDigest":
		return "sha256:00"
	case "SigningProfileArn":
		return profile
	case "CredentialArn":
		return secret
	}
	return "app"
}

// order is that in which ECR prints the values of an enumeration (ECR
// reference, operations.md section 1).
func order(s *shape.Shape) []string {
	switch s.Name {
	case "ImageTagMutability":
		return []string{"IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}
	case "EncryptionType":
		return []string{"AES256", "KMS_DSSE", "KMS"}
	}
	return s.Enum
}

// TestConstraintsInECRsWords holds messages against those that are recorded in
// the ECR reference, errors-and-limits.md section 3.
func TestConstraintsInECRsWords(t *testing.T) {
	b := open(t)
	const expression = `must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'`
	tests := []struct {
		op         string
		in         obj
		at, reason string
	}{
		{"CreateRepository", obj{}, "repositoryName", "must not be null"},
		{"CreateRepository", obj{"repositoryName": "a"}, "repositoryName", "must have length greater than or equal to 2"},
		{"CreateRepository", obj{"repositoryName": strings.Repeat("a", 257)}, "repositoryName", "must have length less than or equal to 256"},
		{"CreateRepository", obj{"repositoryName": "Team/App"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "a//b"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "/ab"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "../etc"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "a%2fb"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "ab\x00"}, "repositoryName", expression},
		{"CreateRepository", obj{"repositoryName": "аpp"}, "repositoryName", expression}, // begins with a Cyrillic letter
		{"CreateRepository", obj{"repositoryName": "app", "imageTagMutability": "SOMETIMES"}, "imageTagMutability",
			"Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]"},
		{"CreateRepository", obj{"repositoryName": "app", "encryptionConfiguration": obj{"encryptionType": "ROT13"}},
			"encryptionConfiguration.encryptionType", "Member must satisfy enum value set: [AES256, KMS_DSSE, KMS]"},
		{"CreateRepository", obj{"repositoryName": "app", "tags": arr{obj{"Key": "a", "Value": "b"}, obj{"key": "a", "Value": "b"}}},
			"tags.2.member.key", "Member must not be null"},
		{"DescribeImages", obj{"repositoryName": "app", "imageIds": sized(shape.Operations["DescribeImages"].Input.Members[2].Shape, 101)},
			"imageIds", "Member must have length less than or equal to 100"},
		{"BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{}}, "imageIds", "Member must have length greater than or equal to 1"},
		{"DescribeImages", obj{"repositoryName": "app", "maxResults": 1001}, "maxResults", "Member must have value less than or equal to 1000"},
		{"DescribeImages", obj{"repositoryName": "app", "maxResults": 0}, "maxResults", "Member must have value greater than or equal to 1"},
		{"ListImages", obj{"repositoryName": "app", "maxResults": int64(1e18)}, "maxResults", "Member must have value less than or equal to 1000"},
		{"ListImages", obj{"repositoryName": "app", "maxResults": -1}, "maxResults", "Member must have value greater than or equal to 1"},
		{"ListImageReferrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": "a:b"}, "maxResults": 51}, "maxResults",
			"Member must have value less than or equal to 50"},
	}
	for _, tt := range tests {
		b.invalid(tt.op, tt.in, tt.at, tt.reason)
	}
}

// TestFirstViolationIsTold: of several, the first one in the model's order.
func TestFirstViolationIsTold(t *testing.T) {
	b := open(t)
	b.invalid("PutImage", obj{"imageDigest": "x", "imageTag": "", "imageManifest": "", "repositoryName": "A", "registryId": "1"},
		"registryId", "Member must satisfy regular expression pattern: [0-9]{12}")
	b.invalid("PutImage", obj{"imageTag": "", "imageManifest": "", "repositoryName": "app"},
		"imageManifest", "Member must have length greater than or equal to 1")
}
