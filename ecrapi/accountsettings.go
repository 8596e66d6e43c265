package ecrapi

import (
	"context"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

// settingNames are the account settings of ECR (ECR reference, operations.md,
// GetAccountSetting). The model has no list of them.
var settingNames = []string{"BASIC_SCAN_TYPE_VERSION", "REGISTRY_POLICY_SCOPE", registry.BlobMounting}

func checkSettingName(name string) error {
	if !slices.Contains(settingNames, name) {
		return violation("name", "must satisfy enum value set: [%s]", strings.Join(settingNames, ", "))
	}
	return nil
}

// settingsToCome are account settings of ECR's that have nothing here to set
// yet, with the defaults that are in force (ECR reference, operations.md,
// GetAccountSetting).
var settingsToCome = map[string]string{
	"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE",
	"REGISTRY_POLICY_SCOPE":   "V2",
}

func (a *API) getAccountSetting(ctx context.Context, c *call, in *shape.GetAccountSettingRequest) (*shape.GetAccountSettingResponse, error) {
	if err := checkSettingName(*in.Name); err != nil {
		return nil, err
	}
	if value, ok := settingsToCome[*in.Name]; ok {
		return &shape.GetAccountSettingResponse{Name: *in.Name, Value: value}, nil
	}
	value, err := a.registry.AccountSetting(ctx, c.id, *in.Name)
	if err != nil {
		return nil, err
	}
	return &shape.GetAccountSettingResponse{Name: *in.Name, Value: value}, nil
}

func (a *API) putAccountSetting(ctx context.Context, c *call, in *shape.PutAccountSettingRequest) (*shape.PutAccountSettingResponse, error) {
	if err := checkSettingName(*in.Name); err != nil {
		return nil, err
	}
	if _, ok := settingsToCome[*in.Name]; ok {
		return nil, except(shape.ValidationException, "The account setting %s is not available in this version of Berth", *in.Name)
	}
	if err := a.registry.PutAccountSetting(ctx, c.id, *in.Name, *in.Value); err != nil {
		return nil, err
	}
	return &shape.PutAccountSettingResponse{Name: *in.Name, Value: *in.Value}, nil
}
