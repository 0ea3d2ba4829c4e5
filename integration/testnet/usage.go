package testnet

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// CPU is the processor time that the daemon and ovs-vswitchd have used so far, with their children
// that ended, by program.
func (w *World) CPU() map[string]time.Duration {
	return map[string]time.Duration{"portcullis": w.daemon.cpu(),
		"ovs-vswitchd": w.Switch.vswitchd.cpu()}
}

// Memory is how much memory the daemon holds, in bytes.
func (w *World) Memory() int64 {
	var pages int64
	fields := w.daemon.proc("statm")
	if len(fields) > 1 {
		_, _ = fmt.Sscan(fields[1], &pages)
	}
	return pages * int64(os.Getpagesize())
}

// tick is the unit of processor times in /proc (USER_HZ).
const tick = time.Second / 100

func (p *Process) cpu() time.Duration {
	fields := p.proc("stat")
	var sum time.Duration
	for i := 13; i <= 16 && i < len(fields); i++ { // utime, stime, cutime, cstime
		var n int64
		_, _ = fmt.Sscan(fields[i], &n)
		sum += time.Duration(n) * tick
	}
	return sum
}

// proc returns the words of a file of the process; none if it has ended.
func (p *Process) proc(name string) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}
