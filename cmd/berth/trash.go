package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newTrash() *cobra.Command {
	return folder("trash", "List and restore what was deleted, or let it go",
		`List and restore what was deleted, or let it go, beside a running server or while it
is stopped. What is deleted, by whichever door or by a lifecycle policy, lies in the
trash for the time of the setting trash-window.`,
		newTrashList(), newTrashRestore(), newTrashEmpty())
}

// trashFlags are the flags that choose what of the trash a command is about.
type trashFlags struct {
	*office
	region, repository string
	everywhere         bool
}

func chooseTrash(c *cobra.Command) *trashFlags {
	f := &trashFlags{}
	c.Flags().StringVar(&f.repository, "repo", "", "what was deleted of this repository, or the repository itself")
	f.office = atOffice(c, true)
	c.Flags().StringVar(&f.region, "region", "", "region that it is about (default: the server's own)")
	c.Flags().BoolVar(&f.everywhere, "everywhere", false, "all accounts and regions")
	return f
}

func (f *trashFlags) question() (admin.TrashQuestion, error) {
	if f.everywhere && (f.repository != "" || f.account != "" || f.region != "") {
		return admin.TrashQuestion{}, usageError{errors.New("--everywhere leaves nothing to choose: give it alone")}
	}
	return admin.TrashQuestion{InRegistry: admin.InRegistry{Account: f.account, Region: f.region}, All: f.everywhere, Repository: f.repository}, nil
}

func newTrashList() *cobra.Command {
	c := leaf(0, "list", "List what lies in the trash, what goes next standing first", "berth trash list --repo team/app")
	f := chooseTrash(c)
	c.RunE = func(*cobra.Command, []string) error {
		q, err := f.question()
		if err != nil {
			return err
		}
		return withKeeper(f.cmd.Context(), f.src, func(k admin.Keeper, _ bool) error { return f.list(k, q) })
	}
	return c
}

// list asks for all pages before it prints any, so that a table has one head and JSON
// is one list.
func (f *trashFlags) list(k admin.Keeper, q admin.TrashQuestion) error {
	all := []admin.Trashed{}
	for more := true; more; more = q.After != "" {
		page, err := admin.ListTrash.Ask(f.cmd.Context(), k, q)
		if err != nil {
			return err
		}
		all, q.After = append(all, page.Trashed...), page.Next
	}
	if f.json {
		return printJSON(f.cmd.OutOrStdout(), all)
	}
	return printTrash(f.cmd.OutOrStdout(), all)
}

func printTrash(w io.Writer, all []admin.Trashed) error {
	print := table("WHAT|NAME|TAGS|DELETED|BY|UNTIL|BYTES", func(t admin.Trashed) []string {
		name, by := t.Repository, orDash(t.DeletedBy)
		if t.Digest != "" {
			name += "@" + t.Digest
		}
		if t.Reason != "" {
			by = t.Cause + ", " + t.Reason
		}
		return []string{t.What, name, orDash(tagList(t.Tags)), when(t.DeletedAt, ""), by, when(t.Until, ""), fmt.Sprint(t.Bytes)}
	})
	if err := print(w, all); err != nil {
		return err
	}
	sum := admin.TrashEmptied{}
	for _, t := range all {
		sum.Bytes += t.Bytes
		if t.Digest == "" {
			sum.Repositories++
		} else {
			sum.Images++
		}
	}
	_, err := fmt.Fprintln(w, trashSize(sum))
	return err
}

// trashSize says how much something is, layers counted for each image that uses them.
func trashSize(n admin.TrashEmptied) string {
	repositories := "1 repository"
	if n.Repositories != 1 {
		repositories = fmt.Sprintf("%d repositories", n.Repositories)
	}
	return fmt.Sprintf("%s, %s, %d bytes", counted(n.Images, "image"), repositories, n.Bytes)
}

func newTrashRestore() *cobra.Command {
	var as, id, region string
	c := &cobra.Command{
		Use:   "restore REPOSITORY[@DIGEST|:TAG] ...",
		Short: "Bring repositories and images back from the trash",
		Long: `Bring repositories and images back from the trash. A name brings back the repository
of that name that was deleted last, or the one with the id that is given, with all that
it held; trash list --json has the ids. With a digest or a tag it
is an image of a repository that is there: the one that had the tag and was deleted last.
Tags come back where they are free. An index brings back those of its images that are in
the trash.`,
		Example: "  berth trash restore team/app:1.4\n  berth trash restore team/old --as team/old-restored",
		Args:    withUsage(cobra.MinimumNArgs(1)),
	}
	c.Flags().StringVar(&as, "as", "", "name that a repository gets")
	c.Flags().StringVar(&id, "id", "", "id of the repository, where several of the name were deleted")
	o := atOffice(c, true)
	c.Flags().StringVar(&region, "region", "", "region that it is about (default: the server's own)")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if (as != "" || id != "") && (len(args) > 1 || strings.ContainsAny(args[0], "@:")) {
			return usageError{errors.New("--as and --id are for one repository")}
		}
		for _, what := range args {
			q := admin.TrashRestore{InRegistry: admin.InRegistry{Account: o.account, Region: region}, What: what, As: as, ID: id}
			if err := answer(o, admin.RestoreTrash, q, printBack); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func printBack(w io.Writer, r admin.TrashRestored) error {
	if len(r.Images) == 0 {
		_, err := fmt.Fprintf(w, "restored %s\n", r.Repository)
		return err
	}
	for _, img := range r.Images {
		line := fmt.Sprintf("restored %s@%s", r.Repository, img.Digest)
		if len(img.Tags) > 0 {
			line += " as " + list(img.Tags)
		}
		if len(img.Taken) > 0 {
			line += "; another image has " + list(img.Taken)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func newTrashEmpty() *cobra.Command {
	var older time.Duration
	c := leaf(0, "empty", "Let what lies in the trash go for good, whatever is protected", "berth trash empty --repo team/app --older 24h")
	c.Flags().DurationVar(&older, "older", 0, "what was deleted so long ago, such as 24h, alone")
	f := chooseTrash(c)
	c.RunE = func(*cobra.Command, []string) error {
		q, err := f.question()
		if err != nil {
			return err
		}
		if older < 0 {
			return usageError{errors.New("--older: nothing was deleted in the future")}
		}
		if older > 0 {
			q.Before = time.Now().Add(-older)
		}
		return answer(f.office, admin.EmptyTrash, q, func(w io.Writer, n admin.TrashEmptied) error {
			_, err := fmt.Fprintln(w, "let go: "+trashSize(n))
			return err
		})
	}
	return c
}
