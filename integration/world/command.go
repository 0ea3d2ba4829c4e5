package world

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Run runs a command in the host's network and returns what it prints.
func (h *Host) Run(name string, args ...string) (string, error) {
	var out []byte
	err := h.ns.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("%s: %s %v: %w\n%s", h.Name, name, args, err, out)
	}
	return string(out), nil
}

// Set writes a setting of the kernel, such as "ipv4/ip_forward", in the host's network (sysctl(8), of net only).
func (h *Host) Set(setting, value string) error {
	err := h.ns.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys/net", setting), []byte(value), 0) })
	if err != nil {
		return fmt.Errorf("%s: set %s to %s: %w", h.Name, setting, value, err)
	}
	return nil
}

// Start runs a program in the host's network until the world ends; its output goes to the end of a file.
func (h *Host) Start(log, name string, args ...string) error {
	p, err := h.ns.start(log, os.Environ(), name, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	h.keep(log, ended{p})
	return nil
}

// ended is a process that its host ends.
type ended struct{ *process }

// Close ends the process.
func (e ended) Close() error { return e.end(syscall.SIGTERM) }
