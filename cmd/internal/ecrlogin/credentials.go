package ecrlogin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Identity is whose credentials AWS's tools would take here, and what they
// would be told beside them.
type Identity struct {
	Credentials aws.CredentialsProvider
	Region      string // "" if none is set
	// Guessed says that nothing names credentials, and that only the machine
	// itself might have some: those of an instance at Amazon.
	Guessed bool
}

// Identify looks for credentials where every AWS tool does: in the environment and
// in the files of profiles, by static keys, SSO, roles to assume, programs to
// ask and so on. A profile goes before all else unless it is "".
func Identify(ctx context.Context, profile string) (Identity, error) {
	var options []func(*config.LoadOptions) error
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	// A bundle that cannot be read would be the error of a load, in words that
	// name no file.
	if bundle := os.Getenv("AWS_CA_BUNDLE"); bundle != "" {
		if _, err := trusted(bundle); err != nil {
			return Identity{}, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return Identity{}, fmt.Errorf("AWS's configuration: %w", err)
	}
	if c.Credentials == nil {
		return Identity{}, errors.New("AWS's configuration names no credentials")
	}
	return Identity{c.Credentials, c.Region, aws.IsCredentialsProvider(c.Credentials, (*ec2rolecreds.Provider)(nil))}, nil
}

// Static gives away one key.
func Static(id string, secret accounts.Secret) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret.Reveal(), Source: "berth"}, nil
	})
}
