package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newExplain() *cobra.Command {
	var q admin.Case
	var from string
	c := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say why somebody may do something or may not, and what a denial was about",
		Long: `Say whether somebody may do something, which statement of which policy decides it,
and what would have to change for it to be allowed. Nothing is done, and nobody
needs to have asked.

With the code that a denial carries: say what was denied, and how it would be
decided now. With neither: list the latest denials of the running server.`,
		Example: `  berth explain --as user/ada --action ecr:PutImage --repo team/app --tag v1 --from 10.1.2.3
  berth explain K3QZ7M2A
  berth explain`,
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	f := c.Flags()
	f.StringVar(&q.As, "as", "", "who asks: an ARN, user/NAME, role/NAME, root, anonymous, or the id of an access key")
	f.StringVar(&q.Action, "action", "", "what is asked for, such as ecr:PutImage")
	f.StringVar(&q.Repository, "repo", "", "the repository that it is about (default: the registry itself)")
	f.StringVar(&q.Tag, "tag", "", "the tag that is pushed or removed, for conditions on berth:ImageTag and berth:TagExists")
	f.StringVar(&q.Profile, "profile", "", "ARN of the signing profile that it is about, for signer:SignPayload")
	f.StringVar(&from, "from", "", "address of the client, for conditions on aws:SourceIp")
	f.BoolVar(&q.Plain, "plain-http", false, "the client comes without TLS, for conditions on aws:SecureTransport")
	f.StringVar(&q.Registry, "registry", "", "account whose registry it is about (default: the server's own)")
	f.StringVar(&q.Region, "region", "", "region of that registry (default: the server's own)")
	o := atOffice(c, true)
	f.Lookup("account").Usage = "account of user/NAME, role/NAME and root (default: the server's own)"
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		asked := q.As != "" || q.Action != ""
		switch {
		case asked && len(args) > 0:
			return usageError{errors.New("give the code of a denial, or --as and --action")}
		case len(args) > 0:
			return answer(o, admin.ExplainDenial, admin.ByID{ID: args[0]}, printDenial)
		case !asked:
			return answer(o, admin.ListDenials, admin.None{}, printDenials)
		case q.As == "" || q.Action == "":
			return usageError{errors.New("who asks for what? --as and --action go together")}
		}
		if from != "" {
			if q.From, err = netip.ParseAddr(from); err != nil {
				return usageError{fmt.Errorf("--from: %q is no address", from)}
			}
		}
		q.Account = o.account
		return answer(o, admin.Explain, q, printExplanation)
	}
	return c
}

var printDenials = table("CODE|LAST|TIMES|PRINCIPAL|ACTION|RESOURCE", func(d admin.Denial) []string {
	return []string{d.Code, when(d.Last, ""), strconv.Itoa(d.Count), d.Principal, d.Action, d.Resource}
})

func printDenial(w io.Writer, d admin.Denial) error {
	err := facts{
		{"denial", d.Code}, {"message", d.Message}, {"decided by", decided(d.Decided)}, {"principal", d.Principal}, {"access key", d.KeyID},
		{"from", d.SourceIP}, {"user agent", d.UserAgent}, {"request", d.RequestID},
		{"seen", fmt.Sprintf("%d times, first %s, last %s", d.Count, when(d.First, ""), when(d.Last, ""))},
	}.print(w)
	if err != nil || d.Now == nil {
		return err
	}
	if _, err := fmt.Fprint(w, "\nThe same request now:\n"); err != nil {
		return err
	}
	return printExplanation(w, *d.Now)
}

// decided says for people which policy decided.
func decided(d admin.Decided) string {
	switch {
	case d.Kind == "":
		return "nothing: the root of an account may do everything in it"
	case d.Policy == "":
		return "no " + d.Kind + " allows it"
	}
	return place(d.Statement, d.Sid) + d.Policy + " (" + d.Kind + ")"
}

// place is a statement's in its policy.
func place(statement int, sid string) string {
	switch {
	case statement == 0:
		return ""
	case sid != "":
		return fmt.Sprintf("statement %d (%s) of ", statement, sid)
	}
	return fmt.Sprintf("statement %d of ", statement)
}

func printExplanation(w io.Writer, e admin.Explanation) error {
	err := facts{
		{e.Decision, e.Principal + "  " + e.Action + "  " + e.Resource},
		{"decided by", decided(e.Decided)}, {"message", e.Message},
	}.print(w)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\nlooked at:\n")
	for _, l := range e.Policies {
		fmt.Fprintf(&b, "  %-8s %s%s (%s)\n", l.Says, place(l.Statement, l.Sid), l.Policy, l.Kind)
	}
	if len(e.Policies) == 0 {
		b.WriteString("  no policies: there are none that bear on it\n")
	}
	if len(e.Remedies) > 0 {
		b.WriteString("\nfor it to be allowed:\n")
	}
	for i, r := range e.Remedies {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, r)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
