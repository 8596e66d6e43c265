package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/doctor"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/shell"
	"github.com/seed-78150930/berth/registry/endpoint"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [HOST]",
		Short: "Look for what keeps clients on this machine from the server",
		Long: `Look for what keeps clients on this machine from the server, and the server from
its promises: ports, names, clients and their settings, TLS, clocks, space, what
fsync does, logins and AWS's environment. Each finding comes with what mends it.
The server is HOST, or the one that is found by its data folder. Nothing is
changed. The exit code is 1 if a check fails; a warning is no failure.`,
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: an array of check, status (ok, warn, fail, skipped), found and mend")
	src := addSettings(c, "config", "data", "listen", "repository-uri", "external")
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := subject(c.Context(), src, args)
		if err != nil {
			return err
		}
		all := doctor.Examine(c.Context(), doctor.ThisMachine(), s, doctor.TimeLimit-statusTime)
		print := doctor.Print
		if asJSON {
			print = doctor.PrintJSON
		}
		if err := print(c.OutOrStdout(), all); err != nil {
			return err
		}
		if doctor.Failed(all) {
			return errors.New("something does not work: " + doctor.Summary(all))
		}
		return nil
	}
	return c
}

// statusTime bounds asking the server how it is.
const statusTime = 2 * time.Second

// subject is the server that is meant. What cannot be found out of it is a
// finding, not an error.
func subject(ctx context.Context, src config.Sources, args []string) (doctor.Subject, error) {
	s := doctor.Subject{Token: tryToken, KnowsEndpointURL: shell.KnowsEndpointURL, Flags: placeFlags(src)}
	if len(args) > 0 {
		scheme, host, err := parseRegistry(args[0])
		if err != nil {
			return s, err
		}
		if !hostPort.MatchString(host) { // it is printed in commands
			return s, usageError{fmt.Errorf("%q is not of the form host or host:port", args[0])}
		}
		s.Host = host
		if scheme != "" {
			s.Host = scheme + "://" + host
		}
	}
	c, err := config.Load(src)
	if err != nil {
		s.ConfigErr = err
	} else {
		s.Config = doctorConfig(c)
	}
	return s, findSubject(ctx, src, &s)
}

// placeFlags are those of the given flags by which any command finds a server.
func placeFlags(src config.Sources) string {
	var given []string
	for _, key := range []string{"config", "data", "listen"} {
		if value, ok := src.Flags[key]; ok {
			given = append(given, "--"+key+" "+shell.Quote(value))
		}
	}
	return strings.Join(given, " ")
}

// findSubject looks for the server of the data folder.
func findSubject(ctx context.Context, src config.Sources, s *doctor.Subject) error {
	at, err := config.Locate(src)
	if err != nil {
		return err
	}
	if at.Data != config.Memory {
		if s.Data, err = realPath(at.Data); err != nil {
			return err
		}
	}
	client, err := findServer(src)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	st, err := client.Status(ctx)
	if err != nil {
		s.StatusErr = err
		return nil
	}
	s.Status = &st
	s.Config.Style, s.Config.External = endpoint.Style(st.RepositoryURI), st.External // what it was started with counts
	return nil
}

// realPath is where a folder is, whatever links lead there; of one that is
// absent, where it would be.
func realPath(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	return path, nil
}

func doctorConfig(c *config.Config) doctor.Config {
	d := doctor.Config{
		Style: endpoint.Style(c.RepositoryURI), External: c.External,
		Account: c.Account, Region: c.Region, Connections: c.Limits.Connections,
	}
	for _, p := range c.Ports() {
		d.Listen, d.TLS = append(d.Listen, p.Listen), append(d.TLS, p.TLS)
	}
	return d
}

// tryToken asks for a password with the credentials of AWS's tools. Those that
// only the machine itself might have are not looked for: at most places that
// takes seconds, and nobody answers.
func tryToken(ctx context.Context, api, region, ca string) error {
	id, err := ecrlogin.Identify(ctx, "")
	if err != nil {
		return err
	}
	if id.Guessed {
		return doctor.ErrNoCredentials
	}
	client, err := ecrlogin.NewClient(ca)
	if err != nil {
		return err
	}
	_, err = client.Token(ctx, ecrlogin.Ask{Endpoint: api, Region: region, Credentials: id.Credentials, Now: time.Now()})
	return err
}
