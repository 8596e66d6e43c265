package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/policy"
)

// policyKinds are the kinds of policies, each with who reads it.
var policyKinds = map[string]func(text string) error{
	"identity":   func(text string) error { _, err := policy.ParseIdentity(text); return err },
	"trust":      func(text string) error { _, err := policy.ParseTrust(text); return err },
	"repository": func(text string) error { _, err := policy.ParseRepository(text, "aws"); return err },
	"registry":   func(text string) error { _, err := policy.ParseRegistry(text, "aws", policy.V2); return err },
}

func newPolicyCheck() *cobra.Command {
	var kind string
	var strict, asJSON bool
	c := leaf(1, "check FILE", "Look for what is wrong with a policy, before it is in force", "berth policy check push-apps.json")
	c.Long = `Look for what is wrong with a policy, before it is in force: members and actions
that do not exist, statements without an effect, grants that are wider than they
look. With - for the file it is read from the standard input. Nothing is asked of a
server. The exit code is 1 if the policy could not be set.`
	c.Flags().StringVar(&kind, "kind", "", "what it is to be a policy of: identity, repository, registry or trust (default: what its statements look like)")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, ok := policyKinds[kind]; kind != "" && !ok {
			return usageError{fmt.Errorf("--kind %s: want identity, repository, registry or trust", kind)}
		}
		text, err := readPolicy(c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		found := lint(text, kind)
		if err := printFindings(c.OutOrStdout(), found, asJSON); err != nil {
			return err
		}
		return judged(args[0], found, strict)
	}
	return c
}

// lint is what is wrong with a policy of a kind, "" for whatever it looks like.
func lint(text, kind string) []policy.Finding {
	found := policy.Lint(text)
	if kind == "" || slices.ContainsFunc(found, isError) {
		return found
	}
	if err := policyKinds[kind](text); err != nil {
		return append([]policy.Finding{{Severity: policy.Invalid, Message: "no " + kind + " policy: " + err.Error()}}, found...)
	}
	return found
}

func isError(f policy.Finding) bool { return f.Severity == policy.Invalid }

// findingJSON is what scripts read.
type findingJSON struct {
	Severity string
	Path     string `json:",omitempty"`
	Message  string
}

func printFindings(w io.Writer, found []policy.Finding, asJSON bool) error {
	if asJSON {
		all := make([]findingJSON, 0, len(found))
		for _, f := range found {
			all = append(all, findingJSON{string(f.Severity), f.Path, f.Message})
		}
		return printJSON(w, all)
	}
	for _, f := range found {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "nothing to complain about")
		return err
	}
	return nil
}

// judged is the error that the command ends with.
func judged(file string, found []policy.Finding, strict bool) error {
	switch {
	case slices.ContainsFunc(found, isError):
		return fmt.Errorf("%s cannot be set", file)
	case strict && slices.ContainsFunc(found, func(f policy.Finding) bool { return f.Severity == policy.Doubtful }):
		return errors.New(file + " is doubtful")
	}
	return nil
}
