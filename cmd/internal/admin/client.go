package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"
)

// Client asks a running server. It is a [Server]. Every method returns
// ErrNotRunning if none answers; any other error is the server's own.
type Client struct {
	place Place
	http  *http.Client
}

// NewClient returns a client of the server at a place, without asking whether
// there is one.
func NewClient(p Place) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := p.find()
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	// A command asks once or twice, so no connection is kept.
	return &Client{p, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status implements Server.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.ask(ctx, http.MethodGet, "/status", nil, &s)
}

// Reload implements Server.
func (c *Client) Reload(ctx context.Context) (done Reloaded, err error) {
	return done, c.ask(ctx, http.MethodPost, "/reload", nil, &done)
}

// Environment implements Keeper.
func (c *Client) Environment(ctx context.Context) (Environment, error) {
	var e wireEnvironment
	err := c.ask(ctx, http.MethodGet, "/environment", nil, &e)
	return Environment{e.Endpoint, e.Region, e.Key.key(), e.CA}, err
}

// ask sends one request, with say as its body unless that is nil, and reads the
// answer into got.
func (c *Client) ask(ctx context.Context, method, path string, say, got any) error {
	var body bytes.Buffer
	if say != nil {
		if err := json.NewEncoder(&body).Encode(say); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://berth"+path, &body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp)
	}
	if got == nil {
		return nil
	}
	if err := readJSON(resp.Body, got); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// unreached tells a server that does not run from one that cannot be asked.
func (c *Client) unreached(err error) error {
	for _, gone := range []error{fs.ErrNotExist, syscall.ECONNREFUSED, ErrNotRunning} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w %s", ErrNotRunning, c.place)
		}
	}
	return fmt.Errorf("ask the server %s: %w", c.place, err)
}

func refusal(resp *http.Response) error {
	var e wireError
	if err := readJSON(resp.Body, &e); err != nil || e.Error == "" {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return errors.New(e.Error)
}
