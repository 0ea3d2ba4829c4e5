package bridge

import (
	"context"
	"fmt"
	"strings"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// A Client is a client of Open vSwitch's database with the eyes for one bridge: the agent reads its
// Snapshot and has it Ensure what is desired.

// Options say which bridge in which database a Client keeps.
type Options struct {
	// Endpoint is the OVSDB server: "unix:<absolute path>" or "tcp:<address>:<port>".
	Endpoint string
	// Bridge is the name of the bridge.
	Bridge string
	// DatapathType is the type of a bridge that has to be made: "" = kernel, "netdev" = userspace.
	DatapathType string
	// Daemon says in words who keeps the bridge, for whoever else wants to. Only one Client with a
	// name keeps a bridge at a time: see Run. "" = this Client keeps nothing, and asks nobody.
	Daemon string
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// Client keeps the rows of one bridge. All its methods may be called from any goroutine.
type Client struct {
	*client.Client
	opts Options
}

// New makes a Client; it does nothing until Run.
//
// With Options.Daemon it reads and writes only while it holds the lock of the bridge. If another
// daemon holds it at the start, and some seconds later, Run returns a *HeldError; a Client that
// loses it later waits until it is free again, and meanwhile Snapshot returns that *HeldError.
func New(opts Options) (*Client, error) {
	model, err := vswitch.FullDatabaseModel()
	if err != nil {
		return nil, fmt.Errorf("model of the database: %w", err)
	}
	c := &Client{opts: opts}
	c.Client = client.New(client.Options{
		Endpoint: opts.Endpoint, Model: model, Name: "bridge " + opts.Bridge, Lock: c.lock(),
		Log: opts.Log,
	})
	return c, nil
}

// Snapshot is the bridge's present state in the database. It returns ErrNotConnected from the loss
// of a connection until all rows have been read again, and before the first time; but a *HeldError
// while another daemon keeps the bridge.
func (c *Client) Snapshot() (Snapshot, error) {
	var s Snapshot
	err := c.Read(func(rows client.Rows) error {
		v, err := c.view(rows)
		if err == nil {
			s = newSnapshot(v)
		}
		return err
	})
	return s, err
}

// Ensure makes the database hold what is desired, by one transaction, or none if nothing differs,
// and returns when Snapshot shows it. It does not wait for ovs-vswitchd.
//
// The error is ErrNotConnected, *HeldError, ErrStaleRevision (nothing was changed), what the
// database refused with the names concerned (nothing was changed: a transaction is all or nothing),
// or joins what could not be wanted of the database as it is: *PortError, ErrDatapathType; the rest
// was done then.
func (c *Client) Ensure(ctx context.Context, d Desired) error {
	return c.Update(ctx, func(rows client.Rows) ([]client.Operation, error) {
		v, err := c.view(rows)
		if err != nil {
			return nil, err
		}
		return plan(v, c.opts, d)
	})
}

func (c *Client) view(rows client.Rows) (*view, error) {
	v, err := newView(rows, c.opts.Bridge)
	if err == nil && v.bridge == nil {
		v.kind = c.opts.DatapathType // which it will be made with
	}
	return v, err
}

// lock is the lock of the bridge, if the Client has a name. Who has it is written on the Bridge
// row.
func (c *Client) lock() *client.Lock {
	if c.opts.Daemon == "" {
		return nil
	}
	return &client.Lock{
		Name: lockName(c.opts.Bridge),
		Holder: libovsdb.Operation{Op: libovsdb.OperationSelect, Table: vswitch.BridgeTable,
			Where: []libovsdb.Condition{
				libovsdb.NewCondition("name", libovsdb.ConditionEqual, c.opts.Bridge),
			},
			Columns: []string{"external_ids"}},
		Held: func(rows []libovsdb.Row) error {
			held := &HeldError{Bridge: c.opts.Bridge}
			for _, row := range rows {
				ids, _ := row["external_ids"].(libovsdb.OvsMap)
				if daemon, _ := ids.GoMap[KeyDaemon].(string); daemon != c.opts.Daemon {
					held.Daemon = daemon // ours: the other one has written nothing yet
				}
			}
			return held
		},
	}
}

// lockName is the name of the lock of a bridge: an <id> of RFC 7047, 3.1, which holds only letters,
// digits and underscores, so all else is written as _ and two hexadecimal digits. Different bridges
// have different names.
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
