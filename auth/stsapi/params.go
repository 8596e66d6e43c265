package stsapi

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-78150930/berth/auth/credentials"
)

// member is what a parameter may be (STS model).
type member struct {
	name        string // as the query protocol has it
	least, most int    // of characters
	pattern     *regexp.Regexp
	needed      bool
	hidden      bool // is not shown in refusals
}

var (
	wordSyntax       = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDSyntax = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
	textSyntax       = regexp.MustCompile(`^[\x{9}\x{A}\x{D}\x{20}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]*$`)
	tagSyntax        = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	keyIDSyntax      = regexp.MustCompile(`^\w*$`)
)

// The parameters of actions.
var (
	roleARN         = member{name: "RoleArn", least: 20, most: 2048, pattern: textSyntax, needed: true}
	roleSessionName = member{name: "RoleSessionName", least: 2, most: 64, pattern: wordSyntax, needed: true}
	externalID      = member{name: "ExternalId", least: 2, most: 1224, pattern: externalIDSyntax}
	sessionPolicy   = member{name: "Policy", least: 1, most: 2048, pattern: textSyntax, hidden: true}
	policyARN       = member{name: "PolicyArns", least: 20, most: 2048, pattern: textSyntax, needed: true}
	tagKey          = member{name: "Tags.Key", least: 1, most: 128, pattern: tagSyntax, needed: true}
	tagValue        = member{name: "Tags.Value", most: 256, pattern: tagSyntax}
	transitiveKey   = member{name: "TransitiveTagKeys", least: 1, most: 128, pattern: tagSyntax, needed: true}
	sourceIdentity  = member{name: "SourceIdentity", least: 2, most: 64, pattern: wordSyntax}
	webToken        = member{name: "WebIdentityToken", least: 4, most: 20000, pattern: textSyntax, needed: true, hidden: true}
	accessKeyID     = member{name: "AccessKeyId", least: 16, most: 128, pattern: keyIDSyntax, needed: true}
)

// How many members lists may have.
const (
	maxPolicyARNs = 10
	maxTags       = 50
)

// params reads parameters, and keeps the first thing that is wrong with them.
type params struct {
	url.Values
	err error
}

func (p *params) fail(format string, args ...any) {
	p.err = cmp.Or(p.err, error(refuse(validationError, format, args...)))
}

// one is a parameter that is sent once or not at all.
func (p *params) one(m member) string { return p.at(m.name, m) }

// at is the parameter of a name.
func (p *params) at(name string, m member) string {
	text, err := param(p.Values, name)
	p.err = cmp.Or(p.err, err)
	return p.check(text, p.Has(name), m)
}

func (p *params) check(text string, given bool, m member) string {
	n := utf8.RuneCountInString(text)
	switch {
	case !given && m.needed:
		p.constraint("null", m, "Member must not be null")
	case !given:
	case n < m.least:
		p.constraint("'"+text+"'", m, fmt.Sprintf("Member must have length greater than or equal to %d", m.least))
	case n > m.most:
		p.constraint("'"+text+"'", m, fmt.Sprintf("Member must have length less than or equal to %d", m.most))
	case !m.pattern.MatchString(text) || !utf8.ValidString(text):
		p.constraint("'"+text+"'", m, "Member must satisfy regular expression pattern: "+m.pattern.String())
	}
	return text
}

func (p *params) constraint(value string, m member, what string) {
	if m.hidden && value != "null" {
		value = "'***'"
	}
	p.fail("1 validation error detected: Value %.200s at '%s' failed to satisfy constraint: %s", value, lowerFirst(m.name), what)
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// list is the places, such as "Tags.member.1", of a list that has one to most
// members; in order.
func (p *params) list(name string, most int) []string {
	var places []int
	for key := range p.Values {
		rest, ok := strings.CutPrefix(key, name+".member.")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || strconv.Itoa(n) != number {
			p.fail("The parameter %.100s has no place in a list", key)
			return nil
		}
		places = append(places, n)
	}
	slices.Sort(places)
	places = slices.Compact(places)
	if len(places) > most {
		p.fail("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", lowerFirst(name), most)
		return nil
	}
	keys := make([]string, len(places))
	for i, n := range places {
		keys[i] = name + ".member." + strconv.Itoa(n)
	}
	return keys
}

// policyARNs, tags and transitive are the lists of a role's session.
func (p *params) policyARNs() (list []string) {
	for _, place := range p.list("PolicyArns", maxPolicyARNs) {
		list = append(list, p.at(place+".arn", policyARN))
	}
	return list
}

func (p *params) tags() map[string]string {
	tags, seen := map[string]string{}, map[string]bool{}
	for _, place := range p.list("Tags", maxTags) {
		key := p.at(place+".Key", tagKey)
		if seen[strings.ToLower(key)] {
			p.err = cmp.Or(p.err, error(refuse(invalidParameter, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")))
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			p.err = cmp.Or(p.err, error(refuse(invalidParameter, "Tag keys that begin with aws: are reserved.")))
		}
		seen[strings.ToLower(key)] = true
		tags[key] = p.at(place+".Value", tagValue)
	}
	return tags
}

func (p *params) transitive() (list []string) {
	for _, place := range p.list("TransitiveTagKeys", maxTags) {
		list = append(list, p.at(place, transitiveKey))
	}
	return list
}

// duration is the time that a session shall last, 0 if that is not said.
func (p *params) duration(least, most time.Duration) time.Duration {
	text, err := param(p.Values, "DurationSeconds")
	p.err = cmp.Or(p.err, err)
	if text == "" {
		return 0
	}
	const wrong = "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: "
	seconds, err := strconv.Atoi(text)
	switch {
	case err != nil:
		// What is no number may be a secret that came to the wrong place.
		p.fail("1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: Member must be a whole number")
	case seconds < int(least/time.Second):
		p.fail(wrong+"Member must have value greater than or equal to %d", seconds, least/time.Second)
	case seconds > int(most/time.Second):
		p.fail(wrong+"Member must have value less than or equal to %d", seconds, most/time.Second)
	}
	return time.Duration(seconds) * time.Second
}

// noDevice refuses a code of a second factor: no identity has a device for one, so
// none is right.
func (p *params) noDevice() {
	if p.Has("SerialNumber") || p.Has("TokenCode") {
		p.err = cmp.Or(p.err, error(refuse(accessDenied, "MultiFactorAuthentication failed, unable to validate MFA code.")))
	}
}

// maxRoleSession is the longest that any role's session may last (STS model).
const maxRoleSession = 12 * time.Hour

// roleRequest are the parameters that both ways to a role have.
func (p *params) roleRequest() credentials.RoleRequest {
	return credentials.RoleRequest{
		Role: p.one(roleARN), Name: p.one(roleSessionName), Duration: p.duration(credentials.MinSession, maxRoleSession),
		Policy: p.one(sessionPolicy), PolicyARNs: p.policyARNs(),
	}
}
