package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/events"
)

func newEvents() *cobra.Command {
	c := &cobra.Command{
		Use:   "events",
		Short: "Show events, and those that webhooks did not take",
		Args:  withUsage(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEventsTail(), newEventsDead())
	return c
}

func newEventsTail() *cobra.Command {
	var follow, asJSON bool
	var after uint64
	var lines uint64
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print the last events of the running server, and those to come",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with events as they happen, until interrupted")
	c.Flags().Uint64Var(&after, "after", 0, "begin behind the event with this number, instead of at the last ones")
	c.Flags().Uint64VarP(&lines, "lines", "n", 10, "how many of the last events to begin with")
	c.Flags().BoolVar(&asJSON, "json", false, "print each event as a line of JSON: its number as sequence, and what webhooks get")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		if !c.Flags().Changed("after") {
			last, err := client.LatestEvent(c.Context())
			if err != nil {
				return err
			}
			after = last - min(last, lines)
		}
		return tail(c.Context(), client, after, follow, eventPrinter(c.OutOrStdout(), asJSON))
	}
	return c
}

// tail prints events until there are no more or, with follow, for good.
func tail(ctx context.Context, from admin.Watcher, after uint64, follow bool, print func(events.Told) error) error {
	for {
		page, err := from.Events(ctx, after, follow)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := print(e); err != nil {
				return err
			}
		}
		if page.Last == after && !follow {
			return nil
		}
		after = page.Last
	}
}

func eventPrinter(w io.Writer, asJSON bool) func(events.Told) error {
	if asJSON {
		e := json.NewEncoder(w)
		return func(told events.Told) error { return e.Encode(told) }
	}
	return func(told events.Told) error {
		_, err := fmt.Fprintln(w, eventLine(told))
		return err
	}
}

// eventLine tells an event to people.
func eventLine(e events.Told) string {
	d := e.Detail
	words := []string{strconv.FormatUint(e.Sequence, 10), e.Time.Format(time.RFC3339), e.DetailType}
	for _, word := range []string{d.ActionType, d.Result, d.RepositoryName, d.ImageTag, d.ImageDigest, d.LayerDigest, d.TargetStorageClass, d.Setting, d.Action, d.FailureCode} {
		if word != "" {
			words = append(words, word)
		}
	}
	if d.Principal != "" {
		words = append(words, "by "+d.Principal)
	}
	return strings.Join(words, "  ")
}

func newEventsDead() *cobra.Command {
	c := newLetters("dead", "List, replay and drop events that webhooks did not take in time")
	c.AddCommand(newLetters("list", "List events that webhooks did not take in time"),
		newLetter("replay", "Have a webhook sent an event again", (*admin.Client).Replay),
		newLetter("drop", "Forget an event that a webhook did not take", (*admin.Client).Drop))
	return c
}

func newLetters(use, short string) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  withUsage(cobra.NoArgs),
	}
	var asJSON bool
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		list, err := letters(c.Context(), client, "")
		if err != nil {
			return err
		}
		return printLetters(c.OutOrStdout(), list, asJSON)
	}
	return c
}

// letters are all dead letters, or those of one webhook.
func letters(ctx context.Context, from admin.Watcher, webhook string) ([]events.DeadLetter, error) {
	list, after := []events.DeadLetter{}, events.LetterID{Webhook: webhook}
	for {
		page, err := from.DeadLetters(ctx, after)
		if err != nil || len(page) == 0 {
			return list, err
		}
		for _, d := range page {
			if webhook == "" || d.Webhook == webhook {
				list = append(list, d)
			}
		}
		after = page[len(page)-1].LetterID
	}
}

func printLetters(w io.Writer, list []events.DeadLetter, asJSON bool) error {
	if asJSON {
		return printJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range list {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d attempts\t%s\n", d.Webhook, d.Sequence, d.GivenUpAt.Format(time.RFC3339), d.Attempts, d.Error)
	}
	return t.Flush()
}

func newLetter(use, short string, do func(*admin.Client, context.Context, events.LetterID) error) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   use + " WEBHOOK [SEQUENCE]",
		Short: short,
		Args:  withUsage(cobra.RangeArgs(1, 2)),
	}
	src := addPlace(c)
	c.Flags().BoolVar(&all, "all", false, "all that the webhook did not take, instead of one")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := findServer(src)
		if err != nil {
			return err
		}
		ids, err := chosen(c.Context(), client, args, all)
		if err != nil {
			return err
		}
		for _, id := range ids {
			err = errors.Join(err, do(client, c.Context(), id))
		}
		return err
	}
	return c
}

// chosen are the dead letters that arguments name: a webhook's all, or one by its
// number.
func chosen(ctx context.Context, from admin.Watcher, args []string, all bool) (ids []events.LetterID, err error) {
	if all == (len(args) == 2) {
		return nil, usageError{errors.New("which event? Give its number, as the list has it, or --all")}
	}
	if !all {
		n, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is not the number of an event", args[1])}
		}
		return []events.LetterID{{Webhook: args[0], Sequence: n}}, nil
	}
	list, err := letters(ctx, from, args[0])
	for _, d := range list {
		ids = append(ids, d.LetterID)
	}
	return ids, err
}
