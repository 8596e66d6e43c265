package ecrapi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// call is one request on its way. Each step fills in what it learns.
type call struct {
	op   string // "" where X-Amz-Target names none
	site endpoint.Site
	by   auth.Principal // who signed, in the region that the request means
	id   registry.ID    // the registry that the request is about
	// repo is the repository that the request is about; zero for operations on
	// a registry or on several repositories.
	repo registry.Name
	// may decides on the tags that the request moves, one for each of its images.
	may []registry.May
	// record is what the audit trail will tell of the call.
	record *audit.Call
}

// resource says which resources a request is about, as ARNs, and notes the
// registry and the repository in the call. Nothing is said of what exists.
type resource func(c *call, in any) (arns []string, err error)

// inRegistry notes the registry of a request: that of registryId, else the
// caller's own. Whose it is is the authorizer's concern.
func (c *call) inRegistry(account string) (err error) {
	if account == "" {
		account = c.by.Account
	}
	c.id, err = registry.ParseID(account, c.by.Region)
	return err
}

// onRegistry is the resource of operations on the caller's whole registry,
// which IAM knows as "*" (ECR reference, policies.md section 1).
func onRegistry(c *call, _ any) ([]string, error) {
	return []string{"*"}, c.inRegistry("")
}

// onRepository is the resource of operations on the repository that
// repositoryName names.
func onRepository(c *call, in any) (arns []string, err error) {
	if err := c.inRegistry(text(in, "RegistryID")); err != nil {
		return nil, err
	}
	if c.repo, err = registry.ParseName(c.id, text(in, "RepositoryName")); err != nil {
		return nil, err
	}
	return []string{c.repo.ARN()}, nil
}

// onRepositories is the resource of DescribeRepositories: each repository that
// is named. Where none is, each that could be shown is asked for by itself.
func onRepositories(c *call, in any) (arns []string, err error) {
	if err := c.inRegistry(text(in, "RegistryID")); err != nil {
		return nil, err
	}
	for _, s := range in.(*shape.DescribeRepositoriesRequest).RepositoryNames {
		name, err := registry.ParseName(c.id, s)
		if err != nil {
			return nil, err
		}
		arns = append(arns, name.ARN())
	}
	return arns, nil
}

// onARN is the resource of operations on the repository that resourceArn
// names. Only repositories of the region that is asked have an ARN there.
func onARN(c *call, in any) (arns []string, err error) {
	arn := text(in, "ResourceARN")
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[3] != c.by.Region {
		return nil, errARN
	}
	if c.id, err = registry.ParseID(part[4], part[3]); err != nil {
		return nil, errARN
	}
	name, ok := strings.CutPrefix(part[5], "repository/")
	if !ok {
		return nil, errARN
	}
	if c.repo, err = registry.ParseName(c.id, name); err != nil || c.repo.ARN() != arn {
		return nil, errARN
	}
	return []string{arn}, nil
}

// check is the question whether the caller may do an action to a resource.
func (c *call) check(action, resource string) auth.Check {
	return auth.Check{Principal: c.by, Action: action, Resource: resource, Account: c.id.Account}
}

// permit asks for all that a request needs before anything is looked at, and
// notes in the call what is left to be asked later.
func (a *API) permit(ctx context.Context, c *call, op operation, in any, resources []string) error {
	var keys policy.Keys
	if op.keys != nil {
		keys = op.keys(in)
	}
	for _, action := range op.actions(in) {
		for _, resource := range resources {
			check := c.check(action, resource)
			check.Keys = keys
			if err := a.permitOne(ctx, c, op, in, check); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *API) permitOne(ctx context.Context, c *call, op operation, in any, check auth.Check) error {
	if op.moves == nil {
		return a.authorizer.Authorize(ctx, check)
	}
	asked := map[string]registry.May{} // most identifiers of a list ask the same
	for _, tags := range op.moves(in) {
		of := fmt.Sprintf("%q", tags)
		may, ok := asked[of]
		if !ok {
			var err error
			if may, err = registry.MayMove(ctx, a.authorizer, check, tags...); err != nil {
				return err
			}
			asked[of] = may
		}
		c.may = append(c.may, may)
	}
	return nil
}

// noteDenied has a denial told, and returns it.
func (a *API) noteDenied(ctx context.Context, c *call, err error) error {
	var denied *auth.Denied
	if errors.As(err, &denied) {
		a.registry.NoteDenied(ctx, c.id, denied)
	}
	return err
}

var errARN = invalid("resourceArn", "Invalid ARN")

// text is a string member of a request by the name of its field, "" if it was
// not sent or requests of this operation have none.
func text(in any, field string) string {
	v := reflect.ValueOf(in).Elem().FieldByName(field)
	if !v.IsValid() || v.IsNil() {
		return ""
	}
	return v.Elem().String()
}

// value is what p points to, or zero where nothing was sent.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
