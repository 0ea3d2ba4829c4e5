package main

// OVN on this host alone: its databases, ovn-northd, and ovn-controller beside the side's switch.
// The world calls loadOVN.

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

// errNoOVN is why OVN's side is left out.
var (
	errNoOVN = errors.New("OVN is not installed")
	// Its flows commit with nat: "assertion conn->conn_type == CT_CONN_TYPE_DEFAULT failed in
	// conn_update_state()", as soon as a port is used again.
	errAborts = errors.New("OVN's flows have the userspace datapath's tracker abort ovs-vswitchd 3.1")
)

// ovnPrograms are of Debian's ovn-common, ovn-central and ovn-host.
func ovnPrograms() []string { return []string{"ovn-nbctl", "ovn-northd", "ovn-controller"} }

func loadOVN(_ context.Context, s *side, o options) error {
	for _, name := range ovnPrograms() {
		if _, err := exec.LookPath(name); err != nil {
			return errNoOVN
		}
	}
	if o.datapath == userspace {
		return errAborts
	}
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
		"external_ids:ovn-encap-ip=127.0.0.1", "external_ids:ovn-monitor-all=true"); err != nil {
		return err
	}
	if err := s.daemon("ovn-controller", s.sw.Database()); err != nil {
		return err
	}
	for _, args := range batches(o.scenario.northbound()) {
		if _, err := s.sw.Run("ovn-nbctl", append([]string{"--db=" + remote}, args...)...); err != nil {
			return fmt.Errorf("%.300w", err)
		}
	}
	_, err := s.sw.Run("ovn-nbctl", "--db="+remote, "--wait=hv", "sync")
	return err
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
