package testnet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Switch is a private Open vSwitch on the chosen datapath, in a namespace of its own.
type Switch struct {
	Dir       string // run, database, log and configuration directory
	Release   string // of Open vSwitch, as "3.1.0"
	Namespace *Namespace

	db, vswitchd *Process
}

// StartSwitch starts ovsdb-server and ovs-vswitchd with a fresh database in dir. The path of dir
// must be short: sockets lie in it.
func StartSwitch(n *Namespace, dir string) (*Switch, error) {
	s := &Switch{Dir: dir, Namespace: n}
	if _, err := s.Run("ovsdb-tool", "create", s.path("conf.db"), schema()); err != nil {
		return nil, err
	}
	if err := s.startDatabase(); err != nil {
		return nil, err
	}
	version, err := s.Run("ovs-vswitchd", "--version")
	if err != nil {
		return s, err
	}
	words := strings.Fields(strings.SplitN(version, "\n", 2)[0])
	s.Release = words[len(words)-1]
	if _, err := s.Run("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
		"ovs-version="+s.Release,
		fmt.Sprintf("other_config:hw-offload=%t", IsOffloaded())); err != nil {
		return s, err
	}
	return s, s.StartVswitchd()
}

func (s *Switch) startDatabase() (err error) {
	s.db, err = s.Namespace.Start(s.path("ovsdb-server.log"), s.Env(), "ovsdb-server",
		s.path("conf.db"), "--remote=p"+s.Database(),
		"--unixctl="+s.path("ovsdb-server.ctl"), "--pidfile="+s.path("ovsdb-server.pid"),
		"-vconsole:info", "-vsyslog:off")
	if err != nil {
		return err
	}
	return s.db.Answers(s.path("db.sock"))
}

// StartVswitchd starts ovs-vswitchd and returns when it follows the database.
func (s *Switch) StartVswitchd() (err error) {
	args := []string{s.Database(), "--pidfile=" + s.path("ovs-vswitchd.pid"), "--unixctl=" +
		s.path("ovs-vswitchd.ctl"), "-vconsole:info", "-vsyslog:off"}
	if ChosenDatapath() == Userspace {
		args = append(args, "--disable-system")
	}
	s.vswitchd, err = s.Namespace.Start(s.path("ovs-vswitchd.log"), s.Env(), "ovs-vswitchd",
		args...)
	if err != nil {
		return err
	}
	if err := s.vswitchd.Answers(s.path("ovs-vswitchd.ctl")); err != nil {
		return err
	}
	_, err = s.Run("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:world=1")
	return err
}

// StopVswitchd ends ovs-vswitchd with a signal; on the userspace datapath every flow and connection
// goes with it.
func (s *Switch) StopVswitchd(signal syscall.Signal) error {
	err := s.vswitchd.End(signal)
	s.vswitchd = nil
	return err
}

// RestartVswitchd kills ovs-vswitchd, does something while there is none, and starts it again.
func (s *Switch) RestartVswitchd(meanwhile func() error) error {
	if err := s.StopVswitchd(syscall.SIGKILL); err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	return s.StartVswitchd()
}

// Close ends both daemons.
func (s *Switch) Close() {
	_ = s.vswitchd.End(syscall.SIGTERM)
	_ = s.db.End(syscall.SIGTERM)
}

// Database is the OVSDB endpoint.
func (s *Switch) Database() string { return "unix:" + s.path("db.sock") }

// Management is the OpenFlow management target of a bridge.
func (s *Switch) Management(bridge string) string { return "unix:" + s.path(bridge+".mgmt") }

// Appctl runs ovs-appctl on this switch's ovs-vswitchd and returns its output.
func (s *Switch) Appctl(args ...string) (string, error) {
	return s.Run("ovs-appctl", append([]string{"-t", s.path("ovs-vswitchd.ctl")}, args...)...)
}

// Run runs one of Open vSwitch's tools (or any other) against this switch and returns its output.
func (s *Switch) Run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Slowed(patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = s.Env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err,
			strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Flows returns every flow of a bridge with its counters, for people.
func (s *Switch) Flows(bridge string) string {
	out, err := s.Run("ovs-ofctl", "-O", "OpenFlow15", "--names", "dump-flows", bridge)
	if err != nil {
		return err.Error()
	}
	return out
}

// Until runs a tool again and again until ok accepts its output.
func (s *Switch) Until(ok func(string) bool, name string, args ...string) error {
	for deadline := time.Now().Add(Slowed(patience)); ; time.Sleep(poll) {
		out, err := s.Run(name, args...)
		if err == nil && ok(out) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s %s: not as expected after %s: %v: %s", name,
				strings.Join(args, " "), Slowed(patience), err, out)
		}
	}
}

func (s *Switch) path(name string) string { return filepath.Join(s.Dir, name) }

// Env makes Open vSwitch's programs use this switch and no other.
func (s *Switch) Env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+s.Dir, "OVS_DBDIR="+s.Dir, "OVS_LOGDIR="+s.Dir,
		"OVS_SYSCONFDIR="+s.Dir)
}

func schema() string {
	dir := os.Getenv("OVS_PKGDATADIR")
	if dir == "" {
		dir = "/usr/share/openvswitch"
	}
	return filepath.Join(dir, "vswitch.ovsschema")
}
