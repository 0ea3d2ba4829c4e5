package fleetlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/testnet"
)

// A host of the fleet: its own Open vSwitch, and the daemon that follows the policy database.

// Machine is a hypervisor.
type Machine struct {
	*Node
	Switch *testnet.Switch
	// Endpoint is the policy database, as the settings name it.
	Endpoint string
	// Secrets is the folder of its certificate; "" = it needs none.
	Secrets string

	lab     *Lab
	program string
	daemon  *testnet.Process
}

// newMachine makes a host with a switch and no daemon yet.
func (l *Lab) newMachine(name string) error {
	n, err := l.newNode(name)
	if err != nil {
		return err
	}
	m := &Machine{Node: n, lab: l, program: l.options.Program, Endpoint: l.Endpoint()}
	l.Machines = append(l.Machines, m)
	if m.Secrets, err = l.certificate(name); err != nil {
		return err
	}
	if err := l.fabric.Wire(n.Namespace, testnet.Uplink, "f-"+name); err != nil {
		return err
	}
	m.Switch, err = testnet.StartSwitch(n.Namespace, n.Dir)
	return err
}

// settings is the daemon's settings file.
func (m *Machine) settings() string {
	tls := ""
	if m.Secrets != "" {
		tls = fmt.Sprintf("policy_tls: {ca: %[1]s/ca.pem, certificate: %[1]s/certificate.pem, "+
			"key: %[1]s/key.pem}\n", m.Secrets)
	}
	return fmt.Sprintf("bridge: %s\ndatapath_type: %q\nhost: %s\nuplinks: [%s]\ngateways: %s\n"+
		"policy: ovsdb:%s\novsdb: %s\nopenflow: %s\napi: unix:%s\nmetrics: \"\"\n"+
		"log: {level: debug, format: text}\n%s%s", testnet.Bridge, testnet.ChosenDatapath(), m.Name,
		testnet.Uplink, list(m.lab.options.Gateways), m.Endpoint, m.Switch.Database(),
		m.Switch.Management(testnet.Bridge), m.socket(), tls,
		strings.NewReplacer("{HOST}", m.Name, "{ADDRESS}", m.Address.String()).
			Replace(m.lab.options.Settings))
}

func list(addresses []netip.Addr) string {
	text, _ := json.Marshal(addresses) // addresses are always texts
	if addresses == nil {
		return "[]"
	}
	return string(text)
}

func (m *Machine) socket() string { return m.path("portcullis.sock") }

// Settings is the daemon's settings file.
func (m *Machine) Settings() string { return m.path("portcullis.yaml") }

// StartDaemon starts the daemon and returns when its API answers. The first one makes the bridge,
// which gets its uplink then.
func (m *Machine) StartDaemon() (err error) {
	if err := os.WriteFile(m.Settings(), []byte(m.settings()), 0o600); err != nil {
		return fmt.Errorf("write the settings of %s: %w", m.Name, err)
	}
	m.daemon, err = m.Namespace.Start(m.path("portcullis.log"), m.env(), m.program, "run",
		"--config", m.Settings())
	if err != nil {
		return err
	}
	return m.daemon.Answers(m.socket())
}

// plugUplink makes the uplink a port of the bridge, which the daemon has made.
func (m *Machine) plugUplink() error {
	err := m.await("its daemon makes the bridge", func() error {
		_, err := m.Switch.Run("ovs-vsctl", "br-exists", testnet.Bridge)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := m.Switch.Run("ovs-vsctl", "--may-exist", "add-port", testnet.Bridge,
		testnet.Uplink); err != nil {
		return err
	}
	err = m.AwaitStatus("the uplink is known", func(s *api.Status) bool {
		return len(s.Uplinks) == 1 && s.Uplinks[0].OFPort != 0
	})
	if err != nil {
		return err
	}
	return m.Switch.EnlargeBuffers()
}

// KillDaemon ends the daemon as a crash does.
func (m *Machine) KillDaemon() error { return m.endDaemon(syscall.SIGKILL) }

// StopDaemon ends it as a service manager does.
func (m *Machine) StopDaemon() error { return m.endDaemon(syscall.SIGTERM) }

func (m *Machine) endDaemon(signal syscall.Signal) error {
	d := m.daemon
	m.daemon = nil
	return d.End(signal)
}

// HangDaemon stops the daemon where it is, until the returned function is called.
func (m *Machine) HangDaemon() (goOn func() error, err error) { return m.daemon.Hang() }

// UseProgram has the next start of the daemon run another program, as an upgrade does.
func (m *Machine) UseProgram(program string) { m.program = program }

// Portcullis runs one of the program's commands with the host's settings, and returns what it
// printed.
func (m *Machine) Portcullis(command string, args ...string) (string, error) {
	return m.Run(m.lab.options.Program, append([]string{command, "--config", m.Settings()},
		args...)...)
}

// Status asks the daemon how things stand.
func (m *Machine) Status() (*api.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Slowed(10*time.Second))
	defer cancel()
	return api.NewClient(m.socket()).Status(ctx)
}

// AwaitStatus waits until the status is as it should be.
func (m *Machine) AwaitStatus(what string, ok func(*api.Status) bool) error {
	return m.await(what, func() error {
		s, err := m.Status()
		if err == nil && !ok(s) {
			err = fmt.Errorf("it says %s", s.Summary)
		}
		return err
	})
}

// await tries until something succeeds that needs the daemon.
func (m *Machine) await(what string, try func() error) error {
	return await(m.Name+": "+what, func() error {
		if !m.daemon.Running() {
			return fmt.Errorf("%w: its daemon does not run: %s", errNever, m.Log())
		}
		return try()
	})
}

// Generation is the generation that is in force on the host; an error if none is.
func (m *Machine) Generation() (int, error) {
	s, err := m.Status()
	if err != nil {
		return 0, err
	}
	if s.Policy.Generation == 0 {
		return 0, fmt.Errorf("%s: no generation is in force: %s", m.Name, s.Summary)
	}
	return s.Policy.Generation, nil
}

// AwaitGeneration waits until a generation, or a later one, is in force on the host at every port
// that is there.
func (m *Machine) AwaitGeneration(generation int) error {
	err := m.AwaitStatus(fmt.Sprintf("generation %d is in force", generation),
		func(s *api.Status) bool {
			return s.Policy.Generation >= generation && s.State == agent.StateInSync
		})
	if err != nil {
		return err
	}
	return m.Switch.EnlargeBuffers()
}

// Log is the end of what the daemon has logged.
func (m *Machine) Log() string {
	text, err := os.ReadFile(m.path("portcullis.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// Said is the last lines that the daemon has logged with a word in them.
func (m *Machine) Said(word string) string {
	text, err := os.ReadFile(m.path("portcullis.log"))
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, word) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-said):], "")
}

// said is how many lines that are.
const said = 8

// Listens says whether the API of the daemon can be reached at all.
func (m *Machine) Listens() bool {
	c, err := net.Dial("unix", m.socket())
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}
