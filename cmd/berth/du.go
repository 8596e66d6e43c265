package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newDu() *cobra.Command {
	c := &cobra.Command{
		Use:   "du [REPOSITORY]",
		Short: "Say how much room repositories or the images of one take",
		Long: `Say how much room repositories take, or the images of one, beside a running server or
while it is stopped. LOGICAL counts a layer as often as images use it, and is what
quotas are on; PHYSICAL counts it once; UNIQUE is what nobody else has, and SHARED the
rest. Images in the trash are counted apart. Figures of repositories, registries and
the server are kept; those of images are looked up.`,
		Example: "  berth du --sort physical\n  berth du team/app\n  berth du --all --json",
		Args:    withUsage(cobra.MaximumNArgs(1)),
	}
	o := atOffice(c, true)
	d := du{q: admin.UsageQuestion{}}
	c.Flags().StringVar(&d.q.Region, "region", "", "region that it is about (default: the server's own)")
	c.Flags().StringVar(&d.sort, "sort", "name", "order by name, or with the largest first by images, logical, unique, shared, physical or trash")
	c.Flags().BoolVar(&d.all, "all", false, "repositories of all accounts and regions")
	c.RunE = func(c *cobra.Command, args []string) error {
		d.q.Account = o.account
		if _, ok := usageColumns[d.sort]; !ok && d.sort != "name" {
			return usageError{fmt.Errorf("--sort: %q is none of name, images, logical, unique, shared, physical, trash", d.sort)}
		}
		if len(args) == 1 {
			d.q.Repository = args[0]
			return d.images(o)
		}
		return d.repositories(o)
	}
	return c
}

// du is what is asked for.
type du struct {
	q    admin.UsageQuestion
	sort string
	all  bool
}

// usageColumns are what there is to sort by.
var usageColumns = map[string]func(admin.Usage) int64{
	"images":   func(u admin.Usage) int64 { return u.Images },
	"logical":  func(u admin.Usage) int64 { return u.Logical },
	"unique":   func(u admin.Usage) int64 { return u.Unique },
	"shared":   func(u admin.Usage) int64 { return u.Shared },
	"physical": func(u admin.Usage) int64 { return u.Physical },
	"trash":    func(u admin.Usage) int64 { return u.Trash },
}

// sortUsage puts the largest first, and leaves what is the same in order of name.
func sortUsage[T any](list []T, by string, of func(T) admin.Usage) {
	if column, ok := usageColumns[by]; ok {
		slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(column(of(b)), column(of(a))) })
	}
}

// used is what du prints of repositories. Its JSON form is what --json prints.
type used struct {
	Repositories []admin.RepositoryUsage `json:"repositories"`
	Registries   []admin.RegistryUsage   `json:"registries"` // of those repositories
	Server       admin.StoreUsage        `json:"server"`
}

func (d du) repositories(o *office) error {
	var all used
	err := withKeeper(o.cmd.Context(), o.src, func(k admin.Keeper, _ bool) (err error) {
		all, err = d.ask(o.cmd.Context(), k)
		return err
	})
	if err != nil {
		return err
	}
	sortUsage(all.Repositories, d.sort, func(r admin.RepositoryUsage) admin.Usage { return r.Usage })
	if o.json {
		return printJSON(o.cmd.OutOrStdout(), all)
	}
	return all.print(o.cmd.OutOrStdout(), d.all)
}

func (d du) ask(ctx context.Context, k admin.Keeper) (all used, err error) {
	all.Repositories = []admin.RepositoryUsage{}
	if all.Server, err = admin.ShowSizes.Ask(ctx, k, admin.None{}); err != nil {
		return all, err
	}
	account, region := cmp.Or(d.q.Account, all.Server.Account), cmp.Or(d.q.Region, all.Server.Region)
	all.Registries = slices.DeleteFunc(slices.Clone(all.Server.Registries), func(r admin.RegistryUsage) bool {
		return !d.all && (r.Account != account || r.Region != region)
	})
	for _, r := range all.Registries {
		for q := (admin.UsageQuestion{Account: r.Account, Region: r.Region}); ; {
			page, err := admin.ListRepositoriesUsed.Ask(ctx, k, q)
			if err != nil {
				return all, err
			}
			all.Repositories = append(all.Repositories, page.Repositories...)
			if q.After = page.Next; q.After == "" {
				break
			}
		}
	}
	return all, nil
}

