package measure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What processes use, as the kernel counts it. Both benchmarks ask before and after.

// Usage is what a process has used so far.
type Usage struct {
	CPU      time.Duration // with its children that ended
	Resident int64         // bytes
	Peak     int64
}

// userHz is the unit of processor times in /proc.
const userHz = 100

// UsageOf looks at a process.
func UsageOf(pid int) (Usage, error) {
	var u Usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		var n int64
		_, _ = fmt.Sscan(field, &n)
		u.CPU += time.Duration(n) * time.Second / userHz
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("look at the process: %w", err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		var kib int64
		_, _ = fmt.Sscan(value, &kib)
		switch name {
		case "VmRSS":
			u.Resident = kib << 10
		case "VmHWM":
			u.Peak = kib << 10
		}
	}
	return u, nil
}

// CPUOf is the processor time of a process's threads that are there, to the nanosecond.
func CPUOf(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("look at the process: %d has no threads", pid)
	}
	var total time.Duration
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var n int64
		_, _ = fmt.Sscan(string(text), &n)
		total += time.Duration(n)
	}
	return total, nil
}

// Spent is the processor time that this process has used so far.
func Spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // which the kernel never refuses for oneself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
