package testnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// settings is the daemon's settings file.
func (w *World) settings() string {
	list := func(addresses []netip.Addr) string {
		var out []string
		for _, a := range addresses {
			out = append(out, `"`+a.String()+`"`)
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	return fmt.Sprintf(`bridge: %s
datapath_type: %q
host: %s
uplinks: [%s]
gateways: %s
dhcp_servers: %s
policy: policy.yaml
ovsdb: %s
openflow: %s
api: unix:%s
metrics: ""
log: {level: debug, format: text}
%s`, Bridge, ChosenDatapath(), Machine, Uplink, list(w.spec.Gateways), list(w.spec.DHCPServers),
		w.Switch.Database(), w.Switch.Management(Bridge), w.path("portcullis.sock"),
		w.spec.Settings)
}

// ChangeSettings has the next start of the daemon read other settings.
func (w *World) ChangeSettings(change func(text string) string) error {
	return w.writeFile("portcullis.yaml", change(w.settings()))
}

// StartDaemon starts the daemon and returns when its API answers.
func (w *World) StartDaemon() (err error) {
	w.daemon, err = w.Switch.Namespace.Start(w.path("portcullis.log"), w.Switch.Env(),
		w.spec.Daemon, "run", "--config", w.path("portcullis.yaml"))
	if err != nil {
		return err
	}
	return w.daemon.Answers(w.path("portcullis.sock"))
}

// StopDaemon ends the daemon as a service manager does, and waits until it is gone.
func (w *World) StopDaemon() error {
	d := w.daemon
	w.daemon = nil
	if d == nil {
		return nil
	}
	if !d.Running() {
		return fmt.Errorf("the daemon had ended by itself: %w\n%s", d.err, tail(d.log))
	}
	if err := d.End(syscall.SIGTERM); err != nil {
		return err
	}
	if d.err != nil {
		return fmt.Errorf("the daemon ended with an error: %w\n%s", d.err, tail(d.log))
	}
	return nil
}

// AwaitDaemonEnd waits until the daemon has ended by itself, and returns its error.
func (w *World) AwaitDaemonEnd() error {
	d := w.daemon
	select {
	case <-d.done:
		w.daemon = nil
		return d.err
	case <-time.After(Slowed(patience)):
		return nil
	}
}

// KillDaemon ends the daemon as a crash does.
func (w *World) KillDaemon() error {
	err := w.daemon.End(syscall.SIGKILL)
	w.daemon = nil
	return err
}

// Portcullis runs one of the program's commands with the world's settings and returns what it
// printed.
func (w *World) Portcullis(command string, args ...string) (string, error) {
	return w.Switch.Run(w.spec.Daemon, append([]string{command, "--config",
		w.path("portcullis.yaml")}, args...)...)
}

// Judge is Portcullis for a command that looks at the devices of its own network: it runs in the
// switch's.
func (w *World) Judge(command string, args ...string) (out string, err error) {
	err = w.Switch.Namespace.Do(func() error {
		out, err = w.Portcullis(command, args...)
		return err
	})
	return out, err
}

// SetPolicy replaces the policy file by a rename, as careful editors do, and returns when the new
// policy is in force, in Open vSwitch's caches too: these follow a change of flows by themselves,
// but not at once.
func (w *World) SetPolicy(text string) error {
	if err := w.SetPolicyOnly(text); err != nil {
		return err
	}
	_, err := w.Switch.Appctl("revalidator/wait")
	return err
}

// SetPolicyOnly is SetPolicy without waiting for the caches.
func (w *World) SetPolicyOnly(text string) error {
	if err := w.ReplacePolicy(text); err != nil {
		return err
	}
	return w.AwaitProgrammed()
}

// ReplacePolicy replaces the policy file by a rename and waits for nothing.
func (w *World) ReplacePolicy(text string) error {
	if err := w.writeFile("policy.yaml.new", text); err != nil {
		return err
	}
	if err := os.Rename(w.path("policy.yaml.new"), w.path("policy.yaml")); err != nil {
		return fmt.Errorf("replace the policy: %w", err)
	}
	// else the daemon goes on with the policy before
	if instances, err := inside(text); err == nil {
		w.instances = instances
	}
	return nil
}

// AwaitProgrammed waits until the policy file as it is now is in force at every port that is there.
func (w *World) AwaitProgrammed() error {
	out, err := w.Portcullis("status", "--wait", "-o", "json", "--timeout",
		(Slowed(patience) * 3 / 4).String())
	// an answer without a word behind it: ports that somebody has to repair are all that is amiss
	var s Status
	if err != nil && json.Unmarshal([]byte(out), &s) != nil {
		return fmt.Errorf("the policy is not in force: %w", err)
	}
	return w.Switch.EnlargeBuffers()
}

func (w *World) path(name string) string { return filepath.Join(w.Dir, name) }

func (w *World) writeFile(name, text string) error {
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
