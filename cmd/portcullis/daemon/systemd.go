package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/portcullis/portcullis/controller/agent"
)

// Two tasks of the daemon: what systemd is told.

// What systemd is told goes to the socket that NOTIFY_SOCKET names (sd_notify(3)). Without one,
// everything here does nothing.

// notifySystemd tells systemd the status in words whenever it changes, and that the daemon is ready
// when the switch has been programmed for the first time.
func notifySystemd(ctx context.Context, hub *agent.Hub) error {
	told := ""
	for ready := false; ; {
		status, err := hub.Await(ctx, func(s *agent.Snapshot) bool { return s.Summary != told })
		if err != nil {
			return nil // stopped
		}
		told = status.Summary
		notice := "STATUS=" + told
		if !ready && status.State != agent.StateStarting {
			ready = true
			notice = daemon.SdNotifyReady + "\n" + notice
		}
		if err := notify(ctx, notice); err != nil {
			return err
		}
	}
}

// notify tells systemd something. Where nobody reads the socket that would wait for ever: the end
// of ctx ends it.
func notify(ctx context.Context, notice string) error {
	told := make(chan error, 1)
	go func() {
		_, err := daemon.SdNotify(false, notice)
		told <- err
	}()
	select {
	case err := <-told:
		if err != nil {
			return fmt.Errorf("tell systemd: %w", err)
		}
	case <-ctx.Done():
	}
	return nil
}

// feedWatchdog tells systemd that the daemon works, a few times in the interval that it asks for,
// as long as the loop does: what a goroutine of its own says would prove nothing. systemd ends a
// daemon that is silent, and starts it again; the flows stay meanwhile.
func feedWatchdog(ctx context.Context, ctl *agent.Agent) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("the watchdog of systemd: %w", err)
	}
	if interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 4)
	defer tick.Stop()
	for {
		if ctl.Alive(ctx) != nil {
			return nil // stopped
		}
		if err := notify(ctx, daemon.SdNotifyWatchdog); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
