package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// Operation is one operation of a transaction, and the words for a message about it.
type Operation struct {
	Op      libovsdb.Operation
	About   string
	Refused error // what it means if the database refuses it; nil = what the database says
}

// Plan compares what is wanted with the rows: it returns what is to be done, and what cannot be
// wanted of the database as it is.
type Plan func(Rows) ([]Operation, error)

// Update sends what is planned as one transaction, or none if nothing is to be done. When it
// returns, Read shows what was written. One Update goes on at a time.
//
// The error is ErrNotConnected, what Lock.Held said, what the database refused (nothing was
// changed: a transaction is all or nothing), or that of the plan, whose operations were done then.
func (c *Client) Update(ctx context.Context, plan Plan) error {
	c.updating.Lock()
	defer c.updating.Unlock()
	s, err := c.session()
	if err != nil {
		return err
	}
	ops, err := s.plan(plan)
	if len(ops) == 0 {
		return err
	}
	if err := s.transact(ctx, ops); err != nil {
		return fmt.Errorf("%s: %w", c.opts.Name, err)
	}
	ops, err = s.plan(plan) // the answer came behind the update
	if len(ops) == 0 {
		return err
	}
	return fmt.Errorf("the database does not hold what was just written (%s, ...)",
		ops[len(ops)-1].About)
}

func (s *session) plan(plan Plan) (ops []Operation, err error) {
	err = s.read(func(rows Rows) error {
		var planErr error
		ops, planErr = plan(rows)
		return planErr
	})
	return ops, err
}

// transact sends the operations as one transaction; nothing is changed if it fails, and it fails
// without the lock.
func (s *session) transact(ctx context.Context, ops []Operation) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	if l := s.opts.Lock; l != nil {
		hold := libovsdb.Operation{Op: libovsdb.OperationAssert, Lock: &l.Name}
		ops = slices.Concat([]Operation{{About: "hold the lock", Refused: errStolen, Op: hold}}, ops)
	}
	params := []any{s.opts.Model.Name()}
	for _, o := range ops {
		params = append(params, o.Op)
	}
	s.sent.Add(1)
	var results []libovsdb.OperationResult
	if err := s.conn.call(ctx, "transact", &results, params...); err != nil {
		return fmt.Errorf("transaction of %d operations: %w", len(ops), err)
	}
	if err := resultError(results, ops); err != nil {
		return &RefusedError{err}
	}
	return nil
}

// RefusedError is what the database refused: nothing was changed. After every other error of a
// transaction that was sent, it is not known.
type RefusedError struct{ err error }

// Error says what was refused, and why.
func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap returns what the operations say of it.
func (e *RefusedError) Unwrap() error { return e.err }

// resultError is what the server refused. An error beyond the last operation is about the
// transaction as a whole (RFC 7047, 4.1.3).
func resultError(results []libovsdb.OperationResult, ops []Operation) error {
	var errs []error
	for i, r := range results {
		switch {
		case r.Error == "":
		case i < len(ops) && ops[i].Refused != nil:
			errs = append(errs, fmt.Errorf("%s: %w (%s)", ops[i].About, ops[i].Refused, r.Error))
		case i < len(ops):
			errs = append(errs, fmt.Errorf("%s: %s: %s", ops[i].About, r.Error, r.Details))
		default:
			errs = append(errs, fmt.Errorf("commit: %s: %s", r.Error, r.Details))
		}
	}
	if len(errs) == 0 && len(results) < len(ops) {
		return fmt.Errorf("the server answered %d of %d operations", len(results), len(ops))
	}
	return errors.Join(errs...)
}
