package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/storage"
)

// BlobMounting is the account setting that lets clients of ECR mount layers of
// one repository in another: Enabled or Disabled (ECR reference,
// registry-http.md section 4).
const BlobMounting = "BLOB_MOUNTING"

// The values of BlobMounting.
const (
	Disabled = "DISABLED"
	Enabled  = "ENABLED"
)

// accountSettings are the settings that a registry may have, with their values;
// the first is the default.
var accountSettings = map[string][]string{
	BlobMounting: {Disabled, Enabled},
}

// AccountSetting is the value of a setting of a registry.
// Refusal: SettingInvalid with the Field "name", if there is no such setting.
func (s *Service) AccountSetting(ctx context.Context, id ID, name string) (value string, err error) {
	if _, err := valuesOf(name); err != nil {
		return "", err
	}
	err = s.view(ctx, func(r storage.Reader) error {
		value, err = settingOf(r, id, name)
		return err
	})
	return value, err
}

// settingOf reads a setting that there is.
func settingOf(rd storage.Reader, id ID, name string) (value string, err error) {
	row, err := settings.Get(rd, id.Account, id.Region, name)
	if errors.Is(err, storage.ErrNotFound) {
		return accountSettings[name][0], nil
	}
	return row.Value, err
}

// PutAccountSetting gives a setting of a registry a value. Refusal:
// SettingInvalid with the Field "name" or "value".
func (s *Service) PutAccountSetting(ctx context.Context, id ID, name, value string) error {
	values, err := valuesOf(name)
	if err != nil {
		return err
	}
	if !slices.Contains(values, value) {
		e := refuse(SettingInvalid, "Member must satisfy enum value set: [%s]", strings.Join(values, ", "))
		e.Field = "value"
		return e
	}
	return s.update(ctx, func(tx storage.Tx) error {
		return settings.Put(tx, settingRow{value}, id.Account, id.Region, name)
	})
}

func valuesOf(name string) ([]string, error) {
	values, ok := accountSettings[name]
	if !ok {
		e := refuse(SettingInvalid, "Member must satisfy enum value set: [%s]", BlobMounting)
		e.Field = "name"
		return nil, e
	}
	return values, nil
}
