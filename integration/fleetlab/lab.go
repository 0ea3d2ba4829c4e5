package fleetlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/testnet"
)

// Options say what a lab is made of.
type Options struct {
	// Program is the program portcullis.
	Program string
	// Members are how many servers the policy database has: 1, 3 or 5.
	Members int
	// Hosts are how many hosts follow it: hv1, hv2 …
	Hosts int
	// HasRelay has a relay beside the members. The last host follows it, and the members after it.
	HasRelay bool
	// HasTLS has all of them reach each other by TLS: hosts may only read then, and say how they are.
	HasTLS bool
	// HasSmallDisk has the last member's database on a disk that can be full ([Server.FillDisk]).
	HasSmallDisk bool
	// HasFakeClock has the first member's clock jump when [Server.SetClock] says so.
	HasFakeClock bool
	// Policy is the file of the first generation: its instances are placed at the hosts that it
	// names. Without one the database is empty, and no daemon is started.
	Policy string
	// Schema is the file of a former schema, which the database has when the daemons start; "" = it
	// has the program's.
	Schema string
	// Outside are the hosts beyond the uplinks.
	Outside []testnet.HostSpec
	// Gateways are the setting of this name.
	Gateways []netip.Addr
	// Settings are further lines of every host's settings, where {HOST} is its name and {ADDRESS} its
	// address on the management network.
	Settings string
}

// Lab is a running fleet. Its methods may be called from one goroutine at a time; streams and
// captures go on beside it.
type Lab struct {
	*testnet.Crowd
	Dir      string
	Members  []*Server
	Relay    *Server // nil = there is none
	Machines []*Machine
	Operator *Node // where commands are given

	options Options
	network *network
	fabric  *testnet.Fabric
	nodes   []*Node
	places  map[string]*Machine // of instances, by name
	ready   map[string]bool     // instances that can be expected to hear others
}

