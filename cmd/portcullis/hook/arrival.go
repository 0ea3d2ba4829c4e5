package hook

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
)

// libvirt calls no hook when a machine that comes from another host goes on here, so a process that
// the hook leaves behind looks into libvirt's own file of the machine. The hook itself must end,
// and must not ask libvirt. Where nobody looks any more the instance stays as one that is about to
// come: it is filtered by the same rules, and what is for it goes to the uplinks as well.

// arrival is the operation of that process.
const arrival = "arrival"

// libvirtStates is where libvirt keeps the state of the machines that it runs.
const libvirtStates = "/run/libvirt/qemu"

// patience is how long somebody looks.
type patience struct {
	comes, runs time.Duration // until there is a state, and until it is that of one that runs
	pause       time.Duration
}

var arrivalTimes = patience{comes: 5 * time.Minute, runs: 24 * time.Hour,
	pause: 100 * time.Millisecond}

// follow leaves a process behind that says when a machine has arrived.
func follow(f *cli.Files, name string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	config, err := filepath.Abs(f.Config)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "--config", config, "hook", "libvirt", name, arrival)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the hook, and libvirtd
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s is expected, and nobody will notice that it has arrived: %w", name, err)
	}
	return cmd.Process.Release()
}

// awaitArrival waits until a machine runs here, whose state is in a file of libvirt's, and returns
// false when it does not come. Until then its devices hold little.
func awaitArrival(file string, p patience) bool {
	short := queues{}
	defer short.restore()
	return hasArrived(func() (status, bool) {
		s, isThere := stateOf(file)
		if s.State != "running" {
			short.shorten(s.Interfaces)
		}
		return s, isThere
	}, p)
}

// hasArrived waits until a machine runs here, and returns false when it does not come.
func hasArrived(look func() (s status, isThere bool), p patience) bool {
	began, wasThere := time.Now(), false
	for ; ; time.Sleep(p.pause) {
		switch s, isThere := look(); {
		case s.State == "running":
			return true
		case !isThere && wasThere:
			return false // it was given up
		case !isThere && time.Since(began) > p.comes, time.Since(began) > p.runs:
			return false
		default:
			wasThere = isThere
		}
	}
}

// status is what libvirt's file of a machine says: the state that it is in, and its devices.
type status struct {
	State      string      `xml:"state,attr"`
	Interfaces []netDevice `xml:"domain>devices>interface"`
}

// stateOf reads libvirt's file of a machine; that is replaced, never changed.
func stateOf(path string) (s status, isThere bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return status{}, false
	}
	if err := xml.Unmarshal(text, &s); err != nil {
		return status{}, true
	}
	return s, true
}
