package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ovn-org/libovsdb/model"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"
)

// A Client connects, follows the rows, and connects again. One goroutine calls Run; what it has
// found is handed to all others under the mutex: a session whose rows are complete, or why there is
// none.

// ErrNotConnected is returned while the database cannot be reached or its rows have not all been
// read.
var ErrNotConnected = errors.New("not connected to OVSDB")

// timing holds the client's times; tests shorten them.
type timing struct {
	minPause, maxPause time.Duration // when all servers were tried; doubles in between
	greet              time.Duration // bounds a server's first answers
	connect            time.Duration // bounds reading all rows
	probe, answer      time.Duration // how often a silent server is asked, how long it may think
	patience           time.Duration // how long a Client that starts waits for the lock
}

func defaultTiming() timing {
	return timing{
		minPause: 100 * time.Millisecond, maxPause: 5 * time.Second,
		greet: 60 * time.Second, connect: 60 * time.Second,
		probe: 5 * time.Second, answer: 60 * time.Second, // behind thousands of rows
		patience: 5 * time.Second, // the connection of one that was killed is gone at once
	}
}

// leaving are the times of a Client that leaves a server for another one as soon as it keeps it
// waiting for so long, and comes back as soon when none is there: somebody waits.
func (t timing) leaving(patience time.Duration) timing {
	t.greet, t.probe, t.answer = patience, patience/2, patience
	t.maxPause = max(t.minPause, patience/2)
	return t
}

// Options say which database a Client follows.
type Options struct {
	// Endpoint is the OVSDB server: "unix:<absolute path>", "tcp:<address>:<port>" or
	// "ssl:<address>:<port>"; or several with commas, of which any will do.
	Endpoint string
	// TLS is what ssl: endpoints need, as of package credentials.
	TLS *tls.Config
	// Patience is how long a server may take for an answer, but not for all rows, before the next
	// endpoint is tried; 0 = a minute, which is for those who come back all at one time. One endpoint
	// alone has a minute in any case.
	Patience time.Duration
	// IsCluster = a server that has lost the majority of its cluster is left for another one.
	IsCluster bool
	// Model has the tables and columns to follow: all that it has.
	Model model.ClientDBModel
	// Misfit says what to do if the schema lacks some of them; nil = nobody knows.
	Misfit Misfit
	// Touched is told of each row that an update changes, before anybody reads it: it must not ask
	// the Client, and be quick; nil = nobody is told. A new connection reads all rows anew.
	Touched func(table, uuid string)
	// Name says what is kept in the database, for messages about transactions.
	Name string
	// Lock is held as long as the Client is connected; nil = none.
	Lock *Lock
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// Lock is a lock of the database (RFC 7047, 4.1.8). While another client has it, nothing is read
// and nothing written.
type Lock struct {
	Name string
	// Holder asks about whoever has it, and Held makes an error of the rows of the answer.
	Holder libovsdb.Operation
	Held   func(rows []libovsdb.Row) error
}

// Client keeps a copy of the database's rows. Run holds the connection; all other methods may be
// called from any goroutine, before, during and after Run.
type Client struct {
	opts     Options
	timing   timing
	changed  chan struct{} // one slot
	updating sync.Mutex    // one Update at a time
	hadLock  bool          // Run's alone
	sent     atomic.Uint64 // transactions

	mu       sync.Mutex
	live     *session // nil = not connected, or not read completely
	lastErr  error    // why there is no session
	isLocked bool     // lastErr is what Lock.Held said
}

// OrSilent is a log, or one that discards all if there is none.
func OrSilent(log *logrus.Entry) *logrus.Entry {
	if log != nil {
		return log
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	return logrus.NewEntry(silent)
}

// New makes a Client; it does nothing until Run.
func New(opts Options) *Client {
	opts.Log = OrSilent(opts.Log)
	timing := defaultTiming()
	if opts.Patience > 0 && strings.Contains(opts.Endpoint, ",") {
		timing = timing.leaving(opts.Patience)
	}
	return &Client{
		opts: opts, timing: timing, changed: make(chan struct{}, 1), lastErr: ErrNotConnected,
	}
}

// Run connects, reads the rows, follows them, and connects again whenever the connection is lost,
// until ctx ends; then it returns nil. A server that cannot be reached is no error (see LastError);
// an endpoint that cannot be understood is one.
//
// If another client has the lock at the start, and some seconds later, the error is what Lock.Held
// says. A Client that loses the lock later waits until it is free again.
func (c *Client) Run(ctx context.Context) error {
	servers, err := newEndpoints(c.opts.Endpoint, c.opts.TLS)
	if err != nil {
		return err
	}
	pause := c.timing.minPause
	for {
		s, isLast, err := c.open(ctx, &servers)
		if errors.Is(err, errHeld) {
			return c.LastError()
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
			s.conn.end(errClosed)
		}
		if !isLast && ctx.Err() == nil {
			continue // another server may be there
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jittered(pause)):
		}
		pause = min(2*pause, c.timing.maxPause)
	}
}

// open makes a session with the lock, if one is wanted, and all rows. It says whether no other
// server is left to be tried before a pause.
func (c *Client) open(ctx context.Context, servers *endpoints) (s *session, isLast bool,
	err error) {
	endpoint, isLast := servers.advance()
	dialing, cancel := context.WithTimeout(ctx, c.timing.answer)
	defer cancel()
	conn, err := servers.dial(dialing, endpoint)
	if err != nil {
		return nil, isLast, fmt.Errorf("OVSDB at %s: %w", endpoint, err)
	}
	s = &session{conn: conn, opts: c.opts, endpoint: endpoint, timing: c.timing,
		notify: c.notify, sent: &c.sent}
	if err = c.takeLock(ctx, s); err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		conn.end(err)
		return nil, isLast, err
	}
	return s, isLast, nil
}

