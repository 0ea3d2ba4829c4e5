package policydb

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// A Client follows the policy database. A host's agent has its policies from Load; the commands
// that write call Change. Invariant: what Load returns is a whole generation, and a database that
// is gone, or behind, takes nothing out of force.

// Options say which database.
type Options struct {
	// Endpoint is the OVSDB server, in the sense of [client.Options].
	Endpoint string
	// TLS is what ssl: endpoints need.
	TLS *tls.Config
	// Patience is that of [client.Options].
	Patience time.Duration
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// Client keeps a copy of the rows, and the policy made of them. Run holds the connection; all other
// methods may be called from any goroutine.
type Client struct {
	*client.Client
	endpoint string

	mu     sync.Mutex
	reader reader
	last   last
}

// last is what Load returned last without an error.
type last struct {
	policy     *policy.Policy
	generation int
	global     string
	revision   int       // counts what was changed without a new generation
	at         time.Time // when it was read
	committed  time.Time // by the clock of who wrote it
	why        string    // there is no database, or one that is behind
	offered    int       // generation of one that is behind
	asked      int       // generation for which somebody waits
	lostAt     time.Time // since when there is no database, or one that is behind; zero = there is
}

// New makes a Client; it does nothing until Run.
func New(opts Options) (*Client, error) {
	model, err := rows.FullDatabaseModel()
	if err != nil {
		return nil, fmt.Errorf("model of the policy database: %w", err)
	}
	return &Client{endpoint: opts.Endpoint, Client: client.New(client.Options{
		Endpoint: opts.Endpoint, TLS: opts.TLS, Model: model, Name: "the policy", IsCluster: true,
		Patience: opts.Patience, Log: opts.Log})}, nil
}

// read makes a policy of rows.
func (c *Client) read(all client.Rows) state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reader.read(all)
}

// Policy returns the present policy and its generation. The policy must not be changed.
func (c *Client) Policy() (p *policy.Policy, generation int, err error) {
	s, err := c.present()
	if err != nil {
		return nil, 0, err
	}
	if len(s.errs) > 0 {
		return nil, 0, &InvalidError{errs: s.errs}
	}
	return s.policy, s.generation, nil
}

// firstLook is how often Load looks for the first state of the database.
const firstLook = 100 * time.Millisecond

// errEmpty says that nobody has written a policy yet.
var errEmpty = errors.New("the policy database holds no policy yet: write one with " +
	"'portcullis apply'")

// Load returns the policy that is to be in force. A database that cannot be reached, or that is
// behind what was read before, is a warning: the policy read before stays. Before the first policy
// it waits until the database was tried once. The error is of what the rows say, or that there are
// none.
func (c *Client) Load() (*policy.Policy, strictyaml.Warnings, error) {
	for {
		s, err := c.present()
		if err == nil {
			return c.take(s)
		}
		if p := c.lost(err.Error(), 0); p != nil {
			return p, c.staleness(), nil
		}
		if why := c.LastError(); why != nil && !errors.Is(why, client.ErrNotConnected) {
			return nil, nil, fmt.Errorf("the policy database cannot be read: %w", why)
		}
		select {
		case <-c.Changed(): // the first state of the database comes with it
		case <-time.After(firstLook): // or with a signal that somebody else has taken
		}
	}
}

func (c *Client) present() (s state, err error) {
	err = c.Read(func(all client.Rows) error {
		s = c.read(all)
		return nil
	})
	return s, err
}

// lost notes that there is no database, and returns what was read before.
func (c *Client) lost(why string, offered int) *policy.Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.lostAt.IsZero() {
		c.last.lostAt = time.Now()
	}
	c.last.why, c.last.offered = why, offered
	return c.last.policy
}

func (c *Client) staleness() strictyaml.Warnings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strictyaml.Warnings{{Field: "policy", Message: fmt.Sprintf("generation %d stays in force, "+
		"as the policy database has been stale since %s: %s", c.last.generation,
		c.last.lostAt.Format(time.RFC3339), c.last.why)}}
}

// take makes a state the last one, if it is valid and not older.
func (c *Client) take(s state) (*policy.Policy, strictyaml.Warnings, error) {
	if s.generation == 0 && len(s.policy.Groups)+len(s.policy.Instances)+len(s.errs) == 0 {
		return nil, nil, errEmpty
	}
	if len(s.errs) > 0 {
		return nil, nil, invalid(s.errs)
	}
	if c.isBehind(s) {
		p := c.lost(fmt.Sprintf("it is behind, at generation %d", s.generation), s.generation)
		return p, c.staleness(), nil
	}
	if errs := problems(s.policy, ""); len(errs) > 0 {
		return nil, nil, invalid(errs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := last{policy: s.policy, generation: s.generation, global: s.global, at: time.Now(),
		committed: s.committed, asked: s.asked}
	if c.last.global == s.global && c.last.generation == s.generation {
		next.revision = c.last.revision
		if !policy.Changed(c.last.policy, s.policy).Empty() {
			next.revision++ // by somebody who does not count generations
		}
	}
	c.last = next
	return s.policy, nil, nil
}

func (c *Client) isBehind(s state) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last.policy != nil && s.global == c.last.global && s.generation < c.last.generation
}

// invalid makes the errors ones that the status lists one by one.
func invalid(errs []error) error {
	var out strictyaml.Errors
	for _, err := range errs {
		out = append(out, strictyaml.Error{Message: err.Error()})
	}
	return out
}

// Whole says that what Load returned is whole: a generation always is.
func (c *Client) Whole() bool { return true }

// Content is the policy of the last Load as a policy file, for who keeps it.
func (c *Client) Content() []policydir.Content {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.policy == nil {
		return nil
	}
	text := policyfile.Marshal(c.last.policy)
	sum := sha256.Sum256(text)
	return []policydir.Content{{Path: "policy.yaml", Sum: hex.EncodeToString(sum[:]),
		Size: int64(len(text)), Text: text, Mode: 0o600, Changed: c.last.at}}
}

// Following tells how things stood with the database at the last Load.
func (c *Client) Following() Following {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := Following{Standing: Current, Endpoint: c.endpoint, Cluster: c.last.global,
		Generation: c.last.generation, CommittedAt: c.last.committed, StaleSince: c.last.lostAt,
		Why: c.last.why, Offered: c.last.offered, Asked: c.last.asked}
	switch {
	case f.Offered > 0:
		f.Standing = Behind
	case !f.StaleSince.IsZero():
		f.Standing = Stale
	}
	return f
}

// Digest names what Load returned last without an error: the database, and the generation.
func (c *Client) Digest() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("generation %d of %.8s", c.last.generation, c.last.global)
	if c.last.revision > 0 {
		name += fmt.Sprintf(", changed %d times since", c.last.revision)
	}
	return name
}
