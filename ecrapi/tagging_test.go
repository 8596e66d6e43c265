package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestResourceTags(t *testing.T) {
	b := open(t)
	b.repository("app")
	list := func() any { return b.call("ListTagsForResource", obj{"resourceArn": appARN}) }
	tag := func(key, value string) obj { return obj{"Key": key, "Value": value} }
	b.same("none", list(), obj{"tags": arr{}})
	for range 2 {
		b.same("tagged", b.call("TagResource", obj{"resourceArn": appARN, "tags": arr{tag("b", "1"), tag("a", "")}}), obj{})
		b.same("two", list(), obj{"tags": arr{tag("a", ""), tag("b", "1")}})
	}
	b.call("TagResource", obj{"resourceArn": appARN, "tags": arr{tag("b", "2"), tag("c", "3")}})
	b.same("replaced", list(), obj{"tags": arr{tag("a", ""), tag("b", "2"), tag("c", "3")}})
	b.same("untagged", b.call("UntagResource", obj{"resourceArn": appARN, "tagKeys": arr{"a", "c", "absent"}}), obj{})
	b.same("one", list(), obj{"tags": arr{tag("b", "2")}})
}

func TestResourceTagsThatAreRefused(t *testing.T) {
	b := open(t)
	b.repository("app")
	many := func(n int) arr {
		tags := arr{}
		for i := range n {
			tags = append(tags, obj{"Key": fmt.Sprint(i), "Value": ""})
		}
		return tags
	}
	tests := []struct {
		name        string
		tags        arr
		as, message string
	}{
		{"empty key", arr{obj{"Key": "", "Value": "x"}}, "InvalidTagParameterException", "Tag parameters are invalid"},
		{"long key", arr{obj{"Key": strings.Repeat("k", 129), "Value": "x"}}, "InvalidTagParameterException", "Tag parameters are invalid"},
		{"long value", arr{obj{"Key": "k", "Value": strings.Repeat("v", 257)}}, "InvalidTagParameterException", "Tag parameters are invalid"},
		{"reserved", arr{obj{"Key": "aws:k", "Value": "x"}}, "InvalidTagParameterException", "Tag parameters are invalid"},
		{"twice", arr{obj{"Key": "k", "Value": "1"}, obj{"Key": "k", "Value": "2"}}, "InvalidTagParameterException", "Tag parameters are invalid"},
		{"too many", many(51), "TooManyTagsException", "The maximum number of tags per repository is '50'"},
		{"no value", arr{obj{"Key": "k"}}, "InvalidParameterException",
			"Invalid parameter at 'tags.1.member.value' failed to satisfy constraint: 'Member must not be null'"},
	}
	for _, tt := range tests {
		b.refused("TagResource", obj{"resourceArn": appARN, "tags": tt.tags}, tt.as, tt.message)
		b.refused("CreateRepository", obj{"repositoryName": "new", "tags": tt.tags}, tt.as, tt.message)
	}
	b.same("nothing has changed", b.call("ListTagsForResource", obj{"resourceArn": appARN}), obj{"tags": arr{}})
	b.call("TagResource", obj{"resourceArn": appARN, "tags": many(50)})
	b.refused("TagResource", obj{"resourceArn": appARN, "tags": arr{obj{"Key": "one more", "Value": ""}}}, "TooManyTagsException",
		"The maximum number of tags per repository is '50'")
}

func TestResourceARNs(t *testing.T) {
	b := open(t)
	b.repository("app")
	for _, arn := range []string{
		"", "app", "arn:aws:ecr:us-east-1:000000000000:repository/", "arn:aws:ecr:us-east-1:000000000000:app",
		"arn:aws:ecr:us-east-1:000000000000:repository/App", "arn:aws:ecr:us-east-1:0000:repository/app",
		"arn:aws:ecr:eu-west-1:000000000000:repository/app", "arn:aws:s3:us-east-1:000000000000:repository/app",
		"arn:aws-cn:ecr:us-east-1:000000000000:repository/app", "arn:aws:ecr:us-east-1:000000000000:repository/../app",
	} {
		for op, more := range map[string]obj{"ListTagsForResource": nil, "TagResource": {"tags": arr{}}, "UntagResource": {"tagKeys": arr{}}} {
			b.invalid(op, merge(obj{"resourceArn": arn}, more), "resourceArn", "Invalid ARN")
		}
	}
	absent := "arn:aws:ecr:us-east-1:000000000000:repository/absent"
	b.refused("ListTagsForResource", obj{"resourceArn": absent}, "RepositoryNotFoundException", notThere("absent"))
	b.refused("TagResource", obj{"resourceArn": absent, "tags": arr{}}, "RepositoryNotFoundException", notThere("absent"))
	b.refused("UntagResource", obj{"resourceArn": absent, "tagKeys": arr{"a"}}, "RepositoryNotFoundException", notThere("absent"))
	b.refused("ListTagsForResource", obj{"resourceArn": "arn:aws:ecr:us-east-1:111111111111:repository/app"}, "AccessDeniedException",
		"User: arn:aws:iam::000000000000:root is not authorized to perform: ecr:ListTagsForResource on resource: "+
			"arn:aws:ecr:us-east-1:111111111111:repository/app because no resource-based policy allows the ecr:ListTagsForResource action")
}
