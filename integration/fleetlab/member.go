package fleetlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The members of the policy database, and the relay. Both are ovsdb-server; members are made and
// run by the program's own commands.

const (
	clientPort  = 6641
	clusterPort = 6643
	// patience bounds everything that is waited for.
	patience = time.Minute
	poll     = 10 * time.Millisecond
)

// Server is a node that serves the policy database.
type Server struct {
	*Node
	start  func() (*testnet.Process, error)
	server *testnet.Process
}

// Endpoint is where hosts reach the server.
func (s *Server) Endpoint() string { return fmt.Sprintf("tcp:%s:%d", s.Address, clientPort) }

// Socket is the same database, for whoever is on this machine but in no namespace: it is reached
// while the node is cut off, too.
func (s *Server) Socket() string { return "unix:" + s.path("db.sock") }

// Start starts the server and returns when it accepts connections; what it has to say then is
// another matter.
func (s *Server) Start() (err error) {
	if s.server, err = s.start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(testnet.Slowed(patience)); ; time.Sleep(poll) {
		c, err := net.Dial("unix", s.path("db.sock"))
		if err == nil {
			return c.Close()
		}
		if !s.server.Running() || time.Now().After(deadline) {
			return fmt.Errorf("%s does not serve: %w\n%s", s.Name, err, s.Log())
		}
	}
}

// Kill ends the server as a crash does.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Stop ends it as a service manager does.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) error {
	if s.server == nil {
		return nil
	}
	err := s.server.EndTree(signal)
	s.server = nil
	return err
}

// Hang stops the server where it is, until the returned function is called.
func (s *Server) Hang() (goOn func() error, err error) { return s.server.HangTree() }

// Running says whether the server was started, and not ended.
func (s *Server) Running() bool { return s.server != nil }

// PID is the process that was started.
func (s *Server) PID() int { return s.server.PID() }

// Log is the end of what the server has logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.path("server.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// Appctl asks the server by ovs-appctl(8).
func (s *Server) Appctl(args ...string) (string, error) {
	return s.run("ovs-appctl", append([]string{"--timeout=10", "-t", s.path("ovsdb-server.ctl")},
		args...)...)
}

// run runs a program in the node's network.
func (n *Node) run(name string, args ...string) (out string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Slowed(patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = n.env(), n.Dir
	var said, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &errs
	if err := n.Namespace.Do(cmd.Start); err != nil {
		return "", fmt.Errorf("%s: start %s: %w", n.Name, name, err)
	}
	if err := cmd.Wait(); err != nil {
		return said.String(), fmt.Errorf("%s: %s %s: %w: %s", n.Name, filepath.Base(name),
			strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return said.String(), nil
}

// IsLeader says whether the member leads the cluster now.
func (s *Server) IsLeader() bool {
	out, err := s.Appctl("cluster/status", "Portcullis")
	return err == nil && strings.Contains(out, "\nRole: leader")
}

// newMember makes a member; the first begins the cluster, the others join it.
func (l *Lab) newMember(name string) error {
	n, err := l.newNode(name)
	if err != nil {
		return err
	}
	m := &Server{Node: n}
	m.start = func() (*testnet.Process, error) {
		return n.Namespace.Start(n.path("server.log"), n.env(), l.options.Program, "db", "run", "--dir",
			n.Dir)
	}
	l.Members = append(l.Members, m)
	if err := l.initialise(m); err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	return l.AwaitServing(m)
}

// initialise makes the files of a member.
func (l *Lab) initialise(m *Server) error {
	if m == l.Members[0] {
		_, err := m.run(l.options.Program, append([]string{"db", "init", "--dir", m.Dir, "--cluster",
			m.cluster()}, m.listens()...)...)
		return err
	}
	for name, text := range map[string]string{"status.ovsschema": string(policydb.StatusSchema),
		"listen": strings.Join(m.ways(), "\n") + "\n"} {
		if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write %s of %s: %w", name, m.Name, err)
		}
	}
	_, err := m.run("ovsdb-tool", "join-cluster", m.path("portcullis.db"), "Portcullis", "tcp:"+
		m.cluster(), "tcp:"+l.Members[0].cluster())
	if err != nil {
		return err
	}
	_, err = m.run("ovsdb-tool", "create", m.path("portcullis-status.db"),
		m.path("status.ovsschema"))
	return err
}

// cluster is where other members reach this one.
func (s *Server) cluster() string { return fmt.Sprintf("%s:%d", s.Address, clusterPort) }

// ways are the ways in.
func (s *Server) ways() []string {
	return []string{"punix:" + s.path("db.sock"), fmt.Sprintf("ptcp:%d:%s", clientPort, s.Address)}
}

func (s *Server) listens() (flags []string) {
	for _, way := range s.ways() {
		flags = append(flags, "--listen", way)
	}
	return flags
}

// newRelay makes a relay of all members, and starts it.
func (l *Lab) newRelay(name string) error {
	n, err := l.newNode(name)
	if err != nil {
		return err
	}
	r := &Server{Node: n}
	r.start = func() (*testnet.Process, error) {
		args := []string{"--unixctl=" + n.path("ovsdb-server.ctl"), "-vconsole:warn"}
		for _, way := range r.ways() {
			args = append(args, "--remote="+way)
		}
		for _, database := range []string{"Portcullis", "Portcullis_Status"} {
			args = append(args, "relay:"+database+":"+l.Endpoint())
		}
		return n.Namespace.Start(n.path("server.log"), n.env(), "ovsdb-server", args...)
	}
	l.Relay = r
	if err := r.Start(); err != nil {
		return err
	}
	return l.AwaitServing(r)
}

// Endpoint is all members, as hosts are told them.
func (l *Lab) Endpoint() string {
	return join(l.Members, (*Server).Endpoint)
}

// Sockets are all members, for a client in this process.
func (l *Lab) Sockets() string { return join(l.Members, (*Server).Socket) }

func join(servers []*Server, endpoint func(*Server) string) string {
	var out []string
	for _, s := range servers {
		out = append(out, endpoint(s))
	}
	return strings.Join(out, ",")
}

// AwaitServing waits until the database of a server can be read.
func (l *Lab) AwaitServing(s *Server) error {
	return await(s.Name+" serves the database", func() error {
		_, err := s.run("ovsdb-client", "--timeout=5", "dump", s.Socket(), "Portcullis", "Global")
		return err
	})
}

// Leader is the member that leads the cluster, when one does.
func (l *Lab) Leader() (leader *Server, err error) {
	err = await("a member leads", func() error {
		for _, m := range l.Members {
			if m.Running() && m.IsLeader() {
				leader = m
				return nil
			}
		}
		return errors.New("none does")
	})
	return leader, err
}

// errNever is of what need not be waited for.
var errNever = errors.New("it will never be so")

// await tries until something succeeds.
func await(what string, try func() error) error {
	for deadline := time.Now().Add(testnet.Slowed(patience)); ; time.Sleep(poll) {
		err := try()
		if err == nil {
			return nil
		}
		if errors.Is(err, errNever) || time.Now().After(deadline) {
			return fmt.Errorf("not after %s: %s: %w", testnet.Slowed(patience), what, err)
		}
	}
}
