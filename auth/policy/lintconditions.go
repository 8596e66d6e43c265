package policy

import (
	"slices"
	"strings"
)

// absentKeys are global keys of AWS that no request here has (IAM user guide, "AWS
// global condition context keys").
var absentKeys = []string{
	"aws:AssumedRoot", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:ChatbotSourceArn", "aws:Ec2InstanceSourcePrivateIPv4", "aws:Ec2InstanceSourceVpc",
	"aws:MultiFactorAuthAge", "aws:PrincipalIsAWSService", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalServiceName", "aws:PrincipalServiceNamesList",
	"aws:Referer", "aws:ResourceOrgID", "aws:ResourceOrgPaths", "aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths", "aws:SourceVpc",
	"aws:SourceVpce", "aws:SourceVpcArn", "aws:ViaAWSService", "aws:VpcSourceIp", "aws:VpceAccount", "aws:VpceOrgID", "aws:VpceOrgPaths",
}

// carriers are the actions with which keys come, for those that do not come with
// all. A name that ends in a slash or colon stands for all that begin with it.
var carriers = []struct {
	key     string
	actions []string
}{
	{"berth:", []string{"ecr:PutImage", "ecr:BatchDeleteImage"}},
	{"aws:requesttag/", []string{"ecr:CreateRepository", "ecr:TagResource", "sts:AssumeRole", "sts:TagSession", "sts:AssumeRoleWithWebIdentity"}},
	{"aws:tagkeys", []string{"ecr:CreateRepository", "ecr:TagResource", "ecr:UntagResource", "sts:AssumeRole", "sts:TagSession", "sts:AssumeRoleWithWebIdentity"}},
	{"sts:", TrustActions},
}

// conditions looks for keys that there are not, or not with these actions, and for
// operators that do not do what they seem to.
func (l *linter) conditions(s linted) {
	s.eachKey(func(operator, key string, values any) {
		path := s.path + ".Condition." + operator + "." + key
		form, _ := operatorOf(operator)
		if comes := l.comes(s, path, key); !comes {
			l.absent(s, path, form)
			return
		}
		l.quantified(s, path, key, form)
		for i, text := range texts(values) {
			if form.operator.reads == withVariables && strings.ContainsAny(withoutVariables(text), "*?") {
				l.say(Doubtful, s.path+"."+item("Condition."+operator+"."+key, values, i), "%s has a wildcard, which %s takes as it is written; StringLike may be meant", quote(text), operator)
			}
		}
	})
}

func withoutVariables(text string) string {
	for {
		before, rest, found := strings.Cut(text, "${")
		_, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return text
		}
		text = before + after
	}
}

// comes says whether a key comes with requests that the statement is about, and
// tells if not.
func (l *linter) comes(s linted, path, key string) bool {
	lower := strings.ToLower(key)
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(k string) bool { return isKey(k, lower) })
	}
	issuer, _, _ := strings.Cut(key, ":")
	switch {
	case named(absentKeys):
		l.say(Doubtful, path, "no request here has the key %s", key)
		return false
	case strings.Contains(issuer, ".") && l.trust: // of a web identity
		return true
	case !named(KnownKeys):
		l.say(Doubtful, path, "%s is no condition key that is known here", quote(key))
		return false
	}
	known, others := s.means()
	for _, c := range carriers {
		if !others && isKey(c.key, lower) && !slices.ContainsFunc(known, func(a string) bool { return slices.Contains(c.actions, a) }) {
			l.say(Doubtful, path, "%s comes with %s, and the statement is about none of these", key, strings.Join(c.actions, ", "))
			return false
		}
	}
	return true
}

// isKey says whether a key in lower case is one that is known, or begins as those do
// of which only the beginning is known.
func isKey(known, lower string) bool {
	known = strings.ToLower(known)
	if strings.HasSuffix(known, "/") || strings.HasSuffix(known, ":") {
		return strings.HasPrefix(lower, known) && len(lower) > len(known)
	}
	return known == lower
}

// absent tells what a test of a key does that is always absent.
func (l *linter) absent(s linted, path string, f form) {
	if f.null {
		return
	}
	if f.ifExists || f.quantifier == forAll || f.quantifier == single && f.negated {
		l.say(Idle, path, "holds for every request, since the key is absent")
		return
	}
	l.say(Doubtful, s.path, "has no effect: its condition on an absent key never holds")
}

// quantified looks for quantifiers that are missing, or that let requests through
// which do not have the key at all.
func (l *linter) quantified(s linted, path, key string, f form) {
	many := strings.EqualFold(key, "aws:TagKeys") || strings.EqualFold(key, "sts:TransitiveTagKeys")
	switch {
	case many && f.quantifier == single && !f.null:
		l.say(Doubtful, path, "%s may have several values; say ForAllValues or ForAnyValue", key)
	case f.quantifier == forAll && s.allows && !s.asksFor(key):
		l.say(Doubtful, path, `ForAllValues holds also where the key is absent; add "Null": {%s: "false"} if it has to be there`, quote(key))
	}
}

// asksFor says whether the statement asks for a key to be there.
func (s linted) asksFor(key string) (asked bool) {
	s.eachKey(func(operator, k string, _ any) { asked = asked || operator == "Null" && strings.EqualFold(k, key) })
	return asked
}
