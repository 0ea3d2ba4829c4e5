package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// Where a Client connects to: one server, or any member of a cluster, or relay. client.go calls
// this.

// endpoints are the servers of one database, in an order of their own for each Client, so that not
// all hosts ask one server.
type endpoints struct {
	list []string
	next int
	tls  *tls.Config
}

// newEndpoints reads a list with commas.
func newEndpoints(text string, secrets *tls.Config) (endpoints, error) {
	e := endpoints{list: strings.Split(text, ","), tls: secrets}
	for _, one := range e.list {
		if err := checkEndpoint(one); err != nil {
			return e, err
		}
		if strings.HasPrefix(one, "ssl:") && secrets == nil {
			return e, fmt.Errorf("OVSDB endpoint %q: a key, a certificate and the authority's "+
				"certificate are needed", one)
		}
	}
	rand.Shuffle(len(e.list), func(i, j int) { e.list[i], e.list[j] = e.list[j], e.list[i] })
	return e, nil
}

// checkEndpoint admits what dial understands.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("OVSDB endpoint %q: %w", endpoint, err)
	}
	kind, rest, _ := strings.Cut(endpoint, ":")
	switch {
	case kind == "unix" && strings.HasPrefix(rest, "/") && u.Path == rest:
		return nil
	case (kind == "tcp" || kind == "ssl") && rest != "" && u.Opaque == rest:
		return nil
	}
	return fmt.Errorf("OVSDB endpoint %q: want unix:/path, tcp:address:port or ssl:address:port",
		endpoint)
}

// advance returns the next one, and whether all have been tried since the first.
func (e *endpoints) advance() (endpoint string, isLast bool) {
	endpoint = e.list[e.next]
	e.next = (e.next + 1) % len(e.list)
	return endpoint, e.next == 0
}

// dial connects to an endpoint that checkEndpoint admits.
func (e *endpoints) dial(ctx context.Context, endpoint string) (*connection, error) {
	network, address, _ := strings.Cut(endpoint, ":")
	if network == "ssl" {
		conn, err := (&tls.Dialer{Config: e.tls}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return newConnection(conn), nil
	}
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			return newConnection(conn), nil
		}
		if !errors.Is(err, syscall.EAGAIN) { // as many wait at the socket as it takes
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(jittered(fullPause)):
		}
	}
}

// fullPause is the pause before another attempt at a socket at which too many wait.
const fullPause = 20 * time.Millisecond

// jittered is a pause that is not the same for all who lost one server at one time: between half of
// it and one and a half.
func jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause)
}

// errCutOff says that a server is not one of the majority of its cluster.
var errCutOff = errors.New("the server has no contact to the majority of its cluster")

// inContact asks a server whether its copy of the database is one that follows the others
// (ovsdb-server(7), 4.1: the database _Server).
func (s *session) inContact(ctx context.Context) error {
	_, err := s.conn.inContact(ctx, s.opts.Model.Name())
	return err
}

// inContact is the same of a database by its name. It returns the ID of the cluster; "" = there is
// none, or the server is a relay, which does not know it.
func (c *connection) inContact(ctx context.Context, database string) (cluster string, err error) {
	var results []struct {
		Rows []struct {
			Connected bool `json:"connected"`
			Cluster   any  `json:"cid"`
		} `json:"rows"`
		Error string `json:"error"`
	}
	err = c.call(ctx, "transact", &results, "_Server", libovsdb.Operation{
		Op: libovsdb.OperationSelect, Table: "Database", Columns: []string{"connected", "cid"},
		Where: []libovsdb.Condition{libovsdb.NewCondition("name", libovsdb.ConditionEqual,
			database)}})
	switch {
	case err != nil:
		return "", err
	case len(results) != 1 || results[0].Error != "" || len(results[0].Rows) != 1:
		return "", fmt.Errorf("the server does not say whether it serves %s", database)
	case !results[0].Rows[0].Connected:
		return "", errCutOff
	}
	if pair, ok := results[0].Rows[0].Cluster.([]any); ok && len(pair) == 2 && pair[0] == "uuid" {
		cluster, _ = pair[1].(string)
	}
	return cluster, nil
}
