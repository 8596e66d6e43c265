package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newCache() *cobra.Command {
	return folder("cache", "List, fetch and remove what came from upstreams",
		`List, fetch and remove the images that came from the upstreams of pull-through rules.`,
		newCacheList(), newCacheWarm(), newCachePurge())
}

// inRegistry are the flags of a command about a registry.
type inRegistry struct {
	*office
	region string
}

func atRegistry(c *cobra.Command) *inRegistry {
	f := &inRegistry{office: atOffice(c, true)}
	c.Flags().StringVar(&f.region, "region", "", "region that it is about (default: the server's own)")
	return f
}

func (f *inRegistry) where() admin.InRegistry {
	return admin.InRegistry{Account: f.account, Region: f.region}
}

func newCacheList() *cobra.Command {
	c := leaf(0, "ls", "List the images that came from upstreams, those on their way first", "berth cache ls --json")
	f := atRegistry(c)
	c.RunE = func(*cobra.Command, []string) error {
		return withKeeper(c.Context(), f.src, func(k admin.Keeper, _ bool) error { return f.listCache(k) })
	}
	return c
}

// listCache asks for all pages before it prints any, so that a table has one head and JSON
// is one list.
func (f *inRegistry) listCache(k admin.Keeper) error {
	all := []admin.CachedImage{}
	q := admin.CachePlace{InRegistry: f.where()}
	for more := true; more; more = q.After != "" {
		page, err := admin.ListCache.Ask(f.cmd.Context(), k, q)
		if err != nil {
			return err
		}
		all, q.After = append(all, page.Images...), page.Next
	}
	if f.json {
		return printJSON(f.cmd.OutOrStdout(), all)
	}
	return table("IMAGE|TAGS|RULE|ASKED|BYTES", func(img admin.CachedImage) []string {
		bytes := fmt.Sprint(img.Bytes)
		if img.Pending {
			bytes = "on its way"
		}
		return []string{img.Repository + "@" + img.Digest, orDash(tagList(img.Tags)), img.Prefix, when(img.AskedAt, "-"), bytes}
	})(f.cmd.OutOrStdout(), all)
}

func newCacheWarm() *cobra.Command {
	c := &cobra.Command{
		Use: "warm REPOSITORY:TAG|REPOSITORY@DIGEST ...", Short: "Fetch images from upstream before anybody pulls them",
		Long: `Fetch images from upstream before anybody pulls them, all that a list names among
them, and wait until they are whole. The names are those that clients pull by.`,
		Example: "  berth cache warm quay/prometheus/prometheus:v3.1.0", Args: withUsage(cobra.MinimumNArgs(1)),
	}
	f := atRegistry(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		for _, what := range args {
			if err := answer(f.office, admin.WarmCache, admin.CacheWhat{InRegistry: f.where(), What: what}, printWarmed); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func printWarmed(w io.Writer, done admin.CacheWarmed) error {
	stale := ""
	if done.Stale {
		stale = "; upstream could not be asked, and the tag may have moved"
	}
	_, err := fmt.Fprintf(w, "%s@%s is here, %d bytes%s\n", done.Repository, done.Digest, done.Bytes, stale)
	return err
}

func newCachePurge() *cobra.Command {
	c := &cobra.Command{
		Use: "purge REPOSITORY[:TAG|@DIGEST] ...", Short: "Remove images that came from upstream",
		Long: `Remove images that came from upstream, all of a repository or one. What was pushed stays,
and so does an image with a tag that was pushed. It is a deletion like others: the images
lie in the trash for the time of the setting trash-window. The next pull fetches them again.`,
		Example: "  berth cache purge quay/prometheus/prometheus", Args: withUsage(cobra.MinimumNArgs(1)),
	}
	f := atRegistry(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		for _, what := range args {
			if err := answer(f.office, admin.PurgeCache, admin.CacheWhat{InRegistry: f.where(), What: what}, printPurged); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func printPurged(w io.Writer, done admin.CachePurged) error {
	_, err := fmt.Fprintf(w, "%s: removed %s of %d bytes, gave up %d on their way\n", done.Repository, counted(done.Images, "image"), done.Bytes, done.Pending)
	return err
}
