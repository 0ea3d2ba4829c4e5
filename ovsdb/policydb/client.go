package policydb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// A Client has all rows of the policy database, for commands that read and change the policy. Hosts
// have a [Follower]. Invariant: what it tells is a whole generation.

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

	mu      sync.Mutex
	mirror  *mirror      // of the rows that were read last
	rows    client.Rows  // these
	touched []touchedRow // since then
	known   policy.Known // what is valid of them
}

// touchedRow is a row that an update has changed.
type touchedRow struct{ table, uuid string }

// New makes a Client; it does nothing until Run.
func New(opts Options) (*Client, error) {
	model, err := rows.FullDatabaseModel()
	if err != nil {
		return nil, fmt.Errorf("model of the policy database: %w", err)
	}
	c := &Client{mirror: newMirror()}
	c.mirror.isWhole = true
	c.Client = client.New(client.Options{
		Endpoint: opts.Endpoint, TLS: opts.TLS, Model: model, Misfit: misfit,
		Name: "the policy", IsCluster: true, Patience: opts.Patience, Log: opts.Log, Touched: c.touch})
	return c, nil
}

// touch notes that a row has changed.
func (c *Client) touch(table, uuid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.touched = append(c.touched, touchedRow{table, uuid}); len(c.touched) > mostTouched {
		c.rows, c.touched = nil, nil // reading all of them is as quick
	}
}

// mostTouched is how many rows are noted where nobody reads.
const mostTouched = 20_000

// state is what the rows say at one moment.
type state struct {
	policy     *policy.Policy // what can be read
	generation int
	global     string                  // UUID of the row of Global: another one is another database, or a restored one
	errs       []error                 // what cannot be read: the policy is not to be used then
	ports      map[string][]*rows.Port // by instance
}

// read makes a policy of rows: of those that changed since it read these last, or of all of another
// connection.
func (c *Client) read(all client.Rows) state {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reflect.ValueOf(all).Pointer() != reflect.ValueOf(c.rows).Pointer() {
		u := c.mirror.begin(client.All)
		for table := range all {
			for uuid := range all[table] {
				u.read(all, table, uuid)
			}
		}
		c.mirror.apply(u)
	} else if len(c.touched) > 0 {
		u := c.mirror.begin(client.Changes)
		for _, one := range c.touched {
			u.read(all, one.table, one.uuid)
		}
		c.mirror.apply(u)
	}
	c.rows, c.touched = all, c.touched[:0]
	s := state{policy: c.mirror.policy, errs: c.mirror.mistakes(), ports: c.mirror.of}
	for uuid, global := range c.mirror.globals {
		s.global, s.generation = uuid, global.Generation
	}
	return s
}

// read takes a row in that is there, or is not any more.
func (u *update) read(all client.Rows, table, uuid string) {
	switch table {
	case rows.GlobalTable:
		u.globals.put(all, table, uuid)
	case rows.ProjectTable:
		u.projects.put(all, table, uuid)
	case rows.GroupTable:
		u.groups.put(all, table, uuid)
	case rows.RuleTable:
		u.rules.put(all, table, uuid)
	case rows.PortTable:
		u.ports.put(all, table, uuid)
	}
}

// put is row with what the row says now.
func (s *staged[T, P]) put(all client.Rows, table, uuid string) {
	if s.next == nil {
		s.next = map[string]*T{}
	}
	next, _ := all[table][uuid].(*T)
	if was := s.have[uuid]; was != nil && next != nil && P(was).Equals(next) {
		next = was
	}
	s.next[uuid] = next
}

// mistakesIn says what is wrong with a policy that is to follow a state, for somebody of a project
// or of none. The caller has the rows of the state.
func (c *Client) mistakesIn(next *policy.Policy, s state, project string) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.errs) == 0 && c.known.IsValid(s.policy) {
		c.known.Learn(s.policy)
		if c.known.IsValid(next) {
			return unkept(next, s.policy)
		}
	}
	errs := problems(next, project)
	if len(errs) == 0 {
		c.known.Learn(next)
		return nil
	}
	return caused(s.policy, next, errs, project)
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

// Readable is Policy without what cannot be read: a row that somebody else has made so holds up
// nobody who asks about others.
func (c *Client) Readable() (p *policy.Policy, generation int, err error) {
	s, err := c.present()
	return s.policy, s.generation, err
}

// errEmpty says that nobody has written a policy yet.
var errEmpty = errors.New("the policy database holds no policy yet: write one with " +
	"'portcullis apply'")

// Valid is Policy for who asks about it: with an error if it is not valid, or nobody has written
// one.
func (c *Client) Valid() (*policy.Policy, error) {
	s, err := c.present()
	switch {
	case err != nil:
		return nil, err
	case s.generation == 0 && len(s.policy.Groups)+len(s.policy.Instances)+len(s.errs) == 0:
		return nil, errEmpty
	case len(s.errs) > 0:
		return nil, invalid(s.errs)
	}
	if errs := problems(s.policy, ""); len(errs) > 0 {
		return nil, invalid(errs)
	}
	return s.policy, nil
}

func (c *Client) present() (s state, err error) {
	err = c.Read(func(all client.Rows) error {
		s = c.read(all)
		return nil
	})
	return s, err
}

// invalid makes the errors ones that the status lists one by one.
func invalid(errs []error) error {
	var out strictyaml.Errors
	for _, err := range errs {
		out = append(out, strictyaml.Error{Message: err.Error()})
	}
	return out
}
