package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// A Stream reads a database and no more: row by row as they come, nothing kept, and after a
// connection that was lost only what was committed meanwhile. Hosts read the policy by it; who
// writes has a Client. Invariant: what a Batch commits is all of one update of the server.

// StreamOptions say what a Stream follows.
type StreamOptions struct {
	// Endpoint and TLS are as in [Options].
	Endpoint string
	TLS      *tls.Config
	// Database is its name, and Columns has the columns to follow of each table.
	Database string
	Columns  map[string][]string
	// Later are those of them that a server may lack, as its schema is of a time before them: in the
	// way of [Server].Lacks.
	Later []string
	// Misfit says what to do if others are missing; nil = nobody knows.
	Misfit   Misfit
	Receiver Receiver
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// Receiver takes what a Stream reads. One call of it goes on at a time.
type Receiver interface {
	// Last is the ID of the last transaction that was committed to the receiver; "" = none, or it
	// does not have the rows any more.
	Last() string
	// Begin starts an update.
	Begin(Extent) Batch
	// Up says which server is followed from now on, before the first update is committed.
	Up(Server)
	// Down says why none is.
	Down(endpoint string, why error)
}

// Extent says what an update is about.
type Extent int

// The extents of an update.
const (
	Changes Extent = iota // what is not in it stays
	All                   // what is not in it is gone
)

// Batch is one update.
type Batch interface {
	// Row takes a row. After an error the batch is given up, and the connection ends.
	Row(table, uuid string, u RowUpdate) error
	// Commit takes the batch over. tables are what Row was told of, as JSON; nil = it was too long
	// to be held.
	Commit(last string, tables json.RawMessage)
}

// RowUpdate is what becomes of a row (ovsdb-server(7), 4.1.14): one of its fields is there.
type RowUpdate struct {
	Initial json.RawMessage `json:"initial"`
	Insert  json.RawMessage `json:"insert"`
	// the columns that changed: of sets and maps with more than one element what tells the old value
	// from the new one, else the new value
	Modify json.RawMessage `json:"modify"`
	Delete json.RawMessage `json:"delete"` // null
}

// Server is a server that is followed.
type Server struct {
	Endpoint string
	Cluster  string // ID; "" = not known
	// Lacks are columns that its schema, of the version Schema, has not: Group.shared, say, or
	// Project for all of a table. Nothing is told of them.
	Lacks  []string
	Schema string // "" = it lacks nothing
}

// Stream follows a database. Run holds the connection.
type Stream struct {
	opts   StreamOptions
	timing streamTiming

	mu          sync.Mutex
	conn        *connection // nil = there is none
	lastFailure string      // the last failure in the log
}

// NewStream makes a Stream; it does nothing until Run.
func NewStream(opts StreamOptions) *Stream {
	opts.Log = OrSilent(opts.Log)
	return &Stream{opts: opts, timing: timesFor(opts.Endpoint)}
}

// Run connects, reads, follows, and connects again to the next endpoint whenever the connection is
// lost, until ctx ends; then it returns nil. The error is an endpoint that cannot be understood.
func (s *Stream) Run(ctx context.Context) error {
	servers, err := newEndpoints(s.opts.Endpoint, s.opts.TLS)
	if err != nil {
		return err
	}
	p := s.timing.leniency()
	for {
		endpoint, isLast := servers.advance()
		isUp, err := s.session(ctx, &servers, endpoint, &p)
		if ctx.Err() != nil {
			return nil
		}
		s.down(endpoint, err)
		if isUp {
			p.pause, p.silence = s.timing.minPause, s.timing.silence
		}
		p.bear(s.timing, err)
		pause := s.timing.minPause // another server may be there
		if isLast {
			pause, p.pause = p.pause, min(2*p.pause, s.timing.maxPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jittered(pause)): // not all at one time
		}
	}
}

// Next leaves the server that is followed for the next endpoint.
func (s *Stream) Next(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.end(why)
	}
}

// down tells that a connection is lost, in the log if that is news.
func (s *Stream) down(endpoint string, why error) {
	s.opts.Receiver.Down(endpoint, why)
	if s.lastFailure != why.Error() {
		s.lastFailure = why.Error()
		s.opts.Log.WithField("endpoint", endpoint).WithError(why).
			Warn("the database is not followed")
	}
}

// session follows one server until it is lost. It says whether all rows were there.
func (s *Stream) session(ctx context.Context, servers *endpoints, endpoint string,
	p *leniency) (isUp bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, p.greet)
	defer cancel()
	conn, err := servers.dial(dialing, endpoint)
	if err != nil {
		return false, fmt.Errorf("%s: %w", endpoint, err)
	}
	s.setConn(conn)
	defer func() {
		s.setConn(nil)
		conn.end(errClosed)
		<-conn.done // nothing of it is committed from here on
	}()
	if err := s.start(ctx, conn, endpoint, *p); err != nil {
		return false, fmt.Errorf("%s: %w", endpoint, err)
	}
	s.lastFailure = ""
	s.opts.Log.WithField("endpoint", endpoint).Info("the database is followed")
	return true, fmt.Errorf("%s: %w", endpoint, s.follow(ctx, conn, p))
}

func (s *Stream) setConn(conn *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
}

