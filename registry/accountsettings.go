package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// The account settings (ECR reference, operations.md section 13).
const (
	// BasicScanType names the scanner of basic scans: AWS_NATIVE, or CLAIR, the
	// older one. Both mean the scanner that is built in.
	BasicScanType = "BASIC_SCAN_TYPE_VERSION"
	// RegistryPolicyScope says what actions the policy of a registry may speak of:
	// V2, all of them, or V1, the three that work before a repository is there.
	RegistryPolicyScope = "REGISTRY_POLICY_SCOPE"
	// BlobMounting lets clients of ECR mount layers of one repository in another:
	// Enabled or Disabled (ECR reference, registry-http.md section 4).
	BlobMounting = "BLOB_MOUNTING"
)

// The values of BlobMounting.
const (
	Disabled = "DISABLED"
	Enabled  = "ENABLED"
)

// accountSettings are the settings that a registry may have, with their values;
// the first is the default.
var accountSettings = map[string][]string{
	BasicScanType:       {"AWS_NATIVE", "CLAIR"},
	RegistryPolicyScope: {string(policy.V2), string(policy.V1)},
	BlobMounting:        {Disabled, Enabled},
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
		return invalidSetting("value", "Member must satisfy enum value set: [%s]", strings.Join(values, ", "))
	}
	return s.update(ctx, func(tx storage.Tx) error {
		if err := checkScope(tx, id, name, value); err != nil {
			return err
		}
		if err := settings.Put(tx, settingRow{value}, id.Account, id.Region, name); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, name)
	})
}

// checkScope refuses a scope that the registry's policy does not keep to: what ECR
// does then is not known, and a policy that is shown and not in force would be
// worse.
func checkScope(rd storage.Reader, id ID, name, value string) error {
	if name != RegistryPolicyScope {
		return nil
	}
	row, err := getDocument(rd, documents, id.documentKey(registryPolicyKind))
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := policy.ParseRegistry(row.Text, endpoint.Partition(id.Region), policy.Scope(value)); err != nil {
		return invalidSetting("value", "The registry policy has actions that are not in the scope %s", value)
	}
	return nil
}

func valuesOf(name string) ([]string, error) {
	values, ok := accountSettings[name]
	if !ok {
		return nil, invalidSetting("name", "Member must satisfy enum value set: [%s]",
			strings.Join([]string{BasicScanType, RegistryPolicyScope, BlobMounting}, ", "))
	}
	return values, nil
}