// New builds a lab and returns when the policy is in force on every host. Close ends it; also
// after an error, and then the returned lab still tells what went wrong (see Report), unless it is
// nil.
func New(o Options) (*Lab, error) {
	dir, err := os.MkdirTemp("", "pcf")
	if err != nil {
		return nil, fmt.Errorf("make the lab's folder: %w", err)
	}
	l := &Lab{Dir: dir, options: o, places: map[string]*Machine{},
		ready: map[string]bool{}}
	l.Crowd = testnet.NewCrowd(l.switches, func(name string) bool { return !l.isOutside(name) },
		func(name string) bool { return l.isOutside(name) || l.ready[name] })
	for _, step := range []func() error{l.makeNetworks, l.makeDatabase, l.makeMachines, l.start} {
		if err := step(); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *Lab) switches() (all []*testnet.Switch) {
	for _, m := range l.Machines {
		all = append(all, m.Switch)
	}
	return all
}

func (l *Lab) isOutside(name string) bool {
	return slices.ContainsFunc(l.options.Outside,
		func(o testnet.HostSpec) bool { return o.Name == name })
}

func (l *Lab) makeNetworks() (err error) {
	if l.network, err = newNetwork(); err != nil {
		return err
	}
	if l.Operator, err = l.newNode("operator"); err != nil {
		return err
	}
	if l.fabric, err = testnet.NewFabric(); err != nil {
		return err
	}
	for _, o := range l.options.Outside {
		if err := l.AddOutside(l.fabric, o); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) makeDatabase() error {
	for n := range l.options.Members {
		if err := l.newMember(fmt.Sprintf("m%d", n+1)); err != nil {
			return err
		}
	}
	if l.options.HasRelay {
		if err := l.newRelay("relay"); err != nil {
			return err
		}
	}
	folder, err := l.certificate("operator", "--for", "writer")
	if folder != "" {
		l.Operator.environment = []string{"PORTCULLIS_DB_TLS=" + folder}
	}
	return err
}

func (l *Lab) makeMachines() error {
	for n := range l.options.Hosts {
		if err := l.newMachine(fmt.Sprintf("hv%d", n+1)); err != nil {
			return err
		}
	}
	if l.Relay != nil && len(l.Machines) > 0 {
		last := l.Machines[len(l.Machines)-1]
		last.Endpoint = l.Relay.Endpoint() + "," + last.Endpoint
	}
	return nil
}

// start brings the first generation into force.
func (l *Lab) start() error {
	if l.options.Policy == "" {
		return nil
	}
	if err := l.PlaceAll(l.options.Policy); err != nil {
		return err
	}
	generation, err := l.Apply(l.options.Policy)
	if err != nil {
		return err
	}
	if l.options.Schema != "" {
		if err := l.Convert(l.options.Schema); err != nil {
			return err
		}
	}
	for _, m := range l.Machines {
		if err := m.StartDaemon(); err != nil {
			return err
		}
	}
	for _, m := range l.Machines {
		if err := m.plugUplink(); err != nil {
			return err
		}
	}
	if err := l.AwaitGeneration(generation); err != nil {
		return err
	}
	for name := range l.places {
		l.ready[name] = true
	}
	return nil
}

// Machine returns a host of the fleet by its name. It panics if there is none: a mistake of the
// caller, not of what is tested.
func (l *Lab) Machine(name string) *Machine {
	for _, m := range l.Machines {
		if m.Name == name {
			return m
		}
	}
	panic("fleet: no host " + name)
}

// Place makes an instance at a host: its namespace, its interface and the port's end of its wire.
// The policy says the rest, and [Lab.AwaitPlaced] waits until it is in force there.
func (l *Lab) Place(instance testnet.HostSpec, host string) error {
	m := l.Machine(host)
	if _, err := l.Add(m.Namespace, instance); err != nil {
		return err
	}
	l.places[instance.Name] = m
	return nil
}

// PlaceAll makes the instances of a policy file at the hosts that it names.
func (l *Lab) PlaceAll(policy string) error {
	for _, m := range l.Machines {
		instances, err := testnet.InstancesOf(policy, m.Name)
		if err != nil {
			return err
		}
		for _, i := range instances {
			if err := l.Place(i, m.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Where is the host that an instance is at.
func (l *Lab) Where(instance string) *Machine { return l.places[instance] }

// AwaitPlaced waits until the policy is in force at the port of an instance, where it is.
func (l *Lab) AwaitPlaced(instance string) error {
	m, port := l.places[instance], l.Host(instance).Port
	err := m.AwaitStatus(port+" is in force", func(s *api.Status) bool {
		return slices.ContainsFunc(s.Ports, func(p api.PortStatus) bool {
			return p.Name == port && p.State == agent.PortApplied
		})
	})
	if err != nil {
		return err
	}
	l.ready[instance] = true
	return m.Switch.EnlargeBuffers()
}

// Displace takes an instance away.
func (l *Lab) Displace(instance string) error {
	m := l.places[instance]
	delete(l.places, instance)
	delete(l.ready, instance)
	return l.Remove(instance, m.Namespace)
}

// Portcullis runs one of the program's commands where the operator is, and returns what it printed.
func (l *Lab) Portcullis(args ...string) (string, error) {
	return l.Operator.Run(l.options.Program, args...)
}

// Apply puts a policy into the database, and returns its generation.
func (l *Lab) Apply(text string, flags ...string) (generation int, err error) {
	file := l.Operator.path("policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return 0, fmt.Errorf("write the policy: %w", err)
	}
	_, err = l.Portcullis(append([]string{"apply", "-f", file, "--db", l.Writers()}, flags...)...)
	if err != nil {
		return 0, err
	}
	return l.Generation()
}

// Generation is that of the database.
func (l *Lab) Generation() (int, error) {
	out, err := l.Portcullis("db", "status", "--db", l.Writers(), "-o", "json")
	var s struct {
		Generation int `json:"generation"`
	}
	// an error with an answer is about a server that does not belong to the majority
	if json.Unmarshal([]byte(out), &s) != nil || s.Generation == 0 {
		return 0, fmt.Errorf("the database has no generation: %w: %s", err, out)
	}
	return s.Generation, nil
}

// AwaitGeneration waits until a generation, or a later one, is in force on every host whose daemon
// runs.
func (l *Lab) AwaitGeneration(generation int) error {
	for _, m := range l.Machines {
		if m.daemon == nil {
			continue
		}
		if err := m.AwaitGeneration(generation); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything. It may be called more than once.
func (l *Lab) Close() (err error) {
	for _, name := range l.Names() {
		at := l.fabric.Namespace
		if m := l.places[name]; m != nil {
			at = m.Namespace
		}
		err = errors.Join(err, l.Remove(name, at))
	}
	for _, m := range l.Machines {
		err = errors.Join(err, m.endDaemon(syscall.SIGKILL))
		if m.Switch != nil {
			m.Switch.Close()
		}
	}
	for _, s := range append(slices.Clone(l.Members), l.Relay) {
		if s != nil {
			err = errors.Join(err, s.Kill())
		}
	}
	for _, n := range l.nodes {
		n.Namespace.Close()
	}
	if l.fabric != nil {
		l.fabric.Close()
	}
	if l.network != nil {
		l.network.namespace.Close()
	}
	l.Machines, l.Members, l.Relay, l.nodes, l.fabric, l.network = nil, nil, nil, nil, nil, nil
	return errors.Join(err, os.RemoveAll(l.Dir))
}

// Report tells what helps to understand a failure: what every part has said last.
func (l *Lab) Report() string {
	var b strings.Builder
	for _, n := range l.nodes {
		logs, _ := filepath.Glob(n.path("*.log")) // the pattern is valid
		for _, log := range logs {
			text, err := os.ReadFile(log)
			fmt.Fprintf(&b, "--- %s of %s\n%s\n", filepath.Base(log), n.Name,
				text[max(0, len(text)-reported):])
			if err != nil {
				fmt.Fprintln(&b, err)
			}
		}
	}
	for _, m := range l.Machines {
		if m.Switch != nil {
			fmt.Fprintf(&b, "--- flows of %s\n%s\n", m.Name, m.Switch.Flows(testnet.Bridge))
		}
	}
	return b.String()
}

// reported is how many bytes of a log a report has.
const reported = 50_000

// Admits sends only the first packet of a connection, and says whether it arrives at its receiver.
// It is an error if another instance has it, or somebody beyond the uplinks whom it need not pass.
func (l *Lab) Admits(from, to string, s testnet.Service, f testnet.Family) (bool, error) {
	got, err := l.Receivers(from, l.Opening(from, to, s, f).Frame())
	if err != nil {
		return false, err
	}
	goal := to
	if l.isOutside(to) {
		goal = testnet.Beyond
	}
	leaves := l.places[from] != l.places[to]
	others := slices.DeleteFunc(slices.Clone(got), func(name string) bool {
		return name == goal || leaves && name == testnet.Beyond
	})
	if len(others) > 0 {
		return false, fmt.Errorf("%s to %s, %s over %s: seen by %v", from, to, s, f, others)
	}
	return slices.Contains(got, goal), nil
}
