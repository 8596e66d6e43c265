package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

// office is a command about identities: where they are kept, of which account they
// are, and how its answer is printed.
type office struct {
	cmd     *cobra.Command
	src     config.Sources
	account string
	json    bool
}

// atOffice makes a command one about identities, with the flags that these have in
// common. Its flags of its own come before them.
func atOffice(c *cobra.Command, listing bool) *office {
	o := &office{cmd: c, src: addPlace(c)}
	c.Flags().StringVar(&o.account, "account", "", "account that it is about (default: the server's own)")
	if listing {
		c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	}
	return o
}

// folder is a command that only has others.
func folder(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: withUsage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(subs...)
	return c
}

// leaf is a command with so many arguments.
func leaf(args int, use, short, example string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Example: "  " + example, Args: withUsage(cobra.ExactArgs(args))}
}

// named is the question about a name in the command's account.
func (o *office) named(name string) admin.Named { return admin.Named{Account: o.account, Name: name} }

// ask puts a question to whoever keeps identities: the server, or the store where
// none runs.
func ask[Q, A any](o *office, call admin.Call[Q, A], q Q) (a A, err error) {
	err = withKeeper(o.cmd.Context(), o.src, func(k admin.Keeper, _ bool) (err error) {
		a, err = call.Ask(o.cmd.Context(), k, q)
		return err
	})
	return a, err
}

// tell asks, and says that it is done.
func tell[Q, A any](o *office, call admin.Call[Q, A], q Q, format string, args ...any) error {
	if _, err := ask(o, call, q); err != nil {
		return err
	}
	return o.say(format, args...)
}

func (o *office) say(format string, args ...any) error {
	_, err := fmt.Fprintf(o.cmd.OutOrStdout(), format+"\n", args...)
	return err
}

// answer asks, and prints the answer: as JSON, or for people.
func answer[Q, A any](o *office, call admin.Call[Q, A], q Q, print func(io.Writer, A) error) error {
	a, err := ask(o, call, q)
	switch {
	case err != nil:
		return err
	case o.json:
		return printJSON(o.cmd.OutOrStdout(), a)
	}
	return print(o.cmd.OutOrStdout(), a)
}

// table prints rows under a head.
func table[Row any](head string, cells func(Row) []string) func(io.Writer, []Row) error {
	return func(w io.Writer, rows []Row) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, strings.ReplaceAll(head, "|", "\t"))
		for _, r := range rows {
			fmt.Fprintln(t, strings.Join(cells(r), "\t"))
		}
		return t.Flush()
	}
}

// facts are what is said of one thing: names and values, those without a value left
// out.
type facts [][2]string

func (f facts) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, fact := range f {
		if fact[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", fact[0], fact[1])
		}
	}
	return t.Flush()
}

// printDocuments prints texts of policies under their names.
func printDocuments(w io.Writer, what string, texts map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if _, err := fmt.Fprintf(w, "\n%s%s:\n%s\n", what, name, strings.TrimSpace(texts[name])); err != nil {
			return err
		}
	}
	return nil
}

// when is a time for people, or a word where there is none.
func when(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

func life(l admin.Life, none string) string {
	if l == 0 {
		return none
	}
	return l.String()
}

// orDash keeps a column of a table where there is nothing to say.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// list is a list for people.
func list(words []string) string { return strings.Join(words, ", ") }

// pairs are tags for people.
func pairs(tags map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, k+"="+tags[k])
	}
	return list(all)
}

// parseTags reads tags that were given as KEY=VALUE.
func parseTags(given []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, g := range given {
		k, v, ok := strings.Cut(g, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("%q is no tag: write KEY=VALUE", g)}
		}
		tags[k] = v
	}
	return tags, nil
}

// given is a pointer to a flag's value, nil if the flag was not given.
func given[T any](c *cobra.Command, flag string, value T) *T {
	if !c.Flags().Changed(flag) {
		return nil
	}
	return &value
}

// scopeFlags are the flags that narrow a robot key or a registry password.
type scopeFlags struct {
	repositories, actions, from []string
	life                        time.Duration
}

func addScope(c *cobra.Command, lifeHelp string) *scopeFlags {
	f := &scopeFlags{}
	c.Flags().StringArrayVar(&f.repositories, "repository", nil, "open these repositories alone: a name, or a pattern such as 'team/*' (repeatable)")
	c.Flags().StringArrayVar(&f.actions, "action", nil, "allow this alone: pull, push, delete, or an action such as ecr:PutImage (repeatable)")
	c.Flags().StringArrayVar(&f.from, "from", nil, "open to clients in this network alone, such as 10.0.0.0/8 (repeatable)")
	c.Flags().DurationVar(&f.life, "life", 0, lifeHelp)
	return f
}

func (f *scopeFlags) scope() (admin.Scope, error) {
	s := admin.Scope{Repositories: f.repositories, Actions: f.actions}
	for _, text := range f.from {
		network, err := parseNetwork(text)
		if err != nil {
			return admin.Scope{}, usageError{fmt.Errorf("--from %s: want a network such as 10.0.0.0/8, or an address", text)}
		}
		s.Networks = append(s.Networks, network)
	}
	if f.life < 0 {
		return admin.Scope{}, usageError{errors.New("--life: it cannot have ended before it begins")}
	}
	return s, nil
}

// parseNetwork reads a network, or an address as the network of it alone.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// scopeWords say for people what something is narrowed to.
func scopeWords(s admin.Scope) string {
	var words []string
	if len(s.Repositories) > 0 {
		words = append(words, "repositories "+list(s.Repositories))
	}
	if len(s.Actions) > 0 {
		words = append(words, "actions "+list(s.Actions))
	}
	for _, n := range s.Networks {
		words = append(words, "from "+n.String())
	}
	return strings.Join(words, "; ")
}
