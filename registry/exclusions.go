package registry

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// principalSyntax is the model's (PrincipalArn): a user or a role. Whether there is
// such a one is not looked at, as far as known of ECR.
var principalSyntax = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`)

// ExcludePulls has a registry not note the pulls of a user or a role, whose ARN
// is given, and returns when that began. Refusals: SettingInvalid,
// ExclusionExists, TooManyExclusions.
func (s *Service) ExcludePulls(ctx context.Context, id ID, principal string) (at time.Time, err error) {
	if len(principal) > 200 || !principalSyntax.MatchString(principal) {
		return at, invalidSetting("principalArn", "Member must be the ARN of an IAM user or role")
	}
	if err := s.FlushPulls(ctx); err != nil { // which were before, and count
		return at, err
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		there, err := exclusions.Has(tx, id.Account, id.Region, principal)
		if err != nil {
			return err
		}
		if there {
			return exclusionRefusal(ExclusionExists, id, principal)
		}
		limit := s.Limits().PullTimeExclusions
		n, err := countRows(exclusions.Scan(tx, table.Select{Prefix: []string{id.Account, id.Region}, Limit: limit}))
		if err != nil {
			return err
		}
		if n >= limit {
			e := exclusionRefusal(TooManyExclusions, id, principal)
			e.Limit = int64(limit)
			return e
		}
		at = s.now().UTC()
		if err := exclusions.Put(tx, exclusionRow{at}, id.Account, id.Region, principal); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, exclusionKind)
	})
	return at, err
}

// IncludePulls ends what ExcludePulls began. Refusal: ExclusionNotFound.
func (s *Service) IncludePulls(ctx context.Context, id ID, principal string) error {
	if err := s.FlushPulls(ctx); err != nil { // which were before, and do not count
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		there, err := exclusions.Has(tx, id.Account, id.Region, principal)
		if err != nil {
			return err
		}
		if !there {
			return exclusionRefusal(ExclusionNotFound, id, principal)
		}
		if err := exclusions.Delete(tx, id.Account, id.Region, principal); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, exclusionKind)
	})
}

func exclusionRefusal(code Code, id ID, principal string) *Error {
	e := refuse(code, "pull time exclusion of %q", principal)
	e.Name, e.Field = Name{id: id}, principal
	return e
}

// PullExclusions lists the ARNs whose pulls a registry does not note, in byte
// order, those after the given one ("" for the first page), at most limit. more
// says that there are others. Refusal: PageInvalid.
func (s *Service) PullExclusions(ctx context.Context, id ID, after string, limit int) (page []string, more bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page, more, err = pageOf(exclusions.Scan(r, id.selectAfter(after, limit)), limit, func(f table.Found[exclusionRow]) string { return f.Key[2] })
		return err
	})
	return page, more, err
}

// excluded are the principals of a registry whose pulls are not noted.
type excluded map[string]bool

func readExcluded(rd storage.Reader, id ID) (excluded, error) {
	all := excluded{}
	for f, err := range exclusions.Scan(rd, table.Select{Prefix: []string{id.Account, id.Region}}) {
		if err != nil {
			return nil, err
		}
		all[f.Key[2]] = true
		if role, ok := roleOf(f.Key[2]); ok {
			all[role] = true
		}
	}
	return all, nil
}

// has says whether a principal is excluded, or the role that it has assumed.
func (e excluded) has(arn string) bool {
	role, assumed := roleOf(arn)
	return e[arn] || assumed && e[role]
}

// roleOf is an account and a role's name, of the ARN of the role or of one who has
// assumed it. The path of a role is not in the latter, and so does not count.
func roleOf(arn string) (role string, ok bool) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 {
		return "", false
	}
	kind, name, _ := strings.Cut(part[5], "/")
	switch {
	case part[2] == "iam" && kind == "role":
		name = name[strings.LastIndexByte(name, '/')+1:]
	case part[2] == "sts" && kind == "assumed-role":
		name, _, _ = strings.Cut(name, "/")
	default:
		return "", false
	}
	return part[4] + " " + name, true
}
