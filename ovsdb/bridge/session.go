package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/client"
	"github.com/ovn-org/libovsdb/model"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// closeTimeout bounds the wait for libovsdb's goroutines.
const closeTimeout = time.Second

// session is one connection with a complete copy of the rows. libovsdb could reconnect by
// itself, but it then panics when its back-off ends, blocks transactions, and keeps serving
// the old rows meanwhile: here a lost connection ends the session and its rows.
type session struct {
	wire         *wire // by which it writes
	client       client.Client
	timing       timing
	datapathType string // of a bridge that is not there
	cache        *cache.TableCache
	lost         chan struct{} // closed when the connection is gone
	closed       chan struct{} // closed by close
	transactions atomic.Uint64 // sent
}

// connect opens a connection beside the wire and reads all rows; notify is called at every later change. The wire is the session's from
// then on, also after an error.
func connect(ctx context.Context, w *wire, opts Options, times timing, notify func()) (*session, error) {
	s, err := newSession(w, opts, times)
	if err != nil {
		w.end(err)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, times.connect)
	defer cancel()
	if err := s.start(ctx, notify); err != nil {
		s.close()
		return nil, fmt.Errorf("OVSDB at %s: %w", opts.Endpoint, err)
	}
	return s, nil
}

// newSession makes a session that is not connected yet.
func newSession(w *wire, opts Options, times timing) (*session, error) {
	model, err := vswitch.FullDatabaseModel()
	if err != nil {
		return nil, fmt.Errorf("model of the database: %w", err)
	}
	log := funcr.New(debugSink(opts.Log), funcr.Options{})
	cl, err := client.NewOVSDBClient(model, client.WithEndpoint(opts.Endpoint), client.WithLogger(&log))
	if err != nil {
		return nil, fmt.Errorf("OVSDB client: %w", err)
	}
	s := &session{wire: w, client: cl, timing: times, datapathType: opts.DatapathType, lost: make(chan struct{}), closed: make(chan struct{})}
	go s.listen()
	return s, nil
}

// listen turns libovsdb's notification, which is lost unless somebody waits for it, into a
// state.
func (s *session) listen() {
	select {
	case <-s.client.DisconnectNotify():
		close(s.lost)
	case <-s.closed:
	}
}

// start connects and returns when the cache holds all rows. Only the method monitor_cond has
// libovsdb report, and mend by ending the connection, an update that does not fit its cache.
func (s *session) start(ctx context.Context, notify func()) error {
	if err := s.client.Connect(ctx); err != nil {
		return err
	}
	s.cache = s.client.Cache()
	if s.cache == nil {
		return ErrNotConnected
	}
	s.cache.AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { notify() },
		UpdateFunc: func(string, model.Model, model.Model) { notify() },
		DeleteFunc: func(string, model.Model) { notify() },
	})
	monitor := s.client.NewMonitor(monitored()...)
	monitor.Method = libovsdb.ConditionalMonitorRPC
	if _, err := s.client.Monitor(ctx, monitor); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}

// monitored are all columns of the model, which holds no others than are needed. The condition
// "of our bridge" cannot be put to the server: it follows references.
func monitored() []client.MonitorOption {
	root, bridge, port := &vswitch.OpenvSwitch{}, &vswitch.Bridge{}, &vswitch.Port{}
	iface, table := &vswitch.Interface{}, &vswitch.FlowTable{}
	return []client.MonitorOption{
		client.WithTable(root, &root.Bridges, &root.OVSVersion, &root.ExternalIDs, &root.OtherConfig),
		client.WithTable(bridge, &bridge.Name, &bridge.Ports, &bridge.FailMode, &bridge.DatapathType,
			&bridge.Protocols, &bridge.ExternalIDs, &bridge.FlowTables),
		client.WithTable(port, &port.Name, &port.Interfaces, &port.ExternalIDs),
		client.WithTable(iface, &iface.Name, &iface.Type, &iface.MAC, &iface.ExternalIDs, &iface.Ofport, &iface.Error,
			&iface.OfportRequest, &iface.Ifindex, &iface.MACInUse),
		client.WithTable(table, &table.Prefixes),
	}
}

