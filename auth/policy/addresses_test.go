package policy_test

import "testing"

// IAM user guide, "IP address condition operators".
func TestAddressOperators(t *testing.T) {
	checkOutcomes(t, []outcome{
		{"IpAddress", `"203.0.113.0/24"`, is("203.0.113.7"), true},
		{"IpAddress", `"203.0.113.0/24"`, is("203.0.113.255"), true},
		{"IpAddress", `"203.0.113.0/24"`, is("203.0.114.0"), false},
		{"IpAddress", `"203.0.113.9/24"`, is("203.0.113.1"), true}, // bits behind the mask do not count
		{"IpAddress", `"203.0.113.9"`, is("203.0.113.9"), true},    // without a mask: that address
		{"IpAddress", `"203.0.113.9"`, is("203.0.113.8"), false},
		{"IpAddress", `"203.0.113.9/32"`, is("203.0.113.9"), true},
		{"IpAddress", `"0.0.0.0/0"`, is("198.51.100.1"), true},
		{"IpAddress", `"0.0.0.0/0"`, is("2001:db8::1"), false},
		{"IpAddress", `"::/0"`, is("2001:db8::1"), true},
		{"IpAddress", `"::/0"`, is("198.51.100.1"), false},
		{"IpAddress", `"10.0.0.0/8"`, is("::ffff:10.1.2.3"), true}, // the same address
		{"IpAddress", `"::ffff:10.0.0.0/104"`, is("10.1.2.3"), true},
		{"IpAddress", `"::ffff:10.0.0.1"`, is("10.0.0.1"), true},
		{"IpAddress", `"2001:db8:1234:5678::/64"`, is("2001:db8:1234:5678::1"), true},
		{"IpAddress", `"2001:DB8:1234:5678::/64"`, is("2001:db8:1234:5678:0:0:0:1"), true},
		{"IpAddress", `"2001:db8:1234:5678::/64"`, is("2001:db8:1234:5679::1"), false},
		{"IpAddress", `"2001:db8::1"`, is("2001:0db8::0001"), true},
		{"IpAddress", `"fe80::/10"`, is("fe80::1%eth0"), true},
		{"IpAddress", `["203.0.113.0/24","2001:db8::/32"]`, is("2001:db8::9"), true},
		{"IpAddress", `["203.0.113.0/24","2001:db8::/32"]`, is("198.51.100.1"), false},
		{"IpAddress", `"10.0.0.0/8"`, is("10.1.2"), false},
		{"IpAddress", `"10.0.0.0/8"`, is("10.1.2.3:80"), false},
		{"IpAddress", `"10.0.0.0/8"`, is("localhost"), false},
		{"IpAddress", `"10.0.0.0/8"`, is(""), false},
		{"IpAddress", `"10.0.0.0/8"`, nil, false},
		{"NotIpAddress", `"203.0.113.0/24"`, is("203.0.113.7"), false},
		{"NotIpAddress", `"203.0.113.0/24"`, is("198.51.100.1"), true},
		{"NotIpAddress", `["203.0.113.0/24","198.51.100.0/24"]`, is("198.51.100.1"), false},
		{"NotIpAddress", `["203.0.113.0/24","198.51.100.0/24"]`, is("192.0.2.1"), true},
		{"NotIpAddress", `"203.0.113.0/24"`, is("2001:db8::1"), true},
		{"NotIpAddress", `"203.0.113.0/24"`, is("not an address"), true},
		{"NotIpAddress", `"203.0.113.0/24"`, nil, true},
	})
}

// IAM user guide, "Amazon Resource Name (ARN) condition operators": each of the six
// segments for itself; ArnEquals and ArnLike are the same.
func TestARNOperators(t *testing.T) {
	const role = "arn:aws:iam::111111111111:role/team/builder"
	var all []outcome
	for _, o := range []outcome{
		{"", `"arn:aws:iam::111111111111:role/team/builder"`, is(role), true},
		{"", `"arn:aws:iam::111111111111:role/Team/builder"`, is(role), false},
		{"", `"arn:aws:iam::111111111111:role/*"`, is(role), true},
		{"", `"arn:aws:iam::*:role/team/*"`, is(role), true},
		{"", `"arn:*:iam::111111111111:role/team/builder"`, is(role), true},
		{"", `"arn:aws:iam:*:111111111111:role/team/builder"`, is(role), true}, // an empty segment
		{"", `"arn:aws:iam:?:111111111111:role/team/builder"`, is(role), false},
		{"", `"arn:aws:iam::11111111111?:role/team/builder"`, is(role), true},
		{"", `"arn:aws:iam::111111111111:role/team/build??"`, is(role), true},
		{"", `"arn:aws:iam::111111111111:user/*"`, is(role), false},
		{"", `"arn:aws:iam::222222222222:role/*"`, is(role), false},
		{"", `"arn:aws:*"`, is(role), false}, // no star reaches over a colon
		{"", `"arn:aws:iam::*"`, is(role), false},
		{"", `"arn:*"`, is(role), false},
		{"", `"*"`, is(role), true},
		{"", `"*"`, is("no arn"), false},
		{"", `"arn:aws:sns:*:*:*"`, is("arn:aws:sns:us-east-1:111111111111:topic:sub"), true}, // colons of the last segment are its own
		{"", `"arn:aws:sns:*:*:topic"`, is("arn:aws:sns:us-east-1:111111111111:topic:sub"), false},
		{"", `"arn:aws:sns:us-east-1:111111111111:top*"`, is("arn:aws:sns:us-east-1:111111111111:topic:sub"), true},
		{"", `"arn:aws:iam::111111111111:role/*"`, is("role/x"), false},
		{"", `"arn:aws:iam::111111111111:role/*"`, is(""), false},
		{"", `["arn:aws:iam::1:role/x","arn:aws:iam::111111111111:role/*"]`, is(role), true},
	} {
		for _, name := range []string{"ArnEquals", "ArnLike"} {
			all = append(all, outcome{name, o.wanted, o.given, o.want})
		}
		for _, name := range []string{"ArnNotEquals", "ArnNotLike"} {
			all = append(all, outcome{name, o.wanted, o.given, !o.want})
		}
	}
	for name, want := range map[string]bool{"ArnEquals": false, "ArnLike": false, "ArnNotEquals": true, "ArnNotLike": true} {
		all = append(all, outcome{name, `"arn:aws:iam::111111111111:role/*"`, nil, want})
	}
	checkOutcomes(t, all)
}
