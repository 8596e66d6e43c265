package policy_test

import (
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

// IAM user guide, "...IfExists condition operators" and "Condition operator to
// check existence of condition keys".
func TestPresence(t *testing.T) {
	all := []outcome{
		{"Null", `"true"`, nil, true},
		{"Null", `"true"`, is("x"), false},
		{"Null", `"false"`, nil, false},
		{"Null", `"false"`, is("x"), true},
		{"Null", `true`, nil, true},
		{"Null", `false`, is("x"), true},
		{"Null", `"False"`, is("x"), true},
		{"Null", `["true","false"]`, nil, true},
		{"Null", `["true","false"]`, is("x"), true},
		{"Null", `"false"`, is(""), true}, // an empty value is one
		{"Null", `"true"`, is(), true},    // no values are none
		{"Null", `"false"`, is("a", "b"), true},
		{"StringEqualsIfExists", `"a"`, is("a"), true},
		{"StringEqualsIfExists", `"a"`, is("b"), false},
		{"StringEqualsIfExists", `"a"`, is(""), false},
		{"StringNotEqualsIfExists", `"a"`, is("a"), false},
		{"StringNotEqualsIfExists", `"a"`, is("b"), true},
		{"BoolIfExists", `"true"`, is("false"), false}, // MFA, if the key knows of it
		{"BoolIfExists", `"true"`, is("true"), true},
		{"NumericLessThanIfExists", `"3600"`, is("3601"), false},
		{"DateLessThanIfExists", `"2026"`, is("2027"), false},
		{"NotIpAddressIfExists", `"10.0.0.0/8"`, is("10.0.0.1"), false},
		{"ArnLikeIfExists", `"arn:aws:iam::1:role/*"`, is("arn:aws:iam::1:user/x"), false},
		{"BinaryEqualsIfExists", `"QQ=="`, is("B"), false},
		{"ForAllValues:StringEqualsIfExists", `"a"`, is("b"), false},
		{"ForAnyValue:StringEqualsIfExists", `"a"`, is("b"), false},
	}
	for _, o := range []outcome{
		{"String", `"a"`, nil, true}, {"Numeric", `"1"`, nil, true}, {"Date", `"2026"`, nil, true},
	} {
		for _, how := range []string{"Equals", "NotEquals"} {
			all = append(all, outcome{o.operator + how + "IfExists", o.wanted, nil, true})
		}
	}
	for _, name := range []string{
		"StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike",
		"ForAllValues:StringLike", "ForAnyValue:StringLike", "ForAnyValue:StringNotLike",
	} {
		all = append(all, outcome{name + "IfExists", `"arn:aws:iam::1:role/*"`, nil, true})
	}
	for name, wanted := range map[string]string{
		"Bool": `"true"`, "BinaryEquals": `"QQ=="`, "IpAddress": `"10.0.0.0/8"`, "NotIpAddress": `"10.0.0.0/8"`, "NumericLessThan": `"1"`, "NumericLessThanEquals": `"1"`,
		"NumericGreaterThan": `"1"`, "NumericGreaterThanEquals": `"1"`, "DateLessThan": `"1"`, "DateLessThanEquals": `"1"`, "DateGreaterThan": `"1"`, "DateGreaterThanEquals": `"1"`,
	} {
		all = append(all, outcome{name + "IfExists", wanted, nil, true})
	}
	checkOutcomes(t, all)
}

// IAM user guide, "Multivalued context keys": ForAllValues and ForAnyValue.
func TestSetOperators(t *testing.T) {
	checkOutcomes(t, []outcome{
		{"ForAllValues:StringEquals", `["a","b"]`, is("a"), true},
		{"ForAllValues:StringEquals", `["a","b"]`, is("a", "b"), true},
		{"ForAllValues:StringEquals", `["a","b"]`, is("b", "b", "a"), true},
		{"ForAllValues:StringEquals", `["a","b"]`, is("a", "c"), false},
		{"ForAllValues:StringEquals", `["a","b"]`, is("c"), false},
		{"ForAllValues:StringEquals", `["a","b"]`, nil, true},
		{"ForAllValues:StringEquals", `["a","b"]`, is(), true},
		{"ForAllValues:StringEquals", `["a","b"]`, is(""), true}, // a null set
		{"ForAllValues:StringEquals", `["a","b"]`, is("a", ""), false},
		{"ForAllValues:StringNotEquals", `["a","b"]`, is("c", "d"), true},
		{"ForAllValues:StringNotEquals", `["a","b"]`, is("c", "a"), false},
		{"ForAllValues:StringNotEquals", `["a","b"]`, nil, true},
		{"ForAllValues:StringLike", `["key1*","key2*"]`, is("key1", "key2x"), true},
		{"ForAllValues:StringLike", `["key1*","key2*"]`, is("key1", "key3"), false},
		{"ForAllValues:StringNotLike", `"key*"`, is("a", "key3"), false},
		{"ForAllValues:StringEqualsIgnoreCase", `"a"`, is("A", "a"), true},
		{"ForAllValues:StringNotEqualsIgnoreCase", `"a"`, is("A", "b"), false},
		{"ForAllValues:NumericLessThan", `"10"`, is("1", "9"), true},
		{"ForAllValues:NumericLessThan", `"10"`, is("1", "10"), false},
		{"ForAllValues:DateGreaterThan", `"2026"`, is("2026-02", "2027"), true},
		{"ForAllValues:Bool", `"true"`, is("true", "false"), false},
		{"ForAllValues:BinaryEquals", `"QQ=="`, is("A", "A"), true},
		{"ForAllValues:IpAddress", `"10.0.0.0/8"`, is("10.0.0.1", "10.2.0.1"), true},
		{"ForAllValues:NotIpAddress", `"10.0.0.0/8"`, is("10.0.0.1", "11.2.0.1"), false},
		{"ForAllValues:ArnLike", `"arn:aws:iam::1:role/*"`, is("arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"), true},
		{"ForAllValues:ArnNotLike", `"arn:aws:iam::1:role/*"`, is("arn:aws:iam::1:role/a", "arn:aws:iam::2:role/b"), false},
		{"ForAnyValue:StringEquals", `["a","b"]`, is("c", "b"), true},
		{"ForAnyValue:StringEquals", `["a","b"]`, is("c", "d"), false},
		{"ForAnyValue:StringEquals", `["a","b"]`, is("a"), true},
		{"ForAnyValue:StringEquals", `["a","b"]`, nil, false},
		{"ForAnyValue:StringEquals", `["a","b"]`, is(), false},
		{"ForAnyValue:StringEquals", `["a",""]`, is(""), false}, // a null set
		{"ForAnyValue:StringNotEquals", `["a","b"]`, is("a", "c"), true},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, is("a", "b"), false},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, nil, false},
		{"ForAnyValue:StringLike", `"env*"`, is("x", "environment"), true},
		{"ForAnyValue:StringLike", `"env*"`, is("x", "y"), false},
		{"ForAnyValue:StringNotLike", `"env*"`, is("env1", "env2"), false},
		{"ForAnyValue:StringNotLike", `"env*"`, is("env1", "x"), true},
		{"ForAnyValue:NumericGreaterThan", `"10"`, is("1", "11"), true},
		{"ForAnyValue:DateLessThan", `"2026"`, is("2027", "2028"), false},
		{"ForAnyValue:Bool", `"true"`, is("false", "true"), true},
		{"ForAnyValue:IpAddress", `"10.0.0.0/8"`, is("11.0.0.1", "10.2.0.1"), true},
		{"ForAnyValue:NotIpAddress", `"10.0.0.0/8"`, is("10.0.0.1", "10.2.0.1"), false},
		{"ForAnyValue:ArnEquals", `"arn:aws:iam::1:role/*"`, is("x", "arn:aws:iam::1:role/b"), true},
		{"ForAnyValue:ArnNotEquals", `"arn:aws:iam::1:role/*"`, is("arn:aws:iam::1:role/b"), false},
		// without a quantifier a negation is the opposite of what it negates
		{"StringEquals", `"a"`, is("b", "a"), true},
		{"StringNotEquals", `"a"`, is("b", "a"), false},
		{"StringNotEquals", `"a"`, is("b", "c"), true},
	})
}