// follow returns when the connection is gone, or the server does not answer any more.
func (s *session) follow(ctx context.Context) error {
	probe := time.NewTicker(s.timing.probe)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.lost:
			return fmt.Errorf("%w: connection lost", ErrNotConnected)
		case <-s.wire.lost:
			return s.wire.reason()
		case <-probe.C:
			if err := s.probe(ctx); err != nil {
				return fmt.Errorf("%w: no answer: %w", ErrNotConnected, err)
			}
		}
	}
}

// probe finds a server that is gone, or stuck, without having closed the connection. It is a question about one row and not libovsdb's
// Echo, which looks at the reply even after its deadline, when a late one may just be written there.
func (s *session) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.answer)
	defer cancel()
	if err := s.wire.probe(ctx); err != nil {
		return err
	}
	_, err := s.client.Transact(ctx, libovsdb.Operation{Op: libovsdb.OperationSelect, Table: vswitch.OpenvSwitchTable,
		Where: []libovsdb.Condition{}, Columns: []string{"ovs_version"}})
	return err
}

// errClosed ends what nobody uses any more.
var errClosed = errors.New("closed")

// close ends the connection, if there was one, and libovsdb's goroutines with it.
func (s *session) close() {
	s.client.Close()
	s.wire.end(errClosed)
	if s.cache != nil {
		select {
		case <-s.lost:
		case <-time.After(closeTimeout):
		}
	}
	close(s.closed)
}

// view reads one consistent state of the bridge from the cache.
func (s *session) view(bridge string) (*view, error) {
	r, err := typed(s.collectStable())
	if err != nil {
		return nil, err
	}
	v, err := newView(r, bridge)
	if err == nil && v.bridge == nil {
		v.kind = s.datapathType // which it will be made with
	}
	return v, err
}

// collection is the content of the cache's tables by name.
type collection map[string]map[string]model.Model

// collect reads the tables one after the other: not one state if an update comes in between.
func (s *session) collect() collection {
	out := collection{}
	for _, table := range []string{vswitch.OpenvSwitchTable, vswitch.BridgeTable, vswitch.PortTable,
		vswitch.InterfaceTable, vswitch.FlowTableTable} {
		out[table] = s.cache.Table(table).RowsShallow()
	}
	return out
}

// collectStable reads one state of the database. The cache offers no lock over its tables, but
// it holds one while it applies an update, and TableCache.Table waits for that. A row is
// replaced at a change, never altered. So two reads in a row that find the very same rows prove
// that these were the cache's content when the second read began, and no update was half
// applied at that moment.
func (s *session) collectStable() collection {
	for before := s.collect(); ; {
		after := s.collect()
		if maps.EqualFunc(before, after, maps.Equal[map[string]model.Model]) {
			return after
		}
		before = after
	}
}

// typed gives the rows their types.
func typed(c collection) (rows, error) {
	var r rows
	var errs [5]error
	r.roots, errs[0] = typedTable[*vswitch.OpenvSwitch](c[vswitch.OpenvSwitchTable])
	r.bridges, errs[1] = typedTable[*vswitch.Bridge](c[vswitch.BridgeTable])
	r.ports, errs[2] = typedTable[*vswitch.Port](c[vswitch.PortTable])
	r.interfaces, errs[3] = typedTable[*vswitch.Interface](c[vswitch.InterfaceTable])
	r.flowTables, errs[4] = typedTable[*vswitch.FlowTable](c[vswitch.FlowTableTable])
	for _, err := range errs {
		if err != nil {
			return rows{}, err
		}
	}
	return r, nil
}

func typedTable[T any](from map[string]model.Model) (map[string]T, error) {
	out := make(map[string]T, len(from))
	for uuid, row := range from {
		typed, ok := row.(T)
		if !ok {
			return nil, fmt.Errorf("row %s is a %T", uuid, row)
		}
		out[uuid] = typed
	}
	return out, nil
}

// debugSink passes libovsdb's own messages on at level debug.
func debugSink(log *logrus.Entry) func(prefix, args string) {
	return func(_, args string) { log.WithField("library", "libovsdb").Debug(args) }
}
