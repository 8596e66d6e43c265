package ecrapi

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
)

func (a *API) putRegistryScanningConfiguration(ctx context.Context, c *call, in *shape.PutRegistryScanningConfigurationRequest) (*shape.PutRegistryScanningConfigurationResponse, error) {
	set := scan.Settings{Type: scan.Type(value(in.ScanType))}
	for _, r := range in.Rules {
		rule := scan.Rule{Frequency: scan.Frequency(*r.ScanFrequency)}
		for _, f := range r.RepositoryFilters {
			rule.Filters = append(rule.Filters, *f.Filter)
		}
		set.Rules = append(set.Rules, rule)
	}
	kept, err := a.registry.PutScanning(ctx, c.id, set)
	if err != nil {
		return nil, err
	}
	return &shape.PutRegistryScanningConfigurationResponse{RegistryScanningConfiguration: scanning(kept)}, nil
}

func (a *API) getRegistryScanningConfiguration(ctx context.Context, c *call, _ *shape.GetRegistryScanningConfigurationRequest) (*shape.GetRegistryScanningConfigurationResponse, error) {
	kept, err := a.registry.Scanning(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.GetRegistryScanningConfigurationResponse{RegistryID: c.id.Account, ScanningConfiguration: scanning(kept)}, nil
}

func scanning(kept scan.Settings) *shape.RegistryScanningConfiguration {
	rules := []shape.RegistryScanningRule{}
	for _, rule := range kept.Rules {
		rules = append(rules, shape.RegistryScanningRule{
			ScanFrequency:     new(shape.ScanFrequency(rule.Frequency)),
			RepositoryFilters: scanFilters(rule.Filters),
		})
	}
	return &shape.RegistryScanningConfiguration{ScanType: shape.ScanType(kept.Type), Rules: rules}
}

// scanFilters is never nil: ECR shows the list of a rule also where it is empty.
func scanFilters(filters []string) []shape.ScanningRepositoryFilter {
	list := []shape.ScanningRepositoryFilter{}
	for _, f := range filters {
		list = append(list, shape.ScanningRepositoryFilter{Filter: &f, FilterType: new(shape.ScanningRepositoryFilterTypeWildcard)})
	}
	return list
}

// batchGetRepositoryScanningConfiguration tells each repository once.
func (a *API) batchGetRepositoryScanningConfiguration(ctx context.Context, c *call, in *shape.BatchGetRepositoryScanningConfigurationRequest) (*shape.BatchGetRepositoryScanningConfigurationResponse, error) {
	out := &shape.BatchGetRepositoryScanningConfigurationResponse{
		ScanningConfigurations: []shape.RepositoryScanningConfiguration{},
		Failures:               []shape.RepositoryScanningConfigurationFailure{},
	}
	for _, s := range distinct(in.RepositoryNames) {
		name, err := registry.ParseName(c.id, s)
		if err != nil {
			return nil, err
		}
		got, err := a.registry.RepositoryScanning(ctx, name)
		switch {
		case registry.CodeOf(err) == registry.RepositoryNotFound:
			out.Failures = append(out.Failures, shape.RepositoryScanningConfigurationFailure{
				RepositoryName: s,
				FailureCode:    shape.ScanningConfigurationFailureCodeRepositoryNotFound,
				FailureReason:  string(shape.ScanningConfigurationFailureCodeRepositoryNotFound),
			})
		case err != nil:
			return nil, err
		default:
			out.ScanningConfigurations = append(out.ScanningConfigurations, repositoryScanning(got))
		}
	}
	return out, nil
}

func repositoryScanning(got registry.RepositoryScanning) shape.RepositoryScanningConfiguration {
	return shape.RepositoryScanningConfiguration{
		RepositoryARN:      got.Name.ARN(),
		RepositoryName:     got.Name.String(),
		ScanOnPush:         new(got.Frequency == scan.OnPush),
		ScanFrequency:      shape.ScanFrequency(got.Frequency),
		AppliedScanFilters: scanFilters(got.Filters),
	}
}

func (a *API) startImageScan(ctx context.Context, c *call, in *shape.StartImageScanRequest) (*shape.StartImageScanResponse, error) {
	ref, err := a.oneImage(ctx, c, in.ImageID)
	if err != nil {
		return nil, err
	}
	standing, err := a.registry.StartScan(ctx, c.repo, ref)
	if err != nil {
		return nil, err
	}
	id := imageID(standing.Digest.String(), ref.Tag.String())
	return &shape.StartImageScanResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), ImageID: &id, ImageScanStatus: scanStatus(standing),
	}, nil
}

func (a *API) describeImageScanFindings(ctx context.Context, c *call, in *shape.DescribeImageScanFindingsRequest) (*shape.DescribeImageScanFindingsResponse, error) {
	ref, err := a.oneImage(ctx, c, in.ImageID)
	if err != nil {
		return nil, err
	}
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	standing, err := a.registry.ScanFindings(ctx, c.repo, ref, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	id := imageID(standing.Digest.String(), ref.Tag.String())
	out := &shape.DescribeImageScanFindingsResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), ImageID: &id, ImageScanStatus: scanStatus(standing),
	}
	if standing.Answer == nil {
		return out, nil
	}
	out.ImageScanFindings = scanFindings(standing)
	out.NextToken, err = a.nextToken(c, in, standing.Answer.Next)
	return out, err
}

func scanStatus(standing registry.ScanStanding) *shape.ImageScanStatus {
	return &shape.ImageScanStatus{Status: shape.ScanStatus(standing.Status), Description: standing.Text}
}

// oneImage reads the identifier of the image that a request is about. A digest
// of no kind that this registry has names no image, once the repository is
// there.
func (a *API) oneImage(ctx context.Context, c *call, id *shape.ImageIdentifier) (registry.Ref, error) {
	n := imageName{value(id.ImageDigest), value(id.ImageTag)}
	ref, err := n.ref()
	switch {
	case err == nil:
		return ref, nil
	case !errors.Is(err, noImage):
		return ref, invalid("imageId", err.Error())
	}
	if _, err := a.registry.Repository(ctx, c.repo); err != nil {
		return ref, err
	}
	return ref, except(shape.ImageNotFoundException, "%s", wording.NoSuchImage(c.repo, n.digest, n.tag))
}

// onNamed is the resource of BatchGetRepositoryScanningConfiguration: each
// repository that is named, in the caller's registry.
func onNamed(c *call, in any) (arns []string, err error) {
	if err := c.inRegistry(""); err != nil {
		return nil, err
	}
	for _, s := range distinct(in.(*shape.BatchGetRepositoryScanningConfigurationRequest).RepositoryNames) {
		name, err := registry.ParseName(c.id, s)
		if err != nil {
			return nil, err
		}
		arns = append(arns, name.ARN())
	}
	return arns, nil
}
