package fleetlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/integration/testnet"
)

// What serves the policy database: members and the relay. Both are ovsdb-server, run by the
// program's own commands.

const (
	clientPort  = 6641
	writerPort  = 6642 // of writers, with TLS
	clusterPort = 6643
	// patience bounds everything that is waited for.
	patience = time.Minute
	poll     = 10 * time.Millisecond
)

// Server is a node that serves the policy database.
type Server struct {
	*Node
	lab    *Lab
	server *testnet.Process
}

// Endpoint is where hosts reach the server.
func (s *Server) Endpoint() string { return s.endpoint(clientPort) }

func (s *Server) endpoint(port int) string {
	return fmt.Sprintf("%s:%s:%d", s.lab.protocol(), s.Address, port)
}

// Writers is where writers reach it.
func (s *Server) Writers() string {
	if s.lab.options.HasTLS {
		return s.endpoint(writerPort)
	}
	return s.Endpoint()
}

// Socket is the same database, for whoever is on this machine but in no namespace: it is reached
// while the node is cut off, too.
func (s *Server) Socket() string { return "unix:" + s.path("db.sock") }

// Start starts the server and returns when it accepts connections; what it has to say then is
// another matter.
func (s *Server) Start() (err error) {
	s.server, err = s.Namespace.Start(s.path("server.log"), s.env(), s.lab.options.Program, "db",
		"run", "--dir", s.Dir)
	if err != nil {
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
	return s.Run("ovs-appctl", append([]string{"--timeout=10", "-t", s.path("ovsdb-server.ctl")},
		args...)...)
}

// Run runs a program in the node's network, and returns what it printed.
func (n *Node) Run(name string, args ...string) (out string, err error) {
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

// Compact has the server write its file anew, and returns when it has.
func (s *Server) Compact() error {
	before, err := s.firstEntry()
	if err != nil {
		return err
	}
	if _, err := s.Appctl("ovsdb-server/compact", "Portcullis"); err != nil {
		return err
	}
	return await(s.Name+" is compacted", func() error {
		now, err := s.firstEntry()
		if err == nil && now == before {
			err = fmt.Errorf("its log still begins with entry %s", now)
		}
		return err
	})
}

// firstEntry is the first entry of the cluster's log that the server has: "7" of "Log: [7, 12]".
func (s *Server) firstEntry() (string, error) {
	out, err := s.Appctl("cluster/status", "Portcullis")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(out, "Log: [")
	first, _, found := strings.Cut(rest, ",")
	if !found {
		return "", fmt.Errorf("%s does not tell of its log: %s", s.Name, out)
	}
	return first, nil
}

// IsLeader says whether the member leads the cluster now.
func (s *Server) IsLeader() bool {
	out, err := s.Appctl("cluster/status", "Portcullis")
	return err == nil && strings.Contains(out, "\nRole: leader")
}

// Endpoint is all members, as hosts are told them.
func (l *Lab) Endpoint() string {
	return join(l.Members, (*Server).Endpoint)
}

// Writers are all members, as writers are told them.
func (l *Lab) Writers() string { return join(l.Members, (*Server).Writers) }

// Sockets are all members, for a client in this process.
func (l *Lab) Sockets() string { return join(l.Members, (*Server).Socket) }

func join(servers []*Server, endpoint func(*Server) string) string {
	var out []string
	for _, s := range servers {
		out = append(out, endpoint(s))
	}
	return strings.Join(out, ",")
}

// AwaitServing waits until a server has the database, and is one of the majority.
func (l *Lab) AwaitServing(s *Server) error {
	return await(s.Name+" serves the database", func() error {
		out, err := s.Run("ovsdb-client", "--timeout=5", "transact", s.Socket(), `["_Server",{"op":`+
			`"select","table":"Database","where":[["name","==","Portcullis"]],"columns":["connected"]}]`)
		if err == nil && !strings.Contains(out, `"connected":true`) {
			err = fmt.Errorf("it says %s", strings.TrimSpace(out))
		}
		if err != nil {
			return err
		}
		return s.Namespace.Do(func() error { // hosts are let in a moment later
			c, err := net.Dial("tcp", netip.AddrPortFrom(s.Address, clientPort).String())
			if err == nil {
				err = c.Close()
			}
			return err
		})
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
