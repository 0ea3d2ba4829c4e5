package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ovn-org/libovsdb/client"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// showTimeout bounds the wait for the cache after a transaction. The server sends the update
// before its reply, so more than a moment means that somebody undid what was written.
const showTimeout = 5 * time.Second

// Ensure makes the database hold what is desired, by one transaction, or none if nothing
// differs, and returns when Snapshot shows it. It does not wait for ovs-vswitchd.
//
// The error is ErrNotConnected, ErrStaleRevision (nothing was changed), what the database
// refused with the names concerned (nothing was changed: a transaction is all or nothing), or
// joins what could not be wanted of the database as it is: *PortError, ErrDatapathType; the
// rest was done then.
func (c *Client) Ensure(ctx context.Context, d Desired) error {
	c.ensure.Lock()
	defer c.ensure.Unlock()
	s, _ := c.current()
	if s == nil {
		return ErrNotConnected
	}
	ops, err := c.plan(s, d)
	if len(ops) == 0 {
		return err
	}
	if err := s.transact(ctx, ops); err != nil {
		return fmt.Errorf("bridge %s: %w", c.opts.Bridge, err)
	}
	return c.awaitShown(ctx, s, d)
}

// plan compares what is desired with the cache.
func (c *Client) plan(s *session, d Desired) ([]operation, error) {
	v, err := s.view(c.opts.Bridge)
	if err != nil {
		return nil, err
	}
	return plan(v, bridgeSpec{name: c.opts.Bridge, datapathType: c.opts.DatapathType}, d)
}

// awaitShown returns when the cache leaves nothing to be done.
func (c *Client) awaitShown(ctx context.Context, s *session, d Desired) error {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	for {
		now, wake := c.current()
		if now != s {
			return fmt.Errorf("%w: connection lost after the transaction", ErrNotConnected)
		}
		ops, err := c.plan(s, d)
		if len(ops) == 0 {
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return fmt.Errorf("the database does not hold what was just written (%s, ...): %w", ops[len(ops)-1].about, ctx.Err())
		}
	}
}

// transact sends the operations as one transaction; nothing is changed if it fails.
func (s *session) transact(ctx context.Context, ops []operation) error {
	raw := make([]libovsdb.Operation, len(ops))
	for i, o := range ops {
		raw[i] = o.op
	}
	if err := ctx.Err(); err != nil { // libovsdb sends first and looks then
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	s.transactions.Add(1)
	results, err := s.client.Transact(ctx, raw...)
	if errors.Is(err, client.ErrNotConnected) {
		return ErrNotConnected
	}
	if err != nil {
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	return resultError(results, ops)
}

// resultError is what the server refused. An error beyond the last operation is about the
// transaction as a whole (RFC 7047, 4.1.3).
func resultError(results []libovsdb.OperationResult, ops []operation) error {
	var errs []error
	for i, r := range results {
		switch {
		case r.Error == "":
		case i < len(ops):
			errs = append(errs, fmt.Errorf("%s: %s: %s", ops[i].about, r.Error, r.Details))
		default:
			errs = append(errs, fmt.Errorf("commit: %s: %s", r.Error, r.Details))
		}
	}
	if len(errs) == 0 && len(results) < len(ops) {
		return fmt.Errorf("the server answered %d of %d operations", len(results), len(ops))
	}
	return errors.Join(errs...)
}
