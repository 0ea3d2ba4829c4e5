package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Run runs a command in the host's network and returns what it prints.
func (h *Host) Run(name string, args ...string) (string, error) {
	out, err := h.ns.run(name, args...)
	if err != nil {
		return out, fmt.Errorf("%s: %w", h.Name, err)
	}
	return out, nil
}

// run runs a command in the namespace and returns what it prints.
func (n *Namespace) run(name string, args ...string) (string, error) {
	var out []byte
	err := n.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}

// set writes a setting of the kernel, of net only, in the namespace.
func (n *Namespace) set(setting, value string) error {
	return n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", setting), []byte(value), 0)
	})
}

// Set writes a setting of the kernel, such as "ipv4/ip_forward", in the host's network (sysctl(8),
// of net only).
func (h *Host) Set(setting, value string) error {
	if err := h.ns.set(setting, value); err != nil {
		return fmt.Errorf("%s: set %s to %s: %w", h.Name, setting, value, err)
	}
	return nil
}

// Start runs a program in the host's network until the world ends; its output goes to the end of a
// file.
func (h *Host) Start(log, name string, args ...string) error {
	p, err := h.ns.Start(log, os.Environ(), name, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	h.keep(log, ended{p})
	return nil
}

// ended is a process that its host ends.
type ended struct{ *Process }

// Close ends the process.
func (e ended) Close() error { return e.End(syscall.SIGTERM) }
