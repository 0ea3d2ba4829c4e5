package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ovn-org/libovsdb/model"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/ovn-org/libovsdb/updates"
)

// session is one connection with a complete copy of the rows, which follows the server's updates. A
// lost connection ends the session and its rows.
type session struct {
	conn     *connection
	opts     Options
	endpoint string // of those in opts
	timing   timing
	notify   func()         // called at every change
	sent     *atomic.Uint64 // transactions

	model model.DatabaseModel

	mu   sync.Mutex
	rows Rows
}

// Rows are the rows of a database in one of its states, by table and UUID.
type Rows map[string]map[string]model.Model

// Table returns the rows of a table, whose type is T, with their UUIDs.
func Table[T model.Model](rows Rows, table string) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for uuid := range rows[table] {
			if row, ok := Row[T](rows, table, uuid); ok && !yield(uuid, row) {
				return
			}
		}
	}
}

// Row returns one of them.
func Row[T model.Model](rows Rows, table, uuid string) (T, bool) {
	row, ok := rows[table][uuid].(T)
	return row, ok
}

// start asks for all rows, and returns when they are there.
func (s *session) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.connect)
	defer cancel()
	if err := s.greet(ctx); err != nil {
		return fmt.Errorf("OVSDB at %s: %w", s.endpoint, err)
	}
	requests := map[string]libovsdb.MonitorRequest{}
	s.rows = Rows{}
	for table := range s.model.Types() {
		columns, err := s.columns(table)
		if err != nil {
			return err
		}
		requests[table] = libovsdb.MonitorRequest{Columns: columns}
		s.rows[table] = map[string]model.Model{}
	}
	s.conn.mu.Lock()
	s.conn.update = s.update
	s.conn.mu.Unlock()
	err := s.conn.request(ctx, "monitor_cond", s.apply, s.opts.Model.Name(), "rows", requests)
	if err != nil {
		return fmt.Errorf("OVSDB at %s: monitor: %w", s.endpoint, err)
	}
	return nil
}

// greet finds out whether the server answers at all, and has what is wanted.
func (s *session) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.greet)
	defer cancel()
	if err := s.contact(ctx); err != nil {
		return err
	}
	return s.fitModel(ctx)
}

// fitModel asks for the schema, which must have all that the model has.
func (s *session) fitModel(ctx context.Context) error {
	var schema libovsdb.DatabaseSchema
	if err := s.conn.call(ctx, "get_schema", &schema, s.opts.Model.Name()); err != nil {
		return err
	}
	fitted, errs := model.NewDatabaseModel(schema, s.opts.Model)
	s.model = fitted
	if len(errs) > 0 {
		return s.opts.Misfit.words(schema.Version, errors.Join(errs...))
	}
	return nil
}

// columns are those that the model has of a table.
func (s *session) columns(table string) ([]string, error) {
	row, err := s.model.NewModel(table)
	if err != nil {
		return nil, err
	}
	info, err := s.model.NewModelInfo(row)
	if err != nil {
		return nil, err
	}
	columns := slices.Sorted(maps.Keys(info.Metadata.Fields))
	return slices.DeleteFunc(columns, func(name string) bool { return name == "_uuid" }), nil
}

// update takes the parameters of a notification: one transaction, or some that were made together.
func (s *session) update(params json.RawMessage) error {
	var monitorAndRows [2]json.RawMessage
	if err := json.Unmarshal(params, &monitorAndRows); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := s.apply(monitorAndRows[1]); err != nil {
		return err
	}
	s.notify()
	return nil
}

// apply changes the rows by an update, all of it or, with an error, nothing.
func (s *session) apply(update json.RawMessage) error {
	var tables libovsdb.TableUpdates2
	if err := json.Unmarshal(update, &tables); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all updates.ModelUpdates
	for table, rows := range tables {
		for uuid, row := range rows {
			current := s.rows[table][uuid]
			if current == nil && row.Initial == nil && row.Insert == nil {
				return fmt.Errorf("update of %s %s, which is not there", table, uuid)
			}
			if err := all.AddRowUpdate2(s.model, table, uuid, current, *row); err != nil {
				return fmt.Errorf("update of %s %s: %w", table, uuid, err)
			}
		}
	}
	for _, table := range all.GetUpdatedTables() {
		rows := s.rows[table]
		_ = all.ForEachModelUpdate(table, func(uuid string, _, row model.Model) error {
			if row == nil {
				delete(rows, uuid)
			} else {
				rows[uuid] = row
			}
			if s.opts.Touched != nil {
				s.opts.Touched(table, uuid)
			}
			return nil
		})
	}
	return nil
}

// read shows the rows between two updates.
func (s *session) read(show func(Rows) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return show(s.rows)
}

// follow returns when the connection is gone, or the server does not answer any more.
func (s *session) follow(ctx context.Context) error {
	probe := time.NewTicker(s.timing.probe)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.conn.lost:
			return s.conn.reason()
		case <-probe.C:
			if err := s.probe(ctx); err != nil {
				return fmt.Errorf("%w: no answer: %w", ErrNotConnected, err)
			}
		}
	}
}

// probe finds a server that is gone, or stuck, without having closed the connection.
func (s *session) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.answer)
	defer cancel()
	if err := s.contact(ctx); err != nil {
		return err
	}
	return s.conn.probe(ctx)
}

// contact finds a server that is cut off from its cluster, where there may be one.
func (s *session) contact(ctx context.Context) error {
	if !s.opts.IsCluster {
		return nil
	}
	return s.inContact(ctx)
}
