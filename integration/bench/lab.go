package main

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
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/sandbox"
)

const (
	bridge  = "br-int"
	twin    = "br-floor" // gets the same flows by ovs-ofctl alone
	uplink  = "up0"
	newPort = "pnew"
	// patience bounds everything that is waited for.
	patience = 5 * time.Minute
)

// lab is a private Open vSwitch with the ports of a scenario, and the daemon beside it. The ports
// are there before the daemon, as those of a hypervisor are.
type lab struct {
	vs       *sandbox.OVS
	scenario scenario
	folder   string // the policy
	spare    string // beside it, on the same file system: files are written here and renamed
	settings string
	program  string
	client   *api.Client
	ready    chan struct{} // filled when a daemon has programmed the switch
	daemon   *exec.Cmd
	flags    []string
}

func newLab(s *measure.Shim, sc scenario, program string) (*lab, error) {
	l := &lab{vs: sandbox.Start(s, sandbox.Options{Datapath: sandbox.Dummy}), scenario: sc,
		program: program, ready: make(chan struct{}, 1)}
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
	text := fmt.Sprintf(
		"bridge: %s\ndatapath_type: netdev\nhost: %s\nuplinks: [%s]\npolicy: policy\novsdb: %s\nopenflow: %s\napi: unix:%s\nmetrics: \"\"\n",
		bridge, localHost, uplink, l.vs.DB, l.vs.Mgmt(bridge), l.socket())
	if err := os.WriteFile(l.settings, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	l.client = api.NewClient(l.socket())
	notices, err := net.ListenUnixgram("unixgram",
		&net.UnixAddr{Name: filepath.Join(l.vs.Dir, "notify"), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	s.Cleanup(func() { _ = notices.Close() })
	go l.hear(notices)
	s.Cleanup(func() { _ = l.stop() })
	l.addPorts()
	return l, nil
}

func (l *lab) socket() string { return filepath.Join(l.vs.Dir, "api.sock") }

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

// start starts the daemon and returns when the switch is programmed, and how long that took.
func (l *lab) start(ctx context.Context) (time.Duration, error) {
	select { // what an earlier daemon said is not about this one
	case <-l.ready:
	default:
	}
	log, err := os.OpenFile(filepath.Join(l.vs.Dir, "portcullis.log"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open the daemon's log: %w", err)
	}
	defer log.Close()
	l.daemon = exec.Command(l.program, append([]string{"run", "--config", l.settings}, l.flags...)...)
	l.daemon.Env = append(l.vs.Env(), "NOTIFY_SOCKET="+filepath.Join(l.vs.Dir, "notify"))
	l.daemon.Stderr = log
	l.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := l.daemon.Start(); err != nil {
		return 0, fmt.Errorf("start the daemon: %w", err)
	}
	select {
	case <-l.ready:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(patience):
		text, _ := os.ReadFile(log.Name())
		return 0, fmt.Errorf("%w:\n%s", errNotReady, text[max(0, len(text)-4000):])
	}
	return time.Since(began), nil
}

// hear reads what the daemon tells systemd, at once, because the daemon waits until it is read.
// READY comes when the switch is programmed.
func (l *lab) hear(notices *net.UnixConn) {
	for buffer := make([]byte, 4096); ; {
		n, err := notices.Read(buffer)
		if err != nil {
			return
		}
		if bytes.HasPrefix(buffer[:n], []byte("READY=1")) {
			l.ready <- struct{}{}
		}
	}
}

// stop ends the daemon as systemd does.
func (l *lab) stop() error {
	if l.daemon == nil {
		return nil
	}
	d := l.daemon
	l.daemon = nil
	_ = d.Process.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		return fmt.Errorf("the daemon ended: %w", err)
	}
	return nil
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
	status, err := l.client.Settle(ctx, patience)
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

var errNotReady = errors.New("the daemon is not ready in time")

var errNotAsBefore = errors.New("the daemon changed flows where nothing had changed")
