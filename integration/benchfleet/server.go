package benchfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Policy databases on stock ovsdb-server, with the options that `portcullis db run` gives it: one
// member, three, and relays. The scenes call this. Invariant: a server answers when start returns.

// server is one ovsdb-server.
type server struct {
	dir      string
	endpoint string // as clients call it
	args     []string
	process  *exec.Cmd
}

// look is the pause between two looks at something that does not tell by itself.
const look = 5 * time.Millisecond

// newServer starts a cluster of one member with an empty policy database.
func newServer(ctx context.Context, s *measure.Shim) (*server, error) {
	members, err := newCluster(ctx, s, 1, defaultTimer)
	if err != nil {
		return nil, err
	}
	return members[0], nil
}

// The time after which a silent member is no leader any more: ovsdb-server's own, and one for large
// policies, which a member works on for seconds.
const (
	defaultTimer = time.Second
	largeTimer   = 5 * time.Second
)

// newCluster starts members that replace each other.
func newCluster(ctx context.Context, s *measure.Shim, members int,
	timer time.Duration) ([]*server, error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	var out []*server
	for n := range members {
		m := &server{dir: filepath.Join(dir, fmt.Sprint(n))}
		if err := m.make(out, timer); err != nil {
			return nil, err
		}
		s.Cleanup(m.stop)
		if err := m.start(ctx); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// make makes the files of a member: the first one's, or one's that joins the others.
func (m *server) make(others []*server, timer time.Duration) error {
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	for name, schema := range map[string][]byte{policydb.Name: policydb.Schema,
		policydb.StatusName: policydb.StatusSchema} {
		if err := os.WriteFile(m.path(name+".ovsschema"), schema, 0o600); err != nil {
			return fmt.Errorf("write a schema: %w", err)
		}
	}
	policy, status := m.path(policydb.Name+".db"), m.path(policydb.StatusName+".db")
	create := []string{fmt.Sprintf("--election-timer=%d", timer.Milliseconds()), "create-cluster",
		policy, m.path(policydb.Name + ".ovsschema"), m.raft()}
	if len(others) > 0 {
		create = []string{"join-cluster", policy, policydb.Name, m.raft(), others[0].raft()}
	}
	for _, args := range [][]string{create,
		{"create", status, m.path(policydb.StatusName + ".ovsschema")}} {
		if out, err := exec.Command("ovsdb-tool", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ovsdb-tool %s: %w: %s", args[0], err, out)
		}
	}
	m.endpoint = "unix:" + m.path("db.sock")
	m.args = []string{policy, status, "--remote=p" + m.endpoint}
	return nil
}

// newRelay starts a relay of a server.
func newRelay(ctx context.Context, s *measure.Shim, of *server) (*server, error) {
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &server{dir: dir}
	r.endpoint = "unix:" + r.path("db.sock")
	r.args = []string{fmt.Sprintf("relay:%s:%s", policydb.Name, of.endpoint),
		"--remote=p" + r.endpoint}
	s.Cleanup(r.stop)
	return r, r.start(ctx)
}

func (m *server) path(name string) string { return filepath.Join(m.dir, name) }

// raft is where other members reach this one.
func (m *server) raft() string { return "unix:" + m.path("raft") }

func (m *server) pid() int { return m.process.Process.Pid }

// start starts the server, and returns when it is in contact with its cluster, or its source.
func (m *server) start(ctx context.Context) error {
	m.process = exec.Command("ovsdb-server", append([]string{"--unixctl=" + m.path("ctl"),
		"-vconsole:off", "-vfile:off"}, m.args...)...)
	m.process.Env = append(os.Environ(), "OVS_RUNDIR="+m.dir, "OVS_DBDIR="+m.dir)
	m.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.process.Start(); err != nil {
		return fmt.Errorf("start ovsdb-server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, measure.Patience)
	defer cancel()
	for {
		connected, err := m.says(ctx, "connected")
		if err == nil && connected {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ovsdb-server does not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(look):
		}
	}
}

// says is what the server says of itself in a column of _Server.Database that is true or false.
func (m *server) says(ctx context.Context, column string) (bool, error) {
	found, err := m.database(ctx, column)
	return found == true, err
}

// database asks for any column of it; nil = the database is not there yet.
func (m *server) database(ctx context.Context, column string) (any, error) {
	w, err := dial(ctx, m.endpoint, nil)
	if err != nil {
		return nil, err
	}
	defer w.close()
	found, err := w.transact(ctx, "_Server", object{"op": "select", "table": "Database",
		"where": []any{[]any{"name", "==", policydb.Name}}, "columns": []string{column}})
	if err != nil || len(found[0].Rows) == 0 {
		return nil, err
	}
	return found[0].Rows[0][column], nil
}

// index is the number of the last entry of the cluster's log: it grows by one with each
// transaction.
func (m *server) index(ctx context.Context) (int, error) {
	found, err := m.database(ctx, "index")
	if err != nil {
		return 0, err
	}
	n, ok := found.(float64)
	if !ok {
		return 0, fmt.Errorf("%v is no index", found)
	}
	return int(n), nil
}

// stop ends the server; its files stay.
func (m *server) stop() {
	if m.process == nil {
		return
	}
	_ = m.process.Process.Signal(syscall.SIGTERM)
	_ = m.process.Wait()
	m.process = nil
}

// leader puts the leader of a cluster first.
func leader(ctx context.Context, members []*server) ([]*server, error) {
	for n, m := range members {
		is, err := m.says(ctx, "leader")
		if err != nil {
			return nil, err
		}
		if is {
			out := append([]*server{m}, members[:n]...)
			return append(out, members[n+1:]...), nil
		}
	}
	return nil, errors.New("the cluster has no leader")
}
