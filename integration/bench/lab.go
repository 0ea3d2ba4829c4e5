package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/sandbox"
)

const (
	bridge  = "br-int"
	twin    = "br-floor" // gets the same flows by ovs-ofctl alone
	uplink  = "up0"
	newPort = "pnew"
)

// lab is a private Open vSwitch with the ports of a scenario, and the daemon beside it. The ports
// are there before the daemon, as those of a hypervisor are.
type lab struct {
	vs       *sandbox.OVS
	scenario scenario
	folder   string // the policy
	spare    string // beside it, on the same file system: files are written here and renamed
	settings string
	daemon   *measure.Daemon
}

func newLab(s *measure.Shim, sc scenario, program string) (*lab, error) {
	l := &lab{vs: sandbox.Start(s, sandbox.Options{Datapath: sandbox.Dummy}), scenario: sc}
	l.folder, l.spare, l.settings = filepath.Join(l.vs.Dir, "policy"),
		filepath.Join(l.vs.Dir, "spare"), filepath.Join(l.vs.Dir, "portcullis.yaml")
	for _, folder := range []string{l.folder, l.spare} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	if err := sc.write(l.folder); err != nil {
		return nil, err
	}
	var err error
	if l.daemon, err = measure.NewDaemon(s, l.vs, program, l.settings); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(
		"bridge: %s\ndatapath_type: netdev\nhost: %s\nuplinks: [%s]\npolicy: policy\novsdb: %s\nopenflow: %s\napi: unix:%s\nmetrics: \"\"\n",
		bridge, localHost, uplink, l.vs.DB, l.vs.Mgmt(bridge), l.daemon.Socket())
	if err := os.WriteFile(l.settings, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	l.addPorts()
	return l, nil
}

func (l *lab) addPorts() {
	var args []string
	for _, name := range []string{bridge, twin} {
		args = append(args, "--", "add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev",
			"fail_mode=secure",
			"protocols=OpenFlow13,OpenFlow14,OpenFlow15")
	}
	args = append(args, "--", "add-port", bridge, uplink)
	for n := range l.scenario.Ports {
		args = append(args, "--", "add-port", bridge, fmt.Sprintf("p%d", n))
	}
	l.vs.Vsctl(args[1:]...)
}

// replace puts a file of the policy in the place of the one before, by a rename, and returns the
// moment before it.
func (l *lab) replace(name, text string) (time.Time, error) {
	fresh := filepath.Join(l.spare, name)
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		return time.Time{}, fmt.Errorf("write the policy: %w", err)
	}
	began := time.Now()
	return began, os.Rename(fresh, filepath.Join(l.folder, name))
}

// settled waits until the files as they are now are in force.
func (l *lab) settled(ctx context.Context) (*api.Status, error) {
	status, err := l.daemon.Client.Settle(ctx, measure.Patience)
	if err != nil {
		return nil, err
	}
	return status, nil
}

// timed runs a tool of Open vSwitch and returns how long it took.
func (l *lab) timed(ctx context.Context, name string, args ...string) (time.Duration, error) {
	began := time.Now()
	_, err := l.vs.Exec(ctx, name, args...)
	return time.Since(began), err
}

var errNotAsBefore = errors.New("the daemon changed flows where nothing had changed")