// Changed has one slot, which is filled whenever rows changed or the connection came or went. It
// says only that Read is worth another look; changes in between are not counted.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// LastError says why the database is not available; nil while it is.
func (c *Client) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Read shows the rows in one state of the database to a function, which must not keep the maps; the
// rows themselves are never altered. It returns ErrNotConnected from the loss of a connection until
// all rows have been read again, and before the first time; but what Lock.Held said while another
// client has the lock.
func (c *Client) Read(show func(Rows) error) error {
	s, err := c.session()
	if err != nil {
		return err
	}
	return s.read(show)
}

// Sent is the number of transactions that were sent.
func (c *Client) Sent() uint64 { return c.sent.Load() }

// session is the session, or why there is none.
func (c *Client) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.live != nil:
		return c.live, nil
	case c.isLocked:
		return nil, c.lastErr
	}
	return nil, ErrNotConnected
}

// up publishes a session whose rows are complete.
func (c *Client) up(s *session) {
	c.opts.Log.WithField("endpoint", s.endpoint).Info("connected to OVSDB")
	c.mu.Lock()
	c.live, c.lastErr, c.isLocked = s, nil, false
	c.mu.Unlock()
	c.notify()
}

// down takes the session back. A failure that repeats itself is logged once.
func (c *Client) down(err error) {
	held := (*heldError)(nil)
	isLocked := errors.As(err, &held)
	if isLocked {
		err = held.who
	}
	c.mu.Lock()
	known := c.lastErr != nil && c.lastErr.Error() == err.Error()
	c.live, c.lastErr, c.isLocked = nil, err, isLocked
	c.mu.Unlock()
	if !known {
		if !errors.Is(err, ErrNotConnected) { // it ends: that is no trouble
			c.opts.Log.WithField("endpoint", c.opts.Endpoint).
				WithError(err).
				Warn("no connection to OVSDB")
		}
		c.notify()
	}
}

// notify fills the slot of Changed. It never blocks.
func (c *Client) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
