package policy

import (
	"cmp"
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// matcher is a value of a condition, compiled, against which values of a request
// are held.
type matcher interface {
	matches(value string) bool
}

// operator is a condition operator without its quantifier and IfExists.
type operator struct {
	negated bool // it holds for what none of its values match, and for an absent key
	reads   reading
	// compile makes a matcher of a value; it is nil if the value is none of the
	// operator's. That of a pattern is as in a glob.
	compile func(value string) matcher
}

// reading is what a value of an operator may have in it.
type reading int

const (
	plainValue reading = iota
	withVariables
	withPatterns // and variables
)

// operators are the condition operators of IAM (IAM user guide, "IAM JSON policy
// elements: Condition operators"), without Null, which asks for the key itself.
var operators = map[string]operator{
	"StringEquals":              {false, withVariables, textGlob},
	"StringNotEquals":           {true, withVariables, textGlob},
	"StringEqualsIgnoreCase":    {false, withVariables, equalFold},
	"StringNotEqualsIgnoreCase": {true, withVariables, equalFold},
	"StringLike":                {false, withPatterns, textGlob},
	"StringNotLike":             {true, withPatterns, textGlob},
	"NumericEquals":             {false, plainValue, number(isEqual)},
	"NumericNotEquals":          {true, plainValue, number(isEqual)},
	"NumericLessThan":           {false, plainValue, number(isLess)},
	"NumericLessThanEquals":     {false, plainValue, number(isLess | isEqual)},
	"NumericGreaterThan":        {false, plainValue, number(isGreater)},
	"NumericGreaterThanEquals":  {false, plainValue, number(isGreater | isEqual)},
	"DateEquals":                {false, plainValue, date(isEqual)},
	"DateNotEquals":             {true, plainValue, date(isEqual)},
	"DateLessThan":              {false, plainValue, date(isLess)},
	"DateLessThanEquals":        {false, plainValue, date(isLess | isEqual)},
	"DateGreaterThan":           {false, plainValue, date(isGreater)},
	"DateGreaterThanEquals":     {false, plainValue, date(isGreater | isEqual)},
	"Bool":                      {false, plainValue, boolean},
	"BinaryEquals":              {false, plainValue, binary},
	"IpAddress":                 {false, plainValue, network},
	"NotIpAddress":              {true, plainValue, network},
	"ArnEquals":                 {false, withPatterns, likeARN},
	"ArnLike":                   {false, withPatterns, likeARN},
	"ArnNotEquals":              {true, withPatterns, likeARN},
	"ArnNotLike":                {true, withPatterns, likeARN},
}

// compiled makes a matcher, or keeps the template of a value with variables. It is
// false for a value that is none of the operator's.
func (o *operator) compiled(value string, variables bool) (matcher, *template, bool) {
	if o.reads == plainValue {
		m := o.compile(value)
		return m, nil, m != nil
	}
	t, ok := newTemplate(value, o.reads == withPatterns, variables)
	if !ok || t.pieces != nil {
		return nil, &t, ok
	}
	return o.compile(t.glob.text()), nil, true
}

func textGlob(value string) matcher {
	g := newGlob(value)
	return &g
}

// folded is a text that is compared without regard to case.
type folded string

func equalFold(value string) matcher { return folded(value) }

func (f folded) matches(value string) bool { return strings.EqualFold(string(f), value) }

// order is a set of outcomes of a comparison.
type order uint8

const (
	isLess order = 1 << iota
	isEqual
	isGreater
)

// has says whether a comparison's outcome, as of cmp.Compare, is in the set.
func (o order) has(outcome int) bool { return o&(1<<(outcome+1)) != 0 }

type numbers struct {
	holds order
	than  float64
}

func number(holds order) func(string) matcher {
	return func(value string) matcher {
		n, ok := parseNumber(value)
		return orNil(numbers{holds, n}, ok)
	}
}

func (n numbers) matches(value string) bool {
	v, ok := parseNumber(value)
	return ok && n.holds.has(cmp.Compare(v, n.than))
}

// parseNumber reads a decimal number, with or without a fraction and an exponent.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// orNil is a matcher where there is a value for it.
func orNil(m matcher, ok bool) matcher {
	if !ok {
		return nil
	}
	return m
}

type dates struct {
	holds order
	than  time.Time
}

func date(holds order) func(string) matcher {
	return func(value string) matcher {
		t, ok := parseDate(value)
		return orNil(dates{holds, t}, ok)
	}
}

func (d dates) matches(value string) bool {
	t, ok := parseDate(value)
	return ok && d.holds.has(t.Compare(d.than))
}

// dateForms are those of W3C's profile of ISO 8601, and that without a zone, which
// is taken for UTC. Fractions of seconds are read with each.
var dateForms = []string{
	time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z0700",
	"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006",
}

// parseDate reads a date, or the seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	if n, ok := parseNumber(s); ok && len(s) != len("2006") {
		whole, fraction := math.Modf(n)
		return time.Unix(int64(whole), int64(fraction*1e9)), math.Abs(n) < 1<<50
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

type truthValue string

func boolean(value string) matcher {
	return orNil(truthValue(value), strings.EqualFold(value, "true") || strings.EqualFold(value, "false"))
}

func (b truthValue) matches(value string) bool {
	return strings.EqualFold(string(b), value)
}

// octets are bytes, which a policy has in base64 and a request as they are.
type octets string

func binary(value string) matcher {
	b, err := base64.StdEncoding.DecodeString(value)
	return orNil(octets(b), err == nil)
}

func (o octets) matches(value string) bool { return string(o) == value }

type addresses netip.Prefix

func network(value string) matcher {
	p, ok := parseNetwork(value)
	return orNil(addresses(p), ok)
}

// parseNetwork reads an address or a range. That of IPv4 written in IPv6 is what
// it is in IPv4.
func parseNetwork(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, true
}

func (a addresses) matches(value string) bool {
	v, err := netip.ParseAddr(value)
	return err == nil && netip.Prefix(a).Contains(v.Unmap().WithZone(""))
}
