package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newReplicate() *cobra.Command {
	return folder("replicate", "See and hurry images on their way to other registries",
		`See how far images have come on their way to the destinations of replication rules, and
have those brought now that have not.`,
		newReplicateStatus(), newReplicateNow())
}

func newReplicateStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status [REPOSITORY[:TAG|@DIGEST]]", Short: "Say how far images have come, and what waits for each destination",
		Long: `Say what waits for each destination and what is in its way, and how far images have
come: one image, those of a repository, or without an argument those of the registry
that have not come everywhere.`,
		Example: "  berth replicate status team/app:1.0", Args: withUsage(cobra.MaximumNArgs(1)),
	}
	f := atRegistry(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		q := admin.ReplicationQuestion{InRegistry: f.where()}
		if len(args) == 1 {
			q.What = args[0]
		}
		return withKeeper(c.Context(), f.src, func(k admin.Keeper, _ bool) error { return f.showReplication(k, q) })
	}
	return c
}

// showReplication asks for all pages before it prints any.
func (f *inRegistry) showReplication(k admin.Keeper, q admin.ReplicationQuestion) error {
	var all admin.ReplicationPage
	all.Images = []admin.ReplicatedImage{}
	for more := true; more; more = q.After != "" {
		page, err := admin.ListReplication.Ask(f.cmd.Context(), k, q)
		if err != nil {
			return err
		}
		all.Destinations, all.Images, q.After = page.Destinations, append(all.Images, page.Images...), page.Next
	}
	out := f.cmd.OutOrStdout()
	if f.json {
		return printJSON(out, all)
	}
	if err := printQueues(out, all.Destinations); err != nil || len(all.Images) == 0 {
		return err
	}
	fmt.Fprintln(out)
	return table("IMAGE|TAGS|DESTINATION|STATUS|UPDATED|WHY", func(img admin.ReplicatedImage) []string {
		why := img.FailureCode
		if why != "" {
			why += ": " + img.FailureReason
		}
		return []string{
			img.Repository + "@" + shortDigest(img.Digest), tagList(img.Tags), img.Account + "/" + img.Region, img.Status, when(img.UpdatedAt, "-"), orDash(why),
		}
	})(out, all.Images)
}

func printQueues(w io.Writer, list []admin.ReplicationQueue) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No replication rule names a destination.")
		return err
	}
	return table("DESTINATION|WHERE|WAITING|NEXT|LAST ERROR", func(q admin.ReplicationQueue) []string {
		where := "this server"
		if q.Remote {
			where = "another server"
		}
		next := q.NextTry
		if q.Opens.After(next) {
			next = q.Opens
		}
		return []string{q.Account + "/" + q.Region, where, fmt.Sprint(q.Waiting), when(next, "-"), orDash(q.LastError)}
	})(w, list)
}

func newReplicateNow() *cobra.Command {
	var q admin.ReplicationStart
	c := leaf(0, "now", "Bring images now that have not come", "berth replicate now --repository team/app --to 000000000000/eu-west-1")
	c.Long = `Bring all images now that are not known to have come to their destinations: those that
wait, also outside of windows and before the next try, those that have failed, and those
that were there before a rule named the destination.`
	f := atRegistry(c)
	c.Flags().StringVar(&q.Repository, "repository", "", "the one repository that is to be brought")
	c.Flags().StringVar(&q.To, "to", "", "the one destination, as ACCOUNT/REGION")
	c.RunE = func(*cobra.Command, []string) error {
		q.InRegistry = f.where()
		return answer(f.office, admin.StartReplication, q, func(w io.Writer, done admin.ReplicationStarted) error {
			if _, err := fmt.Fprintf(w, "%s planned that did not wait\n\n", counted(done.Planned, "image")); err != nil {
				return err
			}
			return printQueues(w, done.Destinations)
		})
	}
	return c
}
