package testnet

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// World is a running network. Its methods may be called from one goroutine at a time; streams and
// captures go on beside it.
type World struct {
	*Crowd
	Dir    string // settings, policy, logs and sockets
	Switch *Switch

	spec      Spec
	instances []HostSpec // of the present policy, on this machine
	fabric    *Fabric
	daemon    *Process
	snoopers  []*Snooper
	seconds   []*Second
	proxy     *proxy // nil = no daemon was started to be killed
}

// New builds a world and returns when its daemon has programmed every port that is there. Close
// ends it; also after an error, and then the returned world still tells what went wrong (see
// Report), unless it is nil.
func New(spec Spec) (*World, error) {
	dir, err := os.MkdirTemp("", "pcw")
	if err != nil {
		return nil, fmt.Errorf("make the world's folder: %w", err)
	}
	w := &World{Dir: dir, spec: spec}
	w.Crowd = NewCrowd(func() []*Switch { return []*Switch{w.Switch} }, w.isInside, w.isKnown)
	if w.instances, err = inside(spec.Policy); err != nil {
		return w, err
	}
	for _, step := range []func() error{w.makeNetwork, w.makeHosts, w.start} {
		if err := step(); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *World) makeNetwork() error {
	fabric, err := NewFabric()
	if err != nil {
		return err
	}
	w.fabric = fabric
	n, err := NewNamespace()
	if err != nil {
		return err
	}
	if w.Switch, err = StartSwitch(n, w.Dir); err != nil {
		return err
	}
	if w.isAbsent(Uplink) {
		return nil
	}
	return w.plugUplink()
}

// plugUplink lays the wire between the switch and the fabric.
func (w *World) plugUplink() error {
	return w.fabric.Wire(w.Switch.Namespace, Uplink, deviceName)
}

func (w *World) makeHosts() error {
	for _, o := range w.spec.Outside {
		if err := w.AddOutside(w.fabric, o); err != nil {
			return err
		}
	}
	for _, i := range w.instances {
		if w.isAbsent(i.Name) {
			continue
		}
		if _, err := w.Add(w.Switch.Namespace, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) isAbsent(name string) bool { return slices.Contains(w.spec.Absent, name) }

// start brings the bridge to life: by the daemon, or as a plain switch.
func (w *World) start() error {
	if w.spec.Daemon == "" {
		return w.startPlain()
	}
	if err := w.writeFile("policy.yaml", w.spec.Policy); err != nil {
		return err
	}
	if err := w.writeFile("portcullis.yaml", w.settings()); err != nil {
		return err
	}
	if err := w.StartDaemon(); err != nil {
		return err
	}
	if err := w.Switch.Until(func(string) bool { return true }, "ovs-vsctl", "br-exists",
		Bridge); err != nil {
		return fmt.Errorf("the daemon makes no bridge: %w", err)
	}
	if w.isAbsent(Uplink) {
		return w.AwaitProgrammed()
	}
	if err := w.addPort(Uplink); err != nil {
		return err
	}
	return w.awaitUplink()
}

// awaitUplink waits until the daemon has programmed the uplink, with all else.
func (w *World) awaitUplink() error {
	if _, err := w.AwaitStatus(func(s Status) bool { return s.Port(Uplink).OFPort != 0 }); err != nil {
		return err
	}
	return w.AwaitProgrammed()
}

func (w *World) startPlain() error {
	if _, err := w.Switch.Run("ovs-vsctl", "add-br", Bridge, "--", "set", "bridge", Bridge,
		fmt.Sprintf("datapath_type=%q", ChosenDatapath()), "fail_mode=secure"); err != nil {
		return err
	}
	ports := []string{Uplink}
	for _, h := range w.hosts {
		if w.isInside(h.Name) {
			ports = append(ports, h.Port)
		}
	}
	for _, p := range ports {
		if err := w.addPort(p); err != nil {
			return err
		}
	}
	if _, err := w.Switch.Run("ovs-ofctl", "add-flow", Bridge, "actions=NORMAL"); err != nil {
		return err
	}
	return w.Switch.EnlargeBuffers()
}

func (w *World) addPort(name string) error {
	_, err := w.Switch.Run("ovs-vsctl", "--may-exist", "add-port", Bridge, name)
	return err
}

// Plug brings what was absent, and waits until it is programmed: an instance of the policy, by its
// name, or Uplink.
func (w *World) Plug(name string) error {
	if name == Uplink {
		if err := w.plugUplink(); err != nil {
			return err
		}
		if err := w.addPort(Uplink); err != nil {
			return err
		}
		w.spec.Absent = slices.DeleteFunc(slices.Clone(w.spec.Absent),
			func(n string) bool { return n == Uplink })
		return w.awaitUplink()
	}
	for _, i := range w.instances {
		if i.Name != name {
			continue
		}
		if _, err := w.Add(w.Switch.Namespace, i); err != nil {
			return err
		}
		if _, err := w.AwaitStatus(
			func(s Status) bool { return s.Port(i.Port).State == "applied" }); err != nil {
			return err
		}
		// Open vSwitch reads the flags of a device that it finds and writes them back with one
		// more: a device that was set up in between is down again.
		if err := w.Switch.Namespace.setUp(i.Port); err != nil {
			return err
		}
		return w.Switch.EnlargeBuffers()
	}
	return fmt.Errorf("the policy has no instance %s on this machine", name)
}

// PlugStranger adds a host to the bridge that no policy knows.
func (w *World) PlugStranger(h HostSpec) error {
	if _, err := w.Add(w.Switch.Namespace, h); err != nil {
		return err
	}
	return w.addPort(h.Port)
}

// Unplug takes a host away: both ends of its wire, and its namespace.
func (w *World) Unplug(name string) error {
	if !w.isInside(name) {
		return w.Remove(name, w.fabric.Namespace)
	}
	return w.Remove(name, w.Switch.Namespace)
}

// isInside says whether a host is an instance.
func (w *World) isInside(name string) bool {
	return !slices.ContainsFunc(w.spec.Outside, func(o HostSpec) bool { return o.Name == name })
}

// isKnown says whether a host can be expected to hear the switch: it is beyond an uplink that is
// there, or an instance of the present policy.
func (w *World) isKnown(name string) bool {
	return !w.isInside(name) && !w.isAbsent(Uplink) ||
		slices.ContainsFunc(w.instances, func(h HostSpec) bool { return h.Name == name })
}

// Close ends everything. It may be called more than once.
func (w *World) Close() error {
	err := w.StopDaemon()
	for _, s := range w.seconds {
		err = errors.Join(err, s.StopDaemon())
	}
	for _, name := range w.Names() {
		err = errors.Join(err, w.Unplug(name))
	}
	if w.Switch != nil {
		w.Switch.Close()
		w.Switch.Namespace.Close()
		w.Switch = nil
	}
	w.proxy.close()
	for _, s := range w.snoopers {
		s.ns.Close()
	}
	w.snoopers = nil
	if w.fabric != nil {
		w.fabric.Close()
		w.fabric = nil
	}
	return errors.Join(err, os.RemoveAll(w.Dir))
}

// Report tells all that helps to understand a failure: status, flows, datapath flows, connections
// and the logs' ends.
func (w *World) Report() string {
	if w == nil || w.Switch == nil {
		return "no switch"
	}
	var b strings.Builder
	section := func(title, text string) {
		fmt.Fprintf(&b, "--- %s\n%s\n", title, strings.TrimSpace(text))
	}
	if w.spec.Daemon != "" {
		status, err := w.Portcullis("status")
		section("status", fmt.Sprint(status, err))
		section("daemon", end(w.path("portcullis.log"), reported))
		for _, s := range w.seconds {
			section("daemon of "+s.Bridge, end(w.path(s.Bridge+".log"), reported))
			section("flows of "+s.Bridge, w.Switch.Flows(s.Bridge))
		}
	}
	control := w.path("ovs-vswitchd.ctl")
	for _, command := range [][]string{
		{"ovs-vsctl", "show"},
		{"ovs-appctl", "-t", control, "dpctl/dump-flows", "-m"},
		{"ovs-appctl", "-t", control, "dpctl/dump-conntrack"},
		// datapath_drop_*: what Open vSwitch lost by itself
		{"ovs-appctl", "-t", control, "coverage/show"},
	} {
		section(strings.Join(command, " "), w.output(command...))
	}
	// A "d" of more than 0 in skmem is what Open vSwitch did not fetch in time.
	_ = w.Switch.Namespace.Do(func() error {
		section("ss -0 -m -e", w.output("ss", "-0", "-m", "-e"))
		return nil
	})
	section("flows", w.Switch.Flows(Bridge))
	section("ovs-vswitchd", end(w.path("ovs-vswitchd.log"), reported))
	return b.String()
}

// reported is how many bytes of a log a report has: the last minutes of a busy world.
const reported = 200_000

// output runs a tool and returns what it says, and what went wrong.
func (w *World) output(command ...string) string {
	out, err := w.Switch.Run(command[0], command[1:]...)
	if err != nil {
		return out + err.Error()
	}
	return out
}