func (u used) print(w io.Writer, all bool) error {
	rows := make([][]string, 0, len(u.Repositories)+len(u.Registries))
	for _, r := range u.Repositories {
		name := r.Repository
		if all {
			name = r.Account + "/" + r.Region + "/" + name
		}
		rows = append(rows, usageCells(name, r.Usage))
	}
	for _, r := range u.Registries {
		rows = append(rows, usageCells(fmt.Sprintf("all of %s in %s", r.Account, r.Region), r.Usage))
	}
	print := table("REPOSITORY|IMAGES|LOGICAL|UNIQUE|SHARED|PHYSICAL|TRASH", func(cells []string) []string { return cells })
	if err := print(w, rows); err != nil {
		return err
	}
	s := u.Server
	_, err := fmt.Fprintf(w, "\nThe server has %s: %s of layers, %s of manifests, %s of open uploads, %s about to be deleted.\n",
		inBytes(s.Physical), inBytes(s.Layers), inBytes(s.Manifests), inBytes(s.Uploads), inBytes(s.Condemned))
	return err
}

func usageCells(name string, u admin.Usage) []string {
	return []string{name, strconv.FormatInt(u.Images, 10), inBytes(u.Logical), inBytes(u.Unique), inBytes(u.Shared), inBytes(u.Physical), inBytes(u.Trash)}
}

// images asks for the images of a repository.
func (d du) images(o *office) error {
	all := admin.ImagesUsage{Images: []admin.ImageUsage{}}
	err := withKeeper(o.cmd.Context(), o.src, func(k admin.Keeper, _ bool) error {
		for q := d.q; ; {
			page, err := admin.ListImagesUsed.Ask(o.cmd.Context(), k, q)
			if err != nil {
				return err
			}
			all.Repository, all.Images = page.Repository, append(all.Images, page.Images...)
			if q.After = page.Next; q.After == "" {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	sortUsage(all.Images, d.sort, func(i admin.ImageUsage) admin.Usage {
		return admin.Usage{Logical: i.Logical, Unique: i.Unique, Shared: i.Shared, Physical: i.Logical}
	})
	if o.json {
		return printJSON(o.cmd.OutOrStdout(), all)
	}
	return printImages(o.cmd.OutOrStdout(), all)
}

func printImages(w io.Writer, all admin.ImagesUsage) error {
	images := table("IMAGE|TAGS|STATUS|LOGICAL|UNIQUE|SHARED", func(i admin.ImageUsage) []string {
		return []string{i.Digest, orDash(list(i.Tags)), strings.ToLower(i.Status), inBytes(i.Logical), inBytes(i.Unique), inBytes(i.Shared)}
	})
	if err := images(w, all.Images); err != nil {
		return err
	}
	u := all.Repository.Usage
	_, err := fmt.Fprintf(w, "\n%s has %s: %s that no other repository has, %s of layers that no image has used yet; %s in the trash.\n",
		all.Repository.Repository, inBytes(u.Physical), inBytes(u.Unique), inBytes(u.Pending), inBytes(u.Trash))
	return err
}

// inBytes is a size for people: three digits and a unit.
func inBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, units := float64(n)/unit, "KMGTPE"
	for f >= 999.5 && len(units) > 1 {
		f, units = f/unit, units[1:]
	}
	digits := 2
	for limit := 9.995; f >= limit && digits > 0; limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(f, 'f', digits, 64) + " " + units[:1] + "iB"
}