// IAM user guide, "Conditions with multiple context keys or values": operators and
// keys are joined by AND, values by OR or, negated, by NOR.
func TestConditionsTogether(t *testing.T) {
	const condition = `"Condition":{"StringEquals":{"aws:PrincipalTag/department":["finance","hr","legal"],"aws:PrincipalTag/role":["audit","security"]},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:role/*"},"StringNotEquals":{"aws:username":["eve","mallory"]}}`
	good := policy.Keys{
		"aws:principaltag/department": is("hr"), "aws:principaltag/role": is("audit"), "aws:principalarn": is("arn:aws:iam::1:role/r"), "aws:username": is("bob"),
	}
	tests := []struct {
		key   string
		value []string
		want  policy.Effect
	}{
		{"aws:username", is("bob"), policy.Allowed},
		{"aws:username", nil, policy.Allowed},
		{"aws:username", is("eve"), policy.NoMatch},
		{"aws:username", is("mallory"), policy.NoMatch},
		{"aws:principaltag/department", is("legal"), policy.Allowed},
		{"aws:principaltag/department", is("sales"), policy.NoMatch},
		{"aws:principaltag/department", nil, policy.NoMatch},
		{"aws:principaltag/role", is("security"), policy.Allowed},
		{"aws:principaltag/role", is("Security"), policy.NoMatch},
		{"aws:principalarn", is("arn:aws:iam::1:user/r"), policy.NoMatch},
		{"aws:principalarn", nil, policy.NoMatch},
	}
	d := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"*",`+condition))
	for _, tt := range tests {
		keys := policy.Keys{}
		for k, v := range good {
			keys[k] = v
		}
		delete(keys, tt.key)
		if tt.value != nil {
			keys[tt.key] = tt.value
		}
		if got := d.Decide(policy.Request{Action: "ecr:PutImage", Resource: app, Keys: keys}).Effect; got != tt.want {
			t.Errorf("%s %q: %v, want %v", tt.key, tt.value, got, tt.want)
		}
	}
}
