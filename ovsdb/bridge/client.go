package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// timing holds the client's times; tests shorten them.
type timing struct {
	minPause, maxPause time.Duration // before the next attempt to connect; doubles in between
	connect            time.Duration // bounds connecting and reading all rows
	probe, answer      time.Duration // how often a silent server is asked, and how long it may think
	patience           time.Duration // how long a daemon that starts waits for one that ends
}

func defaultTiming() timing {
	return timing{
		minPause: 100 * time.Millisecond, maxPause: 5 * time.Second,
		connect: 60 * time.Second,
		probe:   5 * time.Second, answer: 60 * time.Second, // an answer waits behind thousands of rows
		patience: 5 * time.Second, // a killed one's connection is gone at once
	}
}

// Options say which bridge in which database a Client keeps.
type Options struct {
	// Endpoint is the OVSDB server: "unix:<absolute path>" or "tcp:<address>:<port>".
	Endpoint string
	// Bridge is the name of the bridge.
	Bridge string
	// DatapathType is the type of a bridge that has to be made: "" = kernel, "netdev" = userspace.
	DatapathType string
	// Daemon says in words who keeps the bridge, for whoever else wants to. Only one Client with a name keeps a bridge at a time: see
	// Run. "" = this Client keeps nothing, and asks nobody.
	Daemon string
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// Client keeps a live copy of the bridge's rows. Run holds the connection; all other methods
// may be called from any goroutine, before, during and after Run.
type Client struct {
	opts    Options
	timing  timing
	changed chan struct{} // one slot
	ensure  sync.Mutex    // one transaction at a time
	hadLock bool          // it has kept the bridge before; Run's alone

	mu      sync.Mutex
	live    *session      // nil = not connected, or not read completely
	wake    chan struct{} // closed and replaced at every change
	lastErr error         // why there is no session
}

// New makes a Client; it does nothing until Run.
func New(opts Options) *Client {
	if opts.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		opts.Log = logrus.NewEntry(silent)
	}
	return &Client{
		opts: opts, timing: defaultTiming(),
		changed: make(chan struct{}, 1), wake: make(chan struct{}), lastErr: ErrNotConnected,
	}
}

// Run connects, reads the rows, follows them, and connects again whenever the connection is
// lost, until ctx ends; then it returns nil. A server that cannot be reached is no error (see
// LastError); an endpoint that cannot be understood is one.
//
// With Options.Daemon it reads and writes only while it holds the lock of the bridge. If another
// daemon holds it at the start, and some seconds later, the error is a *HeldError; a Client that
// loses it later waits until it is free again, and meanwhile Snapshot returns that *HeldError.
func (c *Client) Run(ctx context.Context) error {
	if err := checkEndpoint(c.opts.Endpoint); err != nil {
		return err
	}
	for pause := c.timing.minPause; ; pause = min(2*pause, c.timing.maxPause) {
		var s *session
		w, err := c.claim(ctx)
		if held := (*HeldError)(nil); errors.As(err, &held) {
			c.down(err)
			return err
		}
		if err == nil {
			s, err = connect(ctx, w, c.opts, c.timing, c.notify)
		}
		if err == nil {
			pause = c.timing.minPause
			c.up(s)
			err = s.follow(ctx)
		}
		if ctx.Err() != nil {
			err = ErrNotConnected
		}
		c.down(err)
		if s != nil {
			s.close()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Changed has one slot, which is filled whenever rows changed or the connection came or went.
// It says only that Snapshot is worth another look; changes in between are not counted.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// LastError says why the database is not available; nil while it is.
func (c *Client) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Snapshot is the bridge's present state in the database. It returns ErrNotConnected from the
// loss of a connection until all rows have been read again, and before the first time; but a
// *HeldError while another daemon keeps the bridge.
func (c *Client) Snapshot() (Snapshot, error) {
	s, err := c.session()
	if err != nil {
		return Snapshot{}, err
	}
	v, err := s.view(c.opts.Bridge)
	if err != nil {
		return Snapshot{}, err
	}
	return newSnapshot(v), nil
}

// session is the session, or why there is none.
func (c *Client) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := (*HeldError)(nil); c.live == nil && errors.As(c.lastErr, &held) {
		return nil, held
	}
	if c.live == nil {
		return nil, ErrNotConnected
	}
	return c.live, nil
}

// current is the session, nil if there is none, and a channel that is closed at the next change.
func (c *Client) current() (*session, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live, c.wake
}

// up publishes a session whose rows are complete.
func (c *Client) up(s *session) {
	c.opts.Log.WithField("endpoint", c.opts.Endpoint).Info("connected to OVSDB")
	c.mu.Lock()
	c.live, c.lastErr = s, nil
	c.mu.Unlock()
	c.notify()
}

// down takes the session back. A failure that repeats itself is logged once.
func (c *Client) down(err error) {
	c.mu.Lock()
	known := c.lastErr != nil && c.lastErr.Error() == err.Error()
	c.live, c.lastErr = nil, err
	c.mu.Unlock()
	if !known {
		c.opts.Log.WithField("endpoint", c.opts.Endpoint).WithError(err).Warn("no connection to OVSDB")
		c.notify()
	}
}

// notify wakes whoever waits for a change. It never blocks.
func (c *Client) notify() {
	c.mu.Lock()
	close(c.wake)
	c.wake = make(chan struct{})
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// checkEndpoint refuses what libovsdb would silently replace by its default endpoint.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("OVSDB endpoint %q: %w", endpoint, err)
	}
	kind, rest, _ := strings.Cut(endpoint, ":")
	switch {
	case kind == "unix" && strings.HasPrefix(rest, "/") && u.Path == rest:
		return nil
	case kind == "tcp" && rest != "" && u.Opaque == rest:
		return nil
	}
	return fmt.Errorf("OVSDB endpoint %q: want unix:/path or tcp:address:port", endpoint)
}
