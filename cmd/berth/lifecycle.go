package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

func newLifecycle() *cobra.Command {
	c := &cobra.Command{
		Use:   "lifecycle",
		Short: "Try lifecycle policies before they are in force",
		Args:  withUsage(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLifecycleTest())
	return c
}

func newLifecycleTest() *cobra.Command {
	var q admin.LifecycleQuestion
	var asJSON bool
	c := &cobra.Command{
		Use:   "test POLICY-FILE --repo REPOSITORY",
		Short: "Say what a lifecycle policy would do to a repository now, and why",
		Long: `Say what a lifecycle policy would do to a repository now, and why, and how that
differs from what its policy of today would do. Nothing is changed, and the policy
need not be in force anywhere. With - for the file it is read from the standard
input.`,
		Args: withUsage(cobra.ExactArgs(1)),
	}
	src := addPlace(c)
	c.Flags().StringVar(&q.Repository, "repo", "", "name of the repository")
	c.Flags().StringVar(&q.Account, "account", "", "account that it is in (default: the server's own)")
	c.Flags().StringVar(&q.Region, "region", "", "region that it is in (default: the server's own)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if q.Repository == "" {
			return usageError{errors.New("--repo: which repository is to be looked at?")}
		}
		if q.Policy, err = readPolicy(c.InOrStdin(), args[0]); err != nil {
			return err
		}
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			trial, err := k.TestLifecycle(c.Context(), q)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(c.OutOrStdout(), trial)
			}
			return printTrial(c.OutOrStdout(), trial)
		})
	}
	return c
}

// longestPolicy is far more than any limit on policies that makes sense.
const longestPolicy = 16 << 20

func readPolicy(in io.Reader, name string) (string, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, longestPolicy+1))
	if err == nil && len(text) > longestPolicy {
		err = fmt.Errorf("%s is longer than any policy", name)
	}
	return string(text), err
}

// printTrial prints a policy's deeds as a table, marked like a diff where there
// is a policy today.
func printTrial(w io.Writer, t admin.LifecycleTrial) error {
	var b strings.Builder
	count := map[string]int{}
	for _, d := range t.Decisions {
		count[deed(d)]++
	}
	fmt.Fprintf(&b, "%s in account %s, %s, %s: %d to expire, %d to archive, %d to keep although a rule takes them\n",
		t.Repository, t.Account, t.Region, counted(t.Images, "image"), count["expire"], count["archive"], count["keep"])
	printDecisions(&b, t)
	printDifference(&b, t)
	_, err := io.WriteString(w, b.String())
	return err
}

func printDecisions(b *strings.Builder, t admin.LifecycleTrial) {
	if len(t.Decisions)+len(t.Spared) == 0 {
		return
	}
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	margin := "\n"
	if t.HasPolicy {
		margin = "\n  "
	}
	fmt.Fprintln(table, margin+"ACTION\tRULE\tIMAGE\tTAGS\tWHY")
	line := func(sign string, d admin.LifecycleDecision) {
		if t.HasPolicy {
			fmt.Fprint(table, sign, " ")
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", deed(d), d.RulePriority, shortDigest(d.ImageDigest), tagList(d.ImageTags), d.Reason+stay(d.Kept))
	}
	for _, d := range t.Decisions {
		sign := " "
		if d.New {
			sign = "+"
		}
		line(sign, d)
	}
	for _, d := range t.Spared {
		line("-", d)
	}
	_ = table.Flush() // a builder takes everything
}

// printDifference sums up how a policy differs from that of today.
func printDifference(b *strings.Builder, t admin.LifecycleTrial) {
	more := 0
	for _, d := range t.Decisions {
		if d.New {
			more++
		}
	}
	switch {
	case !t.HasPolicy:
		b.WriteString("\nThe repository has no lifecycle policy today.\n")
	case more+len(t.Spared) == 0:
		b.WriteString("\nThe policy of today would do the same.\n")
	default:
		fmt.Fprintf(b, "\nBeside the policy of today: %d more (+), %d no longer (-)\n", more, len(t.Spared))
	}
}

// deed is what becomes of an image.
func deed(d admin.LifecycleDecision) string {
	switch {
	case d.Kept != "":
		return "keep"
	case d.Action == "EXPIRE":
		return "expire"
	}
	return "archive"
}

// stay says why an image is kept that a rule takes.
func stay(kept string) string {
	switch kept {
	case "":
		return ""
	case string(lifecycle.ReferencedByIndex):
		return "; it stays as long as an index names it"
	case string(lifecycle.ByKeepRule):
		return "; a keep rule names one of its tags"
	case string(lifecycle.Protected):
		return "; the configuration protects it from deletion"
	}
	return "; " + kept
}

// shortDigest is as much of a digest as people need: the rest is for --json.
func shortDigest(d string) string {
	algorithm, hex, _ := strings.Cut(d, ":")
	return algorithm + ":" + hex[:min(12, len(hex))]
}

// mostTags is how many tags of an image are shown to people.
const mostTags = 5

func tagList(tags []string) string {
	switch {
	case len(tags) == 0:
		return "-"
	case len(tags) > mostTags:
		return fmt.Sprintf("%s +%d", strings.Join(tags[:mostTags], " "), len(tags)-mostTags)
	}
	return strings.Join(tags, " ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
