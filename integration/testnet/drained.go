package testnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// awaitDrained returns when ovs-vswitchd has no frame in hand. The kernel's datapath asks it about
// every frame that no cached flow fits, and later frames overtake these. (The userspace datapath
// asks nobody, and takes batch after batch.)
//
// It is quiet if, between two looks, no handler thread has left its waiting and none of the queues
// toward them held anything: a frame that moves from one to the other wakes a thread.
func (s *Switch) awaitDrained() error {
	if ChosenDatapath() != Kernel {
		return nil
	}
	var before string
	for deadline := time.Now().Add(Slowed(patienceToConnect)); ; time.Sleep(poll / 5) {
		now, err := s.handlers()
		if err != nil {
			return err
		}
		if now != "" && now == before {
			return nil
		}
		if before = now; time.Now().After(deadline) {
			return fmt.Errorf("ovs-vswitchd still handles frames after %s",
				Slowed(patienceToConnect))
		}
	}
}

// switches is how often a thread has run.
var switches = regexp.MustCompile(`(?m)^(?:non)?voluntary_ctxt_switches:\s*(\d+)$`)

// handlers tells how often each handler thread has run; "" if one runs now, or has something to do.
func (s *Switch) handlers() (string, error) {
	process := fmt.Sprintf("/proc/%d", s.vswitchd.cmd.Process.Pid)
	threads, err := filepath.Glob(process + "/task/*")
	if err != nil {
		return "", fmt.Errorf("list the threads of ovs-vswitchd: %w", err)
	}
	var runs []string
	for _, thread := range threads {
		status, err := os.ReadFile(thread + "/status")
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return "", fmt.Errorf("look at a thread of ovs-vswitchd: %w", err)
		}
		if !strings.HasPrefix(string(status), "Name:\thandler") {
			continue
		}
		if where, err := os.ReadFile(thread + "/wchan"); err != nil ||
			!strings.Contains(string(where), "poll") {
			return "", nil //nolint:nilerr // it runs, or waits for something else than frames
		}
		runs = append(runs, fmt.Sprint(thread, switches.FindAllString(string(status), -1)))
	}
	if len(runs) == 0 {
		return "", errors.New("ovs-vswitchd has no handler threads")
	}
	waiting, err := framesWaiting(process)
	if err != nil || waiting {
		return "", err
	}
	return strings.Join(runs, "\n"), nil
}

// framesWaiting says whether a generic netlink socket in the process's namespace has something to
// read.
func framesWaiting(process string) (bool, error) {
	table, err := os.ReadFile(process + "/net/netlink")
	if err != nil {
		return false, fmt.Errorf("look at the netlink sockets: %w", err)
	}
	for _, line := range strings.Split(string(table), "\n") {
		const protocol, received, generic = 1, 4, "16"
		if fields := strings.Fields(line); len(fields) > received && fields[protocol] == generic &&
			fields[received] != "0" {
			return true, nil
		}
	}
	return false, nil
}
