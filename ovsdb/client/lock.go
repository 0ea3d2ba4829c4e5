package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// Two clients that keep the same rows would undo each other's work for ever. So each holds a lock
// of the database, whatever host, namespace or socket it runs with. The database gives the lock on
// when the connection ends, so one that was killed holds up nobody; and each transaction asserts
// the lock (RFC 7047, 5.2.10), so that one that has lost it writes nothing.

// errHeld ends Run: another client has the lock, and this one never had it.
var errHeld = errors.New("another client has the lock")

// heldError says who has the lock.
type heldError struct{ who error }

func (e *heldError) Error() string { return e.who.Error() }

// takeLock returns as soon as the lock is ours, if one is wanted. The error is errHeld if another
// client has it and this one never did.
func (c *Client) takeLock(ctx context.Context, s *session) error {
	if c.opts.Lock == nil {
		return nil
	}
	isOurs, err := s.lock(ctx)
	if err == nil && !isOurs {
		err = c.awaitLock(ctx, s)
	}
	c.hadLock = c.hadLock || err == nil
	return err
}

// awaitLock returns nil as soon as the lock is ours.
func (c *Client) awaitLock(ctx context.Context, s *session) error {
	patience := time.NewTimer(c.timing.patience)
	defer patience.Stop()
	probe := time.NewTicker(c.timing.probe)
	defer probe.Stop()
	for {
		held, err := s.holder(ctx)
		if err != nil {
			return err
		}
		c.down(held)
		select {
		case <-s.conn.locked:
			return nil
		case <-s.conn.lost:
			return s.conn.reason()
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if !c.hadLock {
				return errHeld
			}
		case <-probe.C:
		}
	}
}

// lock asks for the lock and says whether it is ours now. If it is not, the server remembers the
// wish: see connection.locked.
func (s *session) lock(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.answer)
	defer cancel()
	var reply struct {
		Locked bool `json:"locked"`
	}
	if err := s.conn.call(ctx, "lock", &reply, s.opts.Lock.Name); err != nil {
		return false, fmt.Errorf("take the lock: %w", err)
	}
	return reply.Locked, nil
}

// holder asks who has the lock, which is as well a probe of the connection.
func (s *session) holder(ctx context.Context) (*heldError, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.answer)
	defer cancel()
	var results []libovsdb.OperationResult
	err := s.conn.call(ctx, "transact", &results, s.opts.Model.Name(), s.opts.Lock.Holder)
	if err != nil {
		return nil, fmt.Errorf("ask who has the lock: %w", err)
	}
	var rows []libovsdb.Row
	for _, r := range results {
		rows = append(rows, r.Rows...)
	}
	return &heldError{s.opts.Lock.Held(rows)}, nil
}
