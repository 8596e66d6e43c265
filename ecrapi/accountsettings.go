package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
)

func (a *API) getAccountSetting(ctx context.Context, c *call, in *shape.GetAccountSettingRequest) (*shape.GetAccountSettingResponse, error) {
	value, err := a.registry.AccountSetting(ctx, c.id, *in.Name)
	if err != nil {
		return nil, err
	}
	return &shape.GetAccountSettingResponse{Name: *in.Name, Value: value}, nil
}

func (a *API) putAccountSetting(ctx context.Context, c *call, in *shape.PutAccountSettingRequest) (*shape.PutAccountSettingResponse, error) {
	if err := a.registry.PutAccountSetting(ctx, c.id, *in.Name, *in.Value); err != nil {
		return nil, err
	}
	return &shape.PutAccountSettingResponse{Name: *in.Name, Value: *in.Value}, nil
}
