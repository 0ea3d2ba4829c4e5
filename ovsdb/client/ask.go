package client

import (
	"context"
	"crypto/tls"
	"fmt"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// One connection to one server, for who asks and writes and follows nothing: package statusdb.
// Invariant: what a transaction did is known, or the connection is over.

// Conn is a connection to one server.
type Conn struct {
	conn     *connection
	endpoint string
}

// Dial connects to one server; secrets are what ssl: endpoints need.
func Dial(ctx context.Context, endpoint string, secrets *tls.Config) (*Conn, error) {
	servers, err := newEndpoints(endpoint, secrets)
	if err != nil {
		return nil, err
	}
	conn, err := servers.dial(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("OVSDB at %s: %w", endpoint, err)
	}
	return &Conn{conn: conn, endpoint: endpoint}, nil
}

// Transact sends operations as one transaction of a database and returns what each of them did. A
// *[RefusedError] says that nothing was changed; any other error ends the connection.
func (c *Conn) Transact(ctx context.Context, database string,
	ops []Operation) ([]libovsdb.OperationResult, error) {
	params := []any{database}
	for _, o := range ops {
		params = append(params, o.Op)
	}
	var results []libovsdb.OperationResult
	if err := c.conn.call(ctx, "transact", &results, params...); err != nil {
		c.conn.end(err)
		return nil, fmt.Errorf("OVSDB at %s: %w", c.endpoint, err)
	}
	if err := resultError(results, ops); err != nil {
		return nil, &RefusedError{fmt.Errorf("OVSDB at %s: %w", c.endpoint, err)}
	}
	return results, nil
}

// Probe asks whether the server is still there.
func (c *Conn) Probe(ctx context.Context) error { return c.conn.probe(ctx) }

// Lost is closed when the connection is gone.
func (c *Conn) Lost() <-chan struct{} { return c.conn.lost }

// Close ends the connection.
func (c *Conn) Close() { c.conn.end(errClosed) }
