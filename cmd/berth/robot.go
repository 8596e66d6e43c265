package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newRobot() *cobra.Command {
	return folder("robot", "Make, list and delete robot keys",
		`Make, list and delete robot keys, beside a running server or while it is stopped. A
robot key is a name and a password for docker login in the name of a user, narrowed
if need be. It opens the registry and signs nothing; what it may do is looked up at
each request.`,
		newRobotCreate(), newRobotList(), newRobotDelete())
}

func newRobotCreate() *cobra.Command {
	var user, description string
	c := leaf(0, "create --user NAME", "Make a robot key and print it; its secret is shown this once",
		"berth robot create --user ci --repository 'team/*' --action pull --from 10.0.0.0/8 --life 2160h")
	c.Flags().StringVar(&user, "user", "", "user in whose name it acts")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	f := addScope(c, "how long it holds (default: until it is deleted)")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		if user == "" {
			return usageError{errors.New("--user: in whose name does it act?")}
		}
		scope, err := f.scope()
		if err != nil {
			return err
		}
		n := admin.NewRobot{OfUser: admin.OfUser{Account: o.account, User: user}, Description: description, Scope: scope}
		if f.life > 0 {
			n.Expires = time.Now().Add(f.life).Truncate(time.Second)
		}
		return answer(o, admin.CreateRobot, n, printNewRobot)
	}
	return c
}

func printNewRobot(w io.Writer, r admin.Robot) error {
	_, err := fmt.Fprintf(w, "RobotKeyId  %s\nSecret      %s\nAccount     %s\nUserName    %s\n", r.ID, r.Secret.Reveal(), r.Account, r.User)
	return err
}

func newRobotList() *cobra.Command {
	var user string
	c := leaf(0, "list", "List robot keys, without their secrets", "berth robot list --user ci")
	c.Flags().StringVar(&user, "user", "", "those of this user alone")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListRobots, admin.OfUser{Account: o.account, User: user}, table("ROBOT KEY|ACCOUNT|USER|MADE|ENDS|SCOPE|DESCRIPTION", func(r admin.Robot) []string {
			return []string{r.ID, r.Account, r.User, when(r.CreatedAt, ""), when(r.Expires, "never"), orDash(scopeWords(r.Scope)), r.Description}
		}))
	}
	return c
}

func newRobotDelete() *cobra.Command {
	c := leaf(1, "delete ROBOT-KEY-ID", "Delete a robot key: it is refused in the next request", "berth robot delete BRBT0123456789ABCDEF")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteRobot, admin.ByID{ID: args[0]}, "deleted %s", args[0])
	}
	return c
}
