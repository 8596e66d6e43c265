package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-78150930/berth/auth/accounts"
)

// longestInput is more than any password has.
const longestInput = 4 << 10

// readPassword asks for a password on the terminal, twice, or takes it from the
// standard input.
func readPassword(c *cobra.Command, fromInput bool) (accounts.Secret, error) {
	if !fromInput {
		return askPassword(c.InOrStdin(), c.ErrOrStderr())
	}
	text, err := io.ReadAll(io.LimitReader(c.InOrStdin(), longestInput))
	if err != nil {
		return accounts.Secret{}, err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" {
		return accounts.Secret{}, usageError{errors.New("--password-stdin: there is no password on the standard input")}
	}
	return accounts.NewSecret(password), nil
}

func askPassword(in io.Reader, out io.Writer) (accounts.Secret, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return accounts.Secret{}, usageError{errors.New("there is no terminal to ask on: give the password by --password-stdin")}
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(out, prompt)
		text, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(out)
		if err != nil {
			return accounts.Secret{}, err
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return accounts.Secret{}, errors.New("the two passwords differ")
	}
	if typed[0] == "" {
		return accounts.Secret{}, errors.New("no password was typed")
	}
	return accounts.NewSecret(typed[0]), nil
}
