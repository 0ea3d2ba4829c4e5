package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// showTimeout bounds the wait for the cache after a transaction. The server sends the update
// before its reply, so more than a moment means that somebody undid what was written.
const showTimeout = 5 * time.Second

// Ensure makes the database hold what is desired, by one transaction, or none if nothing
// differs, and returns when Snapshot shows it. It does not wait for ovs-vswitchd.
//
// The error is ErrNotConnected, *HeldError, ErrStaleRevision (nothing was changed), what the database
// refused with the names concerned (nothing was changed: a transaction is all or nothing), or
// joins what could not be wanted of the database as it is: *PortError, ErrDatapathType; the
// rest was done then.
func (c *Client) Ensure(ctx context.Context, d Desired) error {
	c.ensure.Lock()
	defer c.ensure.Unlock()
	s, err := c.session()
	if err != nil {
		return err
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
	return plan(v, bridgeSpec{c.opts.Bridge, c.opts.DatapathType, c.opts.Daemon}, d)
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

// transact sends the operations as one transaction; nothing is changed if it fails, and it fails without the lock.
func (s *session) transact(ctx context.Context, ops []operation) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	if s.wire.lock != "" {
		ops = slices.Insert(slices.Clone(ops), 0, operation{about: "hold the lock of the bridge", refused: errStolen,
			op: libovsdb.Operation{Op: libovsdb.OperationAssert, Lock: &s.wire.lock}})
	}
	s.transactions.Add(1)
	var results []libovsdb.OperationResult
	if err := s.wire.call(ctx, "transact", &results, transaction(ops)...); err != nil {
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	return resultError(results, ops)
}

// transaction is the parameters of "transact" (RFC 7047, 4.1.3).
func transaction(ops []operation) []any {
	out := []any{databaseName}
	for _, o := range ops {
		out = append(out, o.op)
	}
	return out
}

// resultError is what the server refused. An error beyond the last operation is about the
// transaction as a whole (RFC 7047, 4.1.3).
func resultError(results []libovsdb.OperationResult, ops []operation) error {
	var errs []error
	for i, r := range results {
		switch {
		case r.Error == "":
		case i < len(ops) && ops[i].refused != nil:
			errs = append(errs, fmt.Errorf("%s: %w (%s)", ops[i].about, ops[i].refused, r.Error))
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
