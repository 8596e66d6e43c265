package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/registry/transfer"
)

func newExport() *cobra.Command {
	var prefix string
	var settings, wide bool
	c := &cobra.Command{
		Use:   "export REPOSITORY[:TAG|@DIGEST]... DESTINATION",
		Short: "Copy images out of a Berth: to a folder, a registry or Amazon ECR",
		Long: `Copy images out of a Berth, with what refers to them: signatures, SBOMs and the like.
A star in the name of a repository stands for any characters. A destination is one of

    oci-layout:FOLDER               the OCI image layout: of one repository in the
                                    folder itself, of several in folders of their names
    docker://HOST/REPOSITORY        one repository in another registry,
    docker://HOST                   or all under the names that they have
    ecr://ACCOUNT.REGION/REPOSITORY Amazon ECR, where repositories are made, with
    ecr://ACCOUNT.REGION            their settings and policies

Every byte is held against its digest on the way. What is there already is left, so
the same command goes on where it was broken off.

The exit code is 0 if all was copied; 3 if something was not, which is named; 1 if
nothing could be begun.`,
		Example: "  berth export team/app:1.4 oci-layout:/tmp/app\n  berth export 'team/*' docker://registry.example:5000\n" +
			"  berth export '*' ecr://123456789012.eu-central-1 --jobs 8",
		Args: withUsage(cobra.MinimumNArgs(2)),
	}
	f := addTransfer(c)
	c.Flags().StringVar(&prefix, "prefix", "", "what to put before the names of repositories in the destination")
	c.Flags().BoolVar(&settings, "settings", true, "to ecr://: bring the settings and policies of repositories, and the creation templates")
	c.Flags().BoolVar(&wide, "registry-settings", false, "to ecr://: bring the registry's own settings too")
	c.RunE = func(c *cobra.Command, args []string) error {
		last := len(args) - 1
		return f.export(c, args[:last], args[last], transfer.Settings{Bare: !settings, Templates: settings, Registry: wide, Rename: prefixed(prefix)}, prefix)
	}
	return c
}

// export copies images to a place, with these settings where it is one that has some.
func (f *transferFlags) export(c *cobra.Command, images []string, place string, s transfer.Settings, prefix string) (err error) {
	ctx, stop := interruptible(c)
	defer stop()
	o := &f.options
	if o.Wanted, err = parseImages(images); err != nil {
		return err
	}
	l, err := parseLocation(place)
	if err != nil {
		return err
	}
	if o.Rename, err = renamed(o.Wanted, l.image.Repository, prefix); err != nil {
		return err
	}
	h, err := f.home(c)
	if err != nil {
		return err
	}
	to, account, closing, err := f.destination(c, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing.Close()) }()
	o.From, o.Listed, o.To = h.registry, h.catalogue(), to
	if account != nil {
		s.From, s.To = h.account, *account
		o.Settings = &s
	}
	return f.copy(ctx, c)
}

func parseImages(args []string) (list []transfer.Wanted, err error) {
	for _, text := range args {
		w, err := parseImage(text)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// destination opens a place to write to.
func (f *transferFlags) destination(c *cobra.Command, l location) (transfer.Target, *transfer.Account, io.Closer, error) {
	if l.image.Reference != "" || strings.Contains(l.image.Repository, "*") {
		return nil, nil, nil, usageError{errors.New("images keep the tags that they have: the destination is a repository, or all")}
	}
	switch l.kind {
	case kindDocker:
		r, err := f.elsewhere.registry(c, l)
		return r, nil, nothing{}, err
	case kindECR:
		r, account, err := f.elsewhere.ecr(c.Context(), l)
		return r, account, nothing{}, err
	case kindLayout:
		name, _ := one(f.options.Wanted)
		if f.options.Rename != nil && name != "" {
			name = f.options.Rename(name)
		}
		out, err := transfer.CreateLayouts(l.file, name)
		return out, nil, out, err
	}
	return nil, nil, nil, usageError{fmt.Errorf("%s is read and not written: distribution's own program makes such folders", l.kind)}
}

// nothing is what a registry has to be closed.
type nothing struct{}

func (nothing) Close() error { return nil }
