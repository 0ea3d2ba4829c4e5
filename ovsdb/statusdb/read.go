package statusdb

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// What all hosts say, of every server of a policy database. fleet.go and the command status call
// this. Invariant: a server that does not answer holds up nobody for longer than its time.

// patience is how long a server may take to answer.
const patience = 3 * time.Second

// Source is the servers that are asked.
type Source struct {
	Endpoint string // of the policy database, all of its servers with commas
	TLS      *tls.Config
}

// Silence is a server that did not answer, and why.
type Silence struct {
	Endpoint string `json:"endpoint"`
	Why      string `json:"why"`
}

// Read asks every server for what hosts said, with how their ports stand. Of each host the newest
// is taken, with the ports that the same server has.
func (s Source) Read(ctx context.Context) ([]Host, []Silence) {
	return newest(s.dial(ctx).ask(ctx, hostTable, portTable))
}

// links are connections to the servers, each made anew when it is lost. One goroutine for each
// server uses it at a time.
type links struct {
	tls   *tls.Config
	conns []*link
}

type link struct {
	endpoint string
	conn     *client.Conn
}

func (s Source) dial(context.Context) *links {
	l := &links{tls: s.TLS}
	for _, endpoint := range strings.Split(s.Endpoint, ",") {
		l.conns = append(l.conns, &link{endpoint: endpoint})
	}
	return l
}

func (l *links) close() {
	for _, one := range l.conns {
		if one.conn != nil {
			one.conn.Close()
		}
	}
}

// said is what one server knows.
type said struct {
	endpoint string
	rows     [][]libovsdb.Row // by table
	err      error
}

// ask asks all servers at one time for the rows of tables.
func (l *links) ask(ctx context.Context, tables ...string) []said {
	out := make([]said, len(l.conns))
	var all sync.WaitGroup
	for n, one := range l.conns {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			out[n].endpoint = one.endpoint
			out[n].rows, out[n].err = one.ask(ctx, l.tls, tables)
		})
	}
	all.Wait()
	return out
}

func (l *link) ask(ctx context.Context, secrets *tls.Config, tables []string) ([][]libovsdb.Row,
	error) {
	if l.conn == nil {
		conn, err := client.Dial(ctx, l.endpoint, secrets)
		if err != nil {
			return nil, err
		}
		l.conn = conn
	}
	var ops client.Operations
	for _, table := range tables {
		ops = append(ops, client.Operation{About: "read " + table, Op: libovsdb.Operation{
			Op: libovsdb.OperationSelect, Table: table, Where: []libovsdb.Condition{}}})
	}
	results, err := l.conn.Transact(ctx, Name, ops)
	if err != nil {
		l.conn.Close()
		l.conn = nil
		return nil, err
	}
	if len(results) < len(tables) {
		return nil, fmt.Errorf("the server answered %d of %d operations", len(results), len(tables))
	}
	out := make([][]libovsdb.Row, len(tables))
	for n := range tables {
		out[n] = results[n].Rows
	}
	return out, nil
}

// newest takes of each host what it said last, in the order of names.
func newest(all []said) ([]Host, []Silence) {
	byName := map[string]Host{}
	var silent []Silence
	for _, server := range all {
		if server.err != nil {
			silent = append(silent, Silence{server.endpoint, server.err.Error()})
			continue
		}
		for _, row := range server.rows[0] {
			h := readHost(row)
			h.endpoint = server.endpoint
			if known, isThere := byName[h.Name]; !isThere || h.SeenAt.After(known.SeenAt) {
				byName[h.Name] = h
			}
		}
	}
	for _, server := range all {
		if server.err == nil && len(server.rows) > 1 {
			addPorts(byName, server)
		}
	}
	out := make([]Host, 0, len(byName))
	for _, h := range byName {
		slices.SortFunc(h.Ports, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	return out, silent
}

// addPorts adds the ports of the hosts that one server has the newest row of.
func addPorts(byName map[string]Host, server said) {
	for _, row := range server.rows[1] {
		host, p := readPort(row)
		if h, isThere := byName[host]; isThere && h.endpoint == server.endpoint {
			h.Ports = append(h.Ports, p)
			byName[host] = h
		}
	}
}

// Forget takes away the rows of a host, at every server: one that is no more.
func (s Source) Forget(ctx context.Context, host string) []Silence {
	var silent []Silence
	links := s.dial(ctx)
	defer links.close()
	for _, one := range links.conns {
		if err := one.forget(ctx, s.TLS, host); err != nil {
			silent = append(silent, Silence{one.endpoint, err.Error()})
		}
	}
	return silent
}

func (l *link) forget(ctx context.Context, secrets *tls.Config, host string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := client.Dial(ctx, l.endpoint, secrets)
	if err != nil {
		return err
	}
	defer conn.Close()
	drop := func(table, column string) client.Operation {
		return client.Operation{About: "forget host " + host, Op: libovsdb.Operation{
			Op: libovsdb.OperationDelete, Table: table, Where: equal(column, host)}}
	}
	_, err = conn.Transact(ctx, Name, client.Operations{drop(hostTable, "name"),
		drop(portTable, "host")})
	return err
}
