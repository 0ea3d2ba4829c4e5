package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/integration/sandbox"
)

// Monitor hears of every change of the switch's flows at the moment it is made. It costs Open
// vSwitch a message for each flow.
type Monitor struct {
	events chan event
	cmd    *exec.Cmd
}

// event is a changed flow: `ADDED table=52 cookie=0x5043... ip,nw_src=10.0.0.1`.
type event struct {
	at   time.Time
	text string
}

// room is for the events of the largest change.
const room = 1 << 20

// Listen has a monitor hear of a bridge from now on.
func Listen(s *Shim, vs *sandbox.OVS, bridge string) (*Monitor, error) {
	m := &Monitor{events: make(chan event, room)}
	m.cmd = exec.Command("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "--unixctl=none", "monitor",
		vs.Mgmt(bridge), "watch:!initial,!actions")
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := m.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("listen to the switch: %w", err)
	}
	m.cmd.Stdout = m.cmd.Stderr
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("listen to the switch: %w", err)
	}
	s.Cleanup(func() { _ = m.cmd.Process.Kill(); _ = m.cmd.Wait() })
	heard := make(chan struct{})
	go func() {
		defer close(m.events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text := strings.TrimSpace(lines.Text())
			if change, ok := strings.CutPrefix(text, "event="); ok {
				m.events <- event{time.Now(), change}
			} else if heard != nil {
				close(heard)
				heard = nil
			}
		}
	}()
	select {
	case <-heard:
		return m, nil
	case <-time.After(Patience):
		return nil, errDeaf
	}
}

var errDeaf = errors.New("the switch tells of no change")

// Await returns the moment of the first event that has all the parts.
func (m *Monitor) Await(ctx context.Context, parts ...string) (time.Time, error) {
	up := time.NewTimer(Patience)
	defer up.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case e, ok := <-m.events:
			if !ok {
				return time.Time{}, errDeaf
			}
			if e.has(parts) {
				return e.at, nil
			}
		case <-up.C:
			return time.Time{}, fmt.Errorf("%w: %q", errDeaf, parts)
		}
	}
}

func (e event) has(parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(e.text, p) {
			return false
		}
	}
	return true
}

// Drain forgets what was heard, until nothing was heard for a while, and returns how many events
// those were.
func (m *Monitor) Drain(while time.Duration) int {
	for n := 0; ; n++ {
		select {
		case _, ok := <-m.events:
			if !ok {
				return n
			}
		case <-time.After(while):
			return n
		}
	}
}