// Why a server is left that was silent: before it had sent all rows, or had said anything.
var (
	errSlow  = errors.New("the server does not answer")
	errStuck = errors.New("the server takes connections, and does not answer")
)

// start asks for the rows, or for what changed since the last transaction that is known, and
// returns when they are committed.
func (s *Stream) start(ctx context.Context, conn *connection, endpoint string, p leniency) error {
	greeted, cancel := context.WithTimeout(ctx, p.greet)
	defer cancel()
	cluster, err := conn.inContact(greeted, s.opts.Database)
	if err != nil {
		return slowness(ctx, errStuck, err)
	}
	a := asking{Server{Endpoint: endpoint, Cluster: cluster}, p}
	err = s.monitor(ctx, conn, a)
	if _, isRefused := errors.AsType[*refusal](err); isRefused {
		err = s.startOlder(ctx, conn, a, err)
	}
	return slowness(ctx, errSlow, err)
}

// asking is what a server is asked for its rows with.
type asking struct {
	server Server
	leniency
}

// monitor asks for the rows of the columns that the server has, and returns when they are
// committed.
func (s *Stream) monitor(ctx context.Context, conn *connection, a asking) error {
	requests := map[string]any{}
	for table, columns := range Without(s.opts.Columns, a.server.Lacks) {
		requests[table] = []any{map[string]any{"columns": columns}}
	}
	last := s.opts.Receiver.Last()
	if last == "" {
		last = noTransaction
	}
	s.setReceivers(conn, func(in *json.Decoder) error { return s.first(in, a.server) })
	conn.bear(a.silence)
	answered := func(json.RawMessage) error { return nil } // it was streamed
	err := conn.request(ctx, "monitor_cond_since", answered, s.opts.Database, "rows", requests, last)
	conn.bear(0)
	s.setReceivers(conn, nil) // a refusal has no rows
	return err
}

// setReceivers has a function take the next result, and the stream all updates.
func (s *Stream) setReceivers(conn *connection, result func(*json.Decoder) error) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.update, conn.stream = s.update, result
}

// slowness makes an error that a server was silent for too long one that says so.
func slowness(ctx context.Context, slow, err error) error {
	if err != nil && ctx.Err() == nil && isTimeout(err) {
		return fmt.Errorf("%w: %w", slow, err)
	}
	return err
}

// noTransaction is the ID of none.
const noTransaction = "00000000-0000-0000-0000-000000000000"

func isTimeout(err error) bool {
	slow, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && slow.Timeout()
}

// first reads the answer, [found, last, tables], row by row.
func (s *Stream) first(in *json.Decoder, server Server) error {
	token, err := in.Token()
	if err != nil || token == nil { // null: the error says why
		return err
	}
	if token != json.Delim('[') {
		return fmt.Errorf("the server answers %v", token)
	}
	var found bool
	var last string
	if err := errors.Join(in.Decode(&found), in.Decode(&last)); err != nil {
		return fmt.Errorf("the answer of the server: %w", err)
	}
	extent := All
	if found {
		extent = Changes
	}
	batch := s.opts.Receiver.Begin(extent)
	if err := tables(in, batch); err != nil {
		return err
	}
	if err := delimiter(in, ']'); err != nil {
		return err
	}
	s.opts.Receiver.Up(server)
	batch.Commit(last, nil)
	return nil
}

// tables reads {TABLE: {UUID: {...}}}.
func tables(in *json.Decoder, batch Batch) error {
	return members(in, func(table string) error {
		return members(in, func(uuid string) error {
			var row RowUpdate
			if err := in.Decode(&row); err != nil {
				return fmt.Errorf("row %s of %s: %w", uuid, table, err)
			}
			if err := batch.Row(table, uuid, row); err != nil {
				return fmt.Errorf("row %s of %s: %w", uuid, table, err)
			}
			return nil
		})
	})
}

// members reads an object, each of its values by value.
func members(in *json.Decoder, value func(name string) error) error {
	if err := delimiter(in, '{'); err != nil {
		return err
	}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // of an object
		if err := value(name); err != nil {
			return err
		}
	}
	return delimiter(in, '}')
}

// update takes the parameters of update3: [monitor, last, tables].
func (s *Stream) update(params json.RawMessage) error {
	var parts [3]json.RawMessage
	var last string
	if err := json.Unmarshal(params, &parts); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := json.Unmarshal(parts[1], &last); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	batch := s.opts.Receiver.Begin(Changes)
	if err := Replay(parts[2], batch); err != nil {
		return err
	}
	batch.Commit(last, parts[2])
	return nil
}

// follow returns when the connection is gone, or the server does not answer any more, or has lost
// its cluster.
func (s *Stream) follow(ctx context.Context, conn *connection, p *leniency) error {
	probe := time.NewTicker(s.timing.probe)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-conn.lost:
			return conn.reason()
		case <-probe.C:
			asking, cancel := context.WithTimeout(ctx, max(s.timing.answer, p.greet))
			_, err := conn.inContact(asking, s.opts.Database)
			cancel()
			if err != nil {
				return err
			}
			p.greet = s.timing.greet
		}
	}
}

// Replay tells a batch of the rows of an update that was committed before.
func Replay(updates json.RawMessage, batch Batch) error {
	return tables(json.NewDecoder(bytes.NewReader(updates)), batch)
}
