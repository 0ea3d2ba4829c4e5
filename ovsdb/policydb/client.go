package policydb

import (
	"crypto/tls"
	"errors"
	"fmt"
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

	mu     sync.Mutex
	reader reader
}

// New makes a Client; it does nothing until Run.
func New(opts Options) (*Client, error) {
	model, err := rows.FullDatabaseModel()
	if err != nil {
		return nil, fmt.Errorf("model of the policy database: %w", err)
	}
	return &Client{Client: client.New(client.Options{
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
