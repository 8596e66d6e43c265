package policy

import (
	"encoding/base64"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// matcher is a value of a condition, compiled, against which values of a request
// are held.
type matcher interface {
	matches(value string, q *query) truth
}

// operator is a condition operator without its quantifier and IfExists.
type operator struct {
	negated bool // it holds for what none of its values match, and for an absent key
	// compile makes a matcher of a value; it is nil if the value is none of the
	// operator's. Variables count only where variables is true.
	compile func(value string, variables bool) matcher
}

// operators are the condition operators of IAM (IAM user guide, "IAM JSON policy
// elements: Condition operators"), without Null, which asks for the key itself.
var operators = map[string]operator{
	"StringEquals":              {false, equalText},
	"StringNotEquals":           {true, equalText},
	"StringEqualsIgnoreCase":    {false, equalFold},
	"StringNotEqualsIgnoreCase": {true, equalFold},
	"StringLike":                {false, likeText},
	"StringNotLike":             {true, likeText},
	"NumericEquals":             {false, number(isEqual)},
	"NumericNotEquals":          {true, number(isEqual)},
	"NumericLessThan":           {false, number(isLess)},
	"NumericLessThanEquals":     {false, number(isLess | isEqual)},
	"NumericGreaterThan":        {false, number(isGreater)},
	"NumericGreaterThanEquals":  {false, number(isGreater | isEqual)},
	"DateEquals":                {false, date(isEqual)},
	"DateNotEquals":             {true, date(isEqual)},
	"DateLessThan":              {false, date(isLess)},
	"DateLessThanEquals":        {false, date(isLess | isEqual)},
	"DateGreaterThan":           {false, date(isGreater)},
	"DateGreaterThanEquals":     {false, date(isGreater | isEqual)},
	"Bool":                      {false, boolean},
	"BinaryEquals":              {false, binary},
	"IpAddress":                 {false, network},
	"NotIpAddress":              {true, network},
	"ArnEquals":                 {false, likeARN},
	"ArnLike":                   {false, likeARN},
	"ArnNotEquals":              {true, likeARN},
	"ArnNotLike":                {true, likeARN},
}

func equalText(value string, variables bool) matcher {
	t, ok := newTemplate(value, false, variables)
	return orNil(&t, ok)
}

func likeText(value string, variables bool) matcher {
	t, ok := newTemplate(value, true, variables)
	return orNil(&t, ok)
}

func orNil(m matcher, ok bool) matcher {
	if !ok {
		return nil
	}
	return m
}

// folded is a text that is compared without regard to case.
type folded struct{ template }

func equalFold(value string, variables bool) matcher {
	t, ok := newTemplate(value, false, variables)
	return orNil(&folded{t}, ok)
}

func (f *folded) matches(value string, q *query) truth {
	if f.pieces == nil {
		return truthOf(strings.EqualFold(f.glob.head, value))
	}
	text, known := f.expand(q)
	if known != yes {
		return known
	}
	return truthOf(strings.EqualFold(text, value))
}

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

func number(holds order) func(string, bool) matcher {
	return func(value string, _ bool) matcher {
		n, ok := parseNumber(value)
		return orNil(numbers{holds, n}, ok)
	}
}

func (n numbers) matches(value string, _ *query) truth {
	v, ok := parseNumber(value)
	return truthOf(ok && n.holds.has(compare(v, n.than)))
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

var numberForm = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func parseNumber(s string) (float64, bool) {
	if !numberForm.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

type dates struct {
	holds order
	than  time.Time
}

func date(holds order) func(string, bool) matcher {
	return func(value string, _ bool) matcher {
		t, ok := parseDate(value)
		return orNil(dates{holds, t}, ok)
	}
}

func (d dates) matches(value string, _ *query) truth {
	t, ok := parseDate(value)
	return truthOf(ok && d.holds.has(t.Compare(d.than)))
}

// dateForms are those of W3C's profile of ISO 8601, and that without a zone, which
// is taken for UTC. Fractions of seconds are read with each.
var dateForms = []string{
	time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z0700",
	"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006",
}

// parseDate reads a date, or the seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	n, ok := parseNumber(s)
	if !ok || math.Abs(n) > 1<<50 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(n)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

type truthValue string

func boolean(value string, _ bool) matcher {
	return orNil(truthValue(value), strings.EqualFold(value, "true") || strings.EqualFold(value, "false"))
}

func (b truthValue) matches(value string, _ *query) truth {
	return truthOf(strings.EqualFold(string(b), value))
}

// octets are bytes, which a policy has in base64 and a request as they are.
type octets string

func binary(value string, _ bool) matcher {
	b, err := base64.StdEncoding.DecodeString(value)
	return orNil(octets(b), err == nil)
}

func (o octets) matches(value string, _ *query) truth { return truthOf(string(o) == value) }

type addresses netip.Prefix

func network(value string, _ bool) matcher {
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

func (a addresses) matches(value string, _ *query) truth {
	v, err := netip.ParseAddr(value)
	return truthOf(err == nil && netip.Prefix(a).Contains(v.Unmap().WithZone("")))
}
