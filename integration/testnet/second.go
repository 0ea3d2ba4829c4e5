package testnet

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Second is another bridge of the same Open vSwitch, with instances and a daemon of its own. Its
// uplink is a second wire to the fabric.
type Second struct {
	Bridge string

	w      *World
	daemon *Process
}

// AddBridge starts a daemon for another bridge of the world, and returns when it has programmed
// every port. The instances of its policy become hosts of the world; their names are none that it
// has.
func (w *World) AddBridge(name, policy string) (*Second, error) {
	s := &Second{Bridge: name, w: w}
	w.seconds = append(w.seconds, s)
	instances, err := inside(policy)
	if err != nil {
		return s, err
	}
	if err := plug(w.fabric.Namespace, "f-"+name, w.Switch.Namespace, nil); err != nil {
		return s, err
	}
	if err := w.fabric.join("f-" + name); err != nil {
		return s, err
	}
	for _, i := range instances {
		if _, err := w.Add(w.Switch.Namespace, i); err != nil {
			return s, err
		}
	}
	if err := errors.Join(w.writeFile(name+"-policy.yaml", policy), w.writeFile(name+".yaml",
		s.settings())); err != nil {
		return s, err
	}
	return s, s.start()
}

// settings are the world's, of another bridge.
func (s *Second) settings() string {
	return strings.NewReplacer("bridge: "+Bridge+"\n", "bridge: "+s.Bridge+"\n", "["+Uplink+"]",
		"["+deviceName+"]",
		"policy: policy.yaml", "policy: "+s.Bridge+"-policy.yaml", s.w.Switch.Management(Bridge),
		s.w.Switch.Management(s.Bridge),
		s.w.path("portcullis.sock"), s.w.path(s.Bridge+".sock")).Replace(s.w.settings())
}

func (s *Second) start() error {
	if err := s.StartDaemon(); err != nil {
		return err
	}
	if err := s.w.Switch.Until(func(string) bool { return true }, "ovs-vsctl", "br-exists",
		s.Bridge); err != nil {
		return fmt.Errorf("the second daemon makes no bridge: %w", err)
	}
	if _, err := s.w.Switch.Run("ovs-vsctl", "--may-exist", "add-port", s.Bridge,
		deviceName); err != nil {
		return err
	}
	if err := s.w.Switch.Until(func(out string) bool {
		return strings.TrimSpace(out) != "[]" && !strings.Contains(out, "-1")
	},
		"ovs-vsctl", "get", "Interface", deviceName, "ofport"); err != nil {
		return err
	}
	if _, err := s.Portcullis("status", "--wait"); err != nil {
		return fmt.Errorf("the policy of the second bridge is not in force: %w", err)
	}
	return s.w.Switch.EnlargeBuffers()
}

// StartDaemon starts the daemon of the bridge and returns when its API answers.
func (s *Second) StartDaemon() (err error) {
	s.daemon, err = s.w.Switch.Namespace.Start(s.w.path(s.Bridge+".log"), s.w.Switch.Env(),
		s.w.spec.Daemon, "run", "--config", s.w.path(s.Bridge+".yaml"))
	if err != nil {
		return err
	}
	return s.daemon.Answers(s.w.path(s.Bridge + ".sock"))
}

// StopDaemon ends the daemon of the bridge, if it runs.
func (s *Second) StopDaemon() error {
	d := s.daemon
	s.daemon = nil
	if !d.Running() {
		return nil
	}
	return d.End(syscall.SIGTERM)
}

// Portcullis runs one of the program's commands with the bridge's settings and returns what it
// printed.
func (s *Second) Portcullis(command string, args ...string) (string, error) {
	return s.w.Switch.Run(s.w.spec.Daemon, append([]string{command, "--config", s.w.path(s.Bridge +
		".yaml")}, args...)...)
}
