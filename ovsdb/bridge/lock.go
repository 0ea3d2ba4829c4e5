package bridge

import (
	"context"
	"fmt"
	"strings"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// Two daemons on one bridge would undo each other's flows for ever. So who keeps a bridge holds a lock of the database (RFC 7047, 4.1.8),
// whatever host, namespace or socket it runs with. The database gives the lock on when the connection ends, so a daemon that was killed
// holds up nobody; and each transaction asserts the lock (RFC 7047, 5.2.10), so that one that has lost it writes nothing.

// claim opens a wire and takes the lock of the bridge, if one is wanted, or waits for it. The error is a *HeldError if another daemon
// holds the lock and this one never did.
func (c *Client) claim(ctx context.Context) (*wire, error) {
	lock := ""
	if c.opts.Daemon != "" {
		lock = lockName(c.opts.Bridge)
	}
	asking, cancel := context.WithTimeout(ctx, c.timing.answer)
	defer cancel()
	w, err := dial(asking, c.opts.Endpoint, lock)
	if err != nil {
		return nil, fmt.Errorf("OVSDB at %s: %w", c.opts.Endpoint, err)
	}
	if lock == "" {
		return w, nil
	}
	isOurs, err := w.take(asking)
	if err == nil && !isOurs {
		err = c.awaitLock(ctx, w)
	}
	if err != nil {
		w.end(err)
		return nil, err
	}
	c.hadLock = true
	return w, nil
}

// awaitLock returns nil as soon as the lock is ours.
func (c *Client) awaitLock(ctx context.Context, w *wire) error {
	patience := time.NewTimer(c.timing.patience)
	defer patience.Stop()
	probe := time.NewTicker(c.timing.probe)
	defer probe.Stop()
	for {
		held, err := c.holder(ctx, w)
		if err != nil {
			return err
		}
		c.down(held)
		select {
		case <-w.held:
			return nil
		case <-w.lost:
			return w.reason()
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if !c.hadLock {
				return held
			}
		case <-probe.C:
		}
	}
}

// holder asks who keeps the bridge, which is as well a probe of the connection.
func (c *Client) holder(ctx context.Context, w *wire) (*HeldError, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timing.answer)
	defer cancel()
	var results []struct {
		Rows []struct {
			ExternalIDs libovsdb.OvsMap `json:"external_ids"`
		} `json:"rows"`
	}
	err := w.call(ctx, "transact", &results, databaseName, libovsdb.Operation{Op: libovsdb.OperationSelect, Table: vswitch.BridgeTable,
		Where:   []libovsdb.Condition{libovsdb.NewCondition("name", libovsdb.ConditionEqual, c.opts.Bridge)},
		Columns: []string{"external_ids"}})
	if err != nil {
		return nil, fmt.Errorf("ask who keeps the bridge: %w", err)
	}
	held := &HeldError{Bridge: c.opts.Bridge}
	for _, r := range results {
		for _, row := range r.Rows {
			if daemon, _ := row.ExternalIDs.GoMap[KeyDaemon].(string); daemon != c.opts.Daemon { // else it has written nothing yet
				held.Daemon = daemon
			}
		}
	}
	return held, nil
}

// lockName is the name of the lock of a bridge: an <id> of RFC 7047, 3.1, which holds only letters, digits and underscores, so all else
// is written as _ and two hexadecimal digits. Different bridges have different names.
func lockName(bridge string) string {
	var out strings.Builder
	out.WriteString("portcullis_")
	for _, b := range []byte(bridge) {
		if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "_%02x", b)
		}
	}
	return out.String()
}
