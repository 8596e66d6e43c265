package lifecycle

import (
	"cmp"
	"slices"

	"github.com/seed-78150930/berth/jsondoc"
)

// Parse reads a policy. The error is an *Error, about the first thing that is
// wrong. The length of the text is for the caller to look at: ECR words it
// otherwise.
//
// ECR's order is not known beyond text length, JSON, schema, rules among each
// other; within the schema it is type, missing names, names too many, values.
func Parse(text string, o Options) (*Policy, error) {
	v, err := jsondoc.Read(text)
	root, ok := v.(*jsondoc.Object)
	if err != nil || !ok {
		return nil, unmapped
	}
	if o.MaxRules == 0 {
		o.MaxRules = 50
	}
	var optional []string
	if o.Extensions {
		optional = []string{extensionKey}
	}
	r := &reader{}
	root = r.object(root, []string{"rules"}, optional)
	p := &Policy{}
	if r.err == nil {
		for _, v := range r.list(root, "rules", o.MaxRules) {
			p.Rules = append(p.Rules, r.rule(v))
		}
		r.extensions(root, p)
	}
	if r.err == nil {
		r.err = p.check()
	}
	if r.err != nil {
		return nil, r.err
	}
	slices.SortFunc(p.Rules, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return p, nil
}

func (r *reader) rule(v any) Rule {
	o := r.object(v, []string{"action", "rulePriority", "selection"}, []string{"description"})
	if r.err != nil {
		return Rule{}
	}
	rule := Rule{Priority: r.count(o, "rulePriority"), Description: r.text(o, "description")}
	r.selection(o.Values["selection"], &rule)
	r.action(o.Values["action"], &rule)
	return rule
}

func (r *reader) selection(v any, rule *Rule) {
	o := r.object(v, []string{"countNumber", "countType", "tagStatus"},
		[]string{"countUnit", "storageClass", "tagPatternList", "tagPrefixList"})
	if r.err != nil {
		return
	}
	rule.Status = TagStatus(r.choice(o, "tagStatus", string(Any), string(Tagged), string(Untagged)))
	rule.Patterns, rule.Prefixes = r.words(o, "tagPatternList"), r.words(o, "tagPrefixList")
	class := r.choice(o, "storageClass", "archive", "standard")
	rule.Archived = class == "archive"
	rule.Count = CountType(r.text(o, "countType"))
	unit := r.choice(o, "countUnit", "days")
	rule.Number = r.count(o, "countNumber")
	if r.err == nil && !rule.fits(unit) {
		r.fail(unclosed("instance failed to match exactly one schema (matched 0 out of 4)"))
	}
}

// fits says whether count type, unit and storage class go together. An archive
// with another count type has a message of its own.
func (r Rule) fits(unit string) bool {
	switch r.Count {
	case ImageCountMoreThan:
		return unit == ""
	case SinceImagePushed, SinceImagePulled:
		return unit == "days"
	case SinceImageTransitioned:
		return unit == "days" && r.Archived
	}
	return false
}

func (r *reader) action(v any, rule *Rule) {
	o := r.object(v, []string{"type"}, []string{"targetStorageClass"})
	if r.err != nil {
		return
	}
	kind := r.choice(o, "type", "expire", "transition")
	target := r.choice(o, "targetStorageClass", "archive")
	switch {
	case r.err != nil:
	case kind == "transition" && target == "":
		r.fail(unmapped)
	case kind == "transition":
		rule.Action = Transition
	case target != "":
		r.fail(invalid(`object instance has properties which are not allowed by the schema: (["targetStorageClass"])`))
	default:
		rule.Action = Expire
	}
}

// extensionKey is the key of what ECR does not have.
const extensionKey = "berth"

func (r *reader) extensions(root *jsondoc.Object, p *Policy) {
	if !root.Has(extensionKey) || r.err != nil {
		return
	}
	o := r.object(root.Values[extensionKey], nil, []string{"ageFrom", "keep"})
	p.AgeFromTag = r.choice(o, "ageFrom", "push", "tag") == "tag"
	if !o.Has("keep") || r.err != nil {
		return
	}
	for _, v := range r.list(o, "keep", maxWords) {
		p.Keep = append(p.Keep, r.keep(v))
	}
}

func (r *reader) keep(v any) Keep {
	o := r.object(v, nil, []string{"description", "tagPatternList", "tagPrefixList"})
	k := Keep{r.text(o, "description"), r.words(o, "tagPatternList"), r.words(o, "tagPrefixList")}
	if r.err == nil && len(k.Patterns)+len(k.Prefixes) == 0 {
		r.fail(invalid("a keep rule has a tagPatternList or a tagPrefixList"))
	}
	return k
}
