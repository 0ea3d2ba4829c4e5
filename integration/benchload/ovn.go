package main

// OVN on this host alone: its databases, ovn-northd, and ovn-controller beside a switch of its own.
// What it makes of the policy is given to the side's switch. The world calls loadOVN.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/portcullis/portcullis/integration/testnet"
)

// errNoOVN is why OVN's side is left out.
var (
	errNoOVN = errors.New("OVN is not installed")
	// Its flows commit with nat: "assertion conn->conn_type == CT_CONN_TYPE_DEFAULT failed in
	// conn_update_state()", as soon as a port is used again.
	errAborts = errors.New("OVN's flows have the userspace datapath's tracker abort ovs-vswitchd 3.1")
)

// ovnPrograms are of Debian's ovn-common, ovn-central and ovn-host.
func ovnPrograms() []string {
	return []string{"ovn-nbctl", "ovn-sbctl", "ovn-northd", "ovn-controller"}
}

// prepareOVN has OVN make its flows, unless they are there, and says in which file they are.
func prepareOVN(o options, work string) (string, error) {
	if o.datapath == userspace {
		return "", errAborts
	}
	file := o.ovnFlows
	if file == "" {
		file = filepath.Join(work, "ovn.flows")
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	return file, dumpOVN(o, file)
}

// loadOVN gives the side's bridge the flows that OVN makes of the policy for the same ports.
func loadOVN(_ context.Context, s *side, o options) error {
	// Where OVN keeps what it takes through tunnels.
	if _, err := s.sw.Run("ovs-ofctl", "-O", "OpenFlow15", "add-tlv-map", bridge,
		"{class=0x102,type=0x80,len=4}->tun_metadata0"); err != nil {
		return err
	}
	_, err := s.sw.Run("ovs-ofctl", "-O", "OpenFlow15", "--bundle", "add-flows", bridge, o.ovnFlows)
	return err
}

// dumpOVN runs OVN beside a switch with the same ports, by number, and writes what it has the
// switch do. There the ports are of no datapath, and nothing is sent.
func dumpOVN(o options, file string) error {
	for _, name := range ovnPrograms() {
		if _, err := exec.LookPath(name); err != nil {
			return errNoOVN
		}
	}
	dir, err := os.MkdirTemp("", "pcl")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	s := &side{name: "OVN", dir: dir}
	s.ended = append(s.ended, func() error { return os.RemoveAll(dir) })
	err = s.runOVN(o.scenario)
	if err == nil {
		err = s.dump(file)
	}
	if err != nil {
		err = fmt.Errorf("%w%s", err, s.lastWords())
	}
	return errors.Join(err, s.close())
}

// runOVN starts everything and returns when the switch has its flows.
func (s *side) runOVN(sc scenario) error {
	at, err := s.namespace()
	if err != nil {
		return err
	}
	if s.sw, err = testnet.StartSwitch(at, s.dir); err != nil {
		return err
	}
	s.ended = append(s.ended, s.endSwitch)
	args := []string{"add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev",
		"fail_mode=secure"}
	for n := range sc.Ports {
		args = append(args, "--", "add-port", bridge, portName(n), "--", "set", "Interface",
			portName(n), "type=patch", "options:peer=nobody"+portName(n),
			"external_ids:iface-id="+portName(n), fmt.Sprintf("ofport_request=%d", n+1))
	}
	if _, err := s.sw.Run("ovs-vsctl", args...); err != nil {
		return err
	}
	return s.configureOVN(sc)
}

func (s *side) configureOVN(sc scenario) error {
	remote := "unix:" + filepath.Join(s.dir, "ovn.sock")
	if err := s.ovnDatabases(remote); err != nil {
		return err
	}
	if err := s.daemon("ovn-northd", "--ovnnb-db="+remote, "--ovnsb-db="+remote,
		"--unixctl="+filepath.Join(s.dir, "northd.ctl")); err != nil {
		return err
	}
	if _, err := s.sw.Run("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:system-id="+localHost,
		"external_ids:ovn-remote="+remote, "external_ids:ovn-encap-type=geneve",
		"external_ids:ovn-encap-ip=127.0.0.1", "external_ids:ovn-monitor-all=true",
		// Both may be busy for longer than they wait for one another.
		"other_config:bundle-idle-timeout=600",
		"external_ids:ovn-openflow-probe-interval=0",
		"external_ids:ovn-remote-probe-interval=0"); err != nil {
		return err
	}
	for _, args := range batches(sc.northbound()) {
		if _, err := s.sw.Run("ovn-nbctl", append([]string{"--db=" + remote}, args...)...); err != nil {
			return err
		}
	}
	if err := s.daemon("ovn-controller", s.sw.Database()); err != nil {
		return err
	}
	// Until it has come, there is nobody to wait for.
	registered := func(out string) bool { return strings.Contains(out, localHost) }
	if err := s.sw.Until(registered, "ovn-sbctl", "--db="+remote, "--bare", "--columns=name", "find",
		"Chassis"); err != nil {
		return err
	}
	_, err := s.sw.Run("ovn-nbctl", "--db="+remote, "--wait=hv", "sync")
	return err
}

// dump writes the flows of the bridge.
func (s *side) dump(file string) error {
	out, err := s.sw.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "--no-names",
		"dump-flows", bridge)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(flowLines(out)), 0o600)
}

// flowLines leaves out what the tool says of itself, such as that it waited for long.
func flowLines(told string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(told, "\n"), func(line string) bool {
		return !strings.Contains(line, " actions=")
	})
	return strings.Join(lines, "")
}

// batches joins commands as one transaction each, of what a command line holds.
func batches(commands [][]string) [][]string {
	var out [][]string
	size := mostAtOnce
	for _, c := range commands {
		if size >= mostAtOnce {
			out, size = append(out, nil), 0
		}
		last := &out[len(out)-1]
		*last = append(append(*last, "--"), c...)
		for _, word := range c {
			size += len(word) + 1
		}
	}
	return out
}

// ovnDatabases serves both databases at one socket.
func (s *side) ovnDatabases(remote string) error {
	args := []string{"--remote=p" + remote, "--unixctl=" + filepath.Join(s.dir, "ovn.ctl"),
		"-vconsole:info", "-vsyslog:off"}
	for _, name := range []string{"nb", "sb"} {
		file := filepath.Join(s.dir, "ovn-"+name+".db")
		if _, err := s.sw.Run("ovsdb-tool", "create", file,
			"/usr/share/ovn/ovn-"+name+".ovsschema"); err != nil {
			return err
		}
		args = append(args, file)
	}
	p, err := s.sw.Namespace.Start(filepath.Join(s.dir, "ovn-db.log"), s.sw.Env(), "ovsdb-server",
		args...)
	if err != nil {
		return err
	}
	s.ended = append(s.ended, func() error { return p.End(syscall.SIGTERM) })
	return p.Answers(filepath.Join(s.dir, "ovn.sock"))
}

// daemon runs one of OVN's daemons until the side is closed.
func (s *side) daemon(name string, args ...string) error {
	p, err := s.sw.Namespace.Start(filepath.Join(s.dir, name+".log"),
		append(s.sw.Env(), "OVN_RUNDIR="+s.dir), name,
		append(args, "-vconsole:info", "-vsyslog:off")...)
	if err != nil {
		return err
	}
	s.ended = append(s.ended, func() error { return p.End(syscall.SIGKILL) })
	return nil
}
