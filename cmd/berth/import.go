package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/registry/transfer"
)

// importing is one call of the command.
type importing struct {
	*transferFlags
	prefix, only   string
	settings, wide bool
}

func newImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import SOURCE [REPOSITORY]",
		Short: "Copy images into a Berth: from a registry, Amazon ECR, a folder or an archive",
		Long: `Copy images into a Berth, with what refers to them: signatures, SBOMs and the like.
A source is one of

    docker://HOST/REPOSITORY:TAG    an image, a repository with all its tags, or all
    docker://HOST/REPOSITORY        that the catalogue of a registry lists
    docker://HOST
    ecr://ACCOUNT.REGION/NAME       repositories of Amazon ECR with their settings; a
    ecr://ACCOUNT.REGION            star in a name stands for any characters
    oci-layout:FOLDER:TAG           a folder in the OCI image layout, one with such
    oci-layout:FILE.tar             folders below it, or a tar file of either
    registry-data:FOLDER            the storage folder of a distribution registry

Every byte is held against its digest on the way. What is there already is left, so
the same command goes on where it was broken off. From ecr:// come settings, policies
and lifecycle policies of repositories and the creation templates, as far as they may
be read; accounts in the ARNs of policies stay as they are.

The exit code is 0 if all was copied; 3 if something was not, which is named; 1 if
nothing could be begun.`,
		Example: "  berth import docker://docker.io/alpine:3.22 base/alpine\n  berth import ecr://123456789012.eu-central-1 --profile old\n" +
			"  berth import registry-data:/var/lib/registry --jobs 8",
		Args: withUsage(cobra.RangeArgs(1, 2)),
	}
	i := &importing{transferFlags: addTransfer(c)}
	flags := c.Flags()
	flags.StringVar(&i.prefix, "prefix", "", "what to put before the names of repositories")
	flags.StringVar(&i.only, "repositories", "", "only those whose names in the source are like this; a star stands for any characters")
	flags.BoolVar(&i.settings, "settings", true, "from ecr://: bring the settings and policies of repositories, and the creation templates")
	flags.BoolVar(&i.wide, "registry-settings", false, "from ecr://: bring the registry's own policy, replication, pull-through cache rules, scanning, signing and account settings too")
	c.RunE = func(c *cobra.Command, args []string) error { return i.run(c, append(args, "")[0], append(args, "")[1]) }
	return c
}

// run imports from a place, into the one repository that is named unless that is "".
func (i *importing) run(c *cobra.Command, from, into string) error {
	ctx, stop := interruptible(c)
	defer stop()
	l, err := i.checked(from, into)
	if err != nil {
		return err
	}
	h, err := i.home(c)
	if err != nil {
		return err
	}
	s, err := i.source(c, l, into)
	if err != nil {
		return err
	}
	defer s.Close()
	o := &i.options
	if o.Wanted, err = s.wanted(l, i.only, into); err != nil {
		return err
	}
	if o.Rename, err = renamed(o.Wanted, into, i.prefix); err != nil {
		return err
	}
	o.From, o.Listed, o.To = s.source, s.listed, h.registry
	if o.Settings, err = i.brought(s, h); err != nil {
		return err
	}
	return i.copy(ctx, c)
}

// checked reads the place, and says what makes no sense before anybody is asked.
func (i *importing) checked(from, into string) (l location, err error) {
	if l, err = parseLocation(from); err != nil {
		return l, err
	}
	if into != "" && i.prefix != "" {
		return l, usageError{errors.New("--prefix names repositories that are several, and the second argument one")}
	}
	if into != "" && l.kind != kindLayout {
		_, err = renamed([]transfer.Wanted{l.image}, into, "")
	}
	return l, err
}

// brought are the settings that come along; nil without a key, since repositories are
// then made by the push.
func (i *importing) brought(s source, h home) (*transfer.Settings, error) {
	if h.account == nil && i.wide {
		return nil, usageError{errors.New("--registry-settings: settings are brought with a key, and there is a password alone")}
	}
	if h.account == nil {
		return nil, nil
	}
	return &transfer.Settings{From: s.account, To: *h.account, Bare: !i.settings, Templates: i.settings, Registry: i.wide, Rename: prefixed(i.prefix)}, nil
}

// source is where images come from.
type source struct {
	source  transfer.Source
	listed  transfer.Catalogue
	account *transfer.Account // of ecr://
	single  string            // the one repository of a layout
	closing io.Closer
}

func (s source) Close() error { return s.closing.Close() }

// source opens a place to read from. The name is for what has none of its own.
func (f *transferFlags) source(c *cobra.Command, l location, name string) (s source, err error) {
	switch l.kind {
	case kindDocker:
		r, err := f.elsewhere.registry(c, l)
		if err != nil {
			return s, err
		}
		return source{source: r, listed: transfer.FromRegistry(r), closing: nothing{}}, nil
	case kindECR:
		r, account, err := f.elsewhere.ecr(c.Context(), l)
		if err != nil {
			return s, err
		}
		return source{source: r, listed: transfer.FromECR(*account), account: account, closing: nothing{}}, nil
	case kindLayout:
		in, err := transfer.OpenLayouts(l.file, name)
		if err != nil {
			return s, err
		}
		return source{source: in, listed: in, single: in.Single(), closing: in}, nil
	}
	in, err := transfer.OpenData(l.file)
	if err != nil {
		return s, err
	}
	return source{source: in, listed: in, closing: in}, nil
}

// wanted is what is copied of a place.
func (s source) wanted(l location, only, into string) ([]transfer.Wanted, error) {
	w := l.image
	switch {
	case s.single != "":
		w.Repository = s.single
	case l.kind == kindLayout && into != "":
		return nil, fmt.Errorf("%s is no layout itself: --prefix says what to put before the names of those in it", l.file)
	case only != "" && w.Repository != "":
		return nil, usageError{errors.New("--repositories: the source names them already")}
	case only != "":
		w.Repository = only
	case w.Repository == "" && w.Reference != "":
		return nil, fmt.Errorf("%s has no image of its own, but folders of images", l.file)
	case w.Repository == "":
		w.Repository = "*"
	}
	return []transfer.Wanted{w}, nil
}

// renamed is what repositories are called in the target.
func renamed(list []transfer.Wanted, into, prefix string) (func(string) string, error) {
	if into == "" {
		return prefixed(prefix), nil
	}
	if _, single := one(list); !single {
		return nil, usageError{errors.New("several repositories do not go into one: --prefix says what to put before their names")}
	}
	return func(string) string { return into }, nil
}

// rootPrefix is what ECR calls the prefix of all repositories.
const rootPrefix = "ROOT"

// prefixed puts a prefix before names; nil if there is none.
func prefixed(prefix string) func(string) string {
	if prefix == "" {
		return nil
	}
	return func(name string) string {
		if name == rootPrefix {
			return strings.Trim(prefix, "/")
		}
		return path.Join(strings.Trim(prefix, "/"), name)
	}
}
