package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/telemetry"
)

// This file asks a running daemon. The commands call it.

// ErrNotSettled says that the policy was not in force and programmed in the time given.
var ErrNotSettled = errors.New("not in sync in time")

// ErrInvalidPolicy says that the policy's files are not valid as they are; the status names the
// mistakes.
var ErrInvalidPolicy = errors.New("the policy is not valid")

// Client asks a running daemon.
type Client struct{ http http.Client }

// NewClient returns a client of the daemon whose API is at a socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial,
		DisableKeepAlives: true}}}
}

// Status returns the present status.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return c.status(ctx, url.Values{})
}

// Settle returns when what the policy's files say now is in force and programmed at every port that
// can be. With ErrNotSettled and ErrInvalidPolicy the status is returned as well.
func (c *Client) Settle(ctx context.Context, timeout time.Duration) (*Status, error) {
	return c.status(ctx, url.Values{"wait": {timeout.String()}})
}

func (c *Client) status(ctx context.Context, query url.Values) (*Status, error) {
	status := &Status{}
	refusal, err := c.ask(ctx, statusPath, query, status, &status.Version)
	if err != nil {
		return nil, err
	}
	return status, refusal
}

// ask reads one resource of the API into body, which must then say at version that it is of ours.
// An answer that is complete but a refusal of what was asked for is returned as such.
func (c *Client) ask(ctx context.Context, path string, query url.Values, body any,
	version *string) (refusal, err error) {
	return c.send(ctx, http.MethodGet, path+"?"+query.Encode(), nil, body, version)
}

// send asks by a method, and what it sends is what is asked about.
func (c *Client) send(ctx context.Context, method, path string, sent io.Reader, body any,
	version *string) (refusal, err error) {
	resp, err := c.do(ctx, method, path, sent)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusGatewayTimeout:
		refusal = ErrNotSettled
	case http.StatusConflict:
		if method != http.MethodGet {
			return nil, refused(resp)
		}
		refusal = ErrInvalidPolicy
	default:
		return nil, refused(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(body); err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	if *version != Version {
		return nil, fmt.Errorf("the daemon speaks %q, not %q", *version, Version)
	}
	return refusal, nil
}

// get asks for one resource of the API.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	return c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
}

func (c *Client) do(ctx context.Context, method, path string, sent io.Reader) (*http.Response,
	error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://portcullis"+path, sent)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", cause(err))
	}
	return resp, nil
}

// refused is what the daemon says instead of an answer: its own words, of a daemon of ours.
func refused(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	p := &Problem{}
	if err := json.Unmarshal(text, p); err != nil || p.Message == "" {
		return fmt.Errorf("ask the daemon: %s", cmp.Or(strings.TrimSpace(string(text)), resp.Status))
	}
	p.status = resp.StatusCode
	return p
}

// cause leaves out the invented URL.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Connections lists live connections.
func (c *Client) Connections(ctx context.Context, q telemetry.ConnectionsQuery) (*Connections,
	error) {
	query := url.Values{"limit": {strconv.Itoa(cmp.Or(q.Limit, telemetry.DefaultConnections))}}
	for name, value := range map[string]string{"port": q.Port, "instance": q.Instance,
		"group": q.Group, "peer": q.Peer, "protocol": q.Protocol} {
		if value != "" {
			query.Set(name, value)
		}
	}
	list := &Connections{}
	if _, err := c.ask(ctx, connectionsPath, query, list, &list.Version); err != nil {
		return nil, err
	}
	return list, nil
}

// Counts returns what the switch has counted.
func (c *Client) Counts(ctx context.Context) (*Counts, error) {
	counts := &Counts{}
	if _, err := c.ask(ctx, countersPath, url.Values{}, counts, &counts.Version); err != nil {
		return nil, err
	}
	return counts, nil
}
