package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/certs"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/shell"
)

func newCA() *cobra.Command {
	c := &cobra.Command{
		Use:   "ca",
		Short: "Print the certificate of the server's own CA, and how to trust it",
		Long: `Print the certificate (PEM) of the CA that a server with "tls.auto: local" makes
its certificates by. Clients that trust it trust the server; "berth ca trust"
says how they are told to. It works beside a running server and without one.`,
		Args: withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		text, err := readCA(src)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.ErrOrStderr(), `# "berth ca trust" says how clients are told to trust it.`)
		_, err = c.OutOrStdout().Write(text)
		return err
	}
	c.AddCommand(newCATrust())
	return c
}

// readCA reads the certificate of the authority in the data folder, and says
// how to have one where there is none.
func readCA(src config.Sources) ([]byte, error) {
	at, err := config.Locate(src)
	if err != nil {
		return nil, err
	}
	if at.Data == config.Memory {
		return nil, errors.New("the CA of a server that keeps nothing is in its memory alone; keep data in a folder to have one that clients can be told to trust")
	}
	text, err := certs.ReadAuthority(datadir.TLSIn(at.Data))
	if errors.Is(err, certs.ErrNoAuthority) {
		return nil, fmt.Errorf("%w; a server makes one when it starts with \"tls.auto: local\" (--tls-auto local); --data names its data folder", err)
	}
	return text, err
}

func newCATrust() *cobra.Command {
	c := &cobra.Command{
		Use:   "trust [HOST[:PORT]]",
		Short: "Print the commands by which clients are told to trust the server's own CA",
		Long: `Print the commands by which clients are told to trust the server's own CA: for
Debian, Red Hat, macOS, Windows, Docker, containerd, Podman, the AWS CLI and
more. HOST:PORT is the server as clients write it in the names of images; by
default it is the one that is listened on.`,
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		host, err := trustedHost(src, args)
		if err != nil {
			return err
		}
		if _, err := readCA(src); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "# %v.\n", err)
		}
		return printTrust(c.OutOrStdout(), host, src)
	}
	return c
}

// hostPort is what may stand in a path and in a shell's quotes.
var hostPort = regexp.MustCompile(`^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$`)

// trustedHost is the server as images name it, without the port that https has
// anyway.
func trustedHost(src config.Sources, args []string) (string, error) {
	if len(args) == 0 {
		at, err := config.Locate(src)
		if err != nil {
			return "", err
		}
		args = []string{listensAt(at.Listen)}
	}
	if !hostPort.MatchString(args[0]) {
		return "", usageError{fmt.Errorf("%q is not of the form host or host:port", args[0])}
	}
	return strings.TrimSuffix(args[0], ":443"), nil
}

// listensAt is a listening address as somebody on this machine would write it.
func listensAt(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

//go:embed trust.txt
var trust string

func printTrust(w io.Writer, host string, src config.Sources) error {
	command := "berth ca"
	for _, key := range slices.Sorted(maps.Keys(src.Flags)) {
		command += " --" + key + " " + shell.Quote(src.Flags[key])
	}
	_, err := strings.NewReplacer("HOST", host, "BERTH_CA", command).WriteString(w, trust)
	return err
}
