package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// The real daemon beside a private Open vSwitch, as systemd runs it. Both benchmarks start it.
// Invariant: it is ready when it says so itself, which is when the switch is programmed.

// Patience bounds everything that is waited for.
const Patience = 5 * time.Minute

var errNotReady = errors.New("the daemon is not ready in time")

// Daemon is the daemon, running or not.
type Daemon struct {
	Program  string
	Settings string // path of the file
	Flags    []string
	Client   *api.Client

	vs    *sandbox.OVS
	cmd   *exec.Cmd
	ready chan struct{} // filled when a daemon has programmed the switch
}

// NewDaemon prepares a daemon for an Open vSwitch. Its API is at Socket.
func NewDaemon(s *Shim, vs *sandbox.OVS, program, settings string) (*Daemon, error) {
	d := &Daemon{Program: program, Settings: settings, vs: vs, ready: make(chan struct{}, 1)}
	d.Client = api.NewClient(d.Socket())
	notices, err := net.ListenUnixgram("unixgram",
		&net.UnixAddr{Name: d.notify(), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	s.Cleanup(func() { _ = notices.Close() })
	go d.hear(notices)
	s.Cleanup(func() { _ = d.Stop() })
	return d, nil
}

// Socket is where the settings must have the API.
func (d *Daemon) Socket() string { return filepath.Join(d.vs.Dir, "api.sock") }

func (d *Daemon) notify() string { return filepath.Join(d.vs.Dir, "notify") }

// PID is the daemon's process, 0 while it does not run.
func (d *Daemon) PID() int {
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// Start starts the daemon and returns when the switch is programmed, and how long that took.
func (d *Daemon) Start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := d.Launch(); err != nil {
		return 0, err
	}
	err := d.Await(ctx)
	return time.Since(began), err
}

// Launch starts the daemon and does not wait for it.
func (d *Daemon) Launch() error {
	select { // what an earlier daemon said is not about this one
	case <-d.ready:
	default:
	}
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the daemon's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(d.Program, append([]string{"run", "--config", d.Settings}, d.Flags...)...)
	cmd.Env = append(d.vs.Env(), "NOTIFY_SOCKET="+d.notify())
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	d.cmd = cmd
	return nil
}

// Await waits until a daemon that was launched has programmed the switch.
func (d *Daemon) Await(ctx context.Context) error {
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(Patience):
		text, _ := os.ReadFile(d.log())
		return fmt.Errorf("%w:\n%s", errNotReady, text[max(0, len(text)-4000):])
	}
}

func (d *Daemon) log() string { return filepath.Join(d.vs.Dir, "portcullis.log") }

// hear reads what the daemon tells systemd, at once, because the daemon waits until it is read.
// READY comes when the switch is programmed.
func (d *Daemon) hear(notices *net.UnixConn) {
	for buffer := make([]byte, 4096); ; {
		n, err := notices.Read(buffer)
		if err != nil {
			return
		}
		if bytes.HasPrefix(buffer[:n], []byte("READY=1")) {
			select {
			case d.ready <- struct{}{}:
			default: // it said so already
			}
		}
	}
}

// Stop ends the daemon as systemd does.
func (d *Daemon) Stop() error {
	if d.cmd == nil {
		return nil
	}
	cmd := d.cmd
	d.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the daemon ended: %w", err)
	}
	return nil
}
