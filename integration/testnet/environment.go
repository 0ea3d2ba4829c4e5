package testnet

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Datapath is what moves the packets of every world in this process: a datapath_type of Open
// vSwitch.
type Datapath string

const (
	// Userspace is ovs-vswitchd itself. It needs no kernel module.
	Userspace Datapath = "netdev"
	// Kernel is the kernel's module openvswitch.
	Kernel Datapath = ""
)

// ChosenDatapath is the datapath that PORTCULLIS_TEST_DATAPATH names: "userspace" (which is also
// the default), "kernel", or "offload", which is the kernel's with flows in tc. It panics on any
// other value, so that no test runs on another datapath than was meant.
func ChosenDatapath() Datapath {
	switch value := os.Getenv("PORTCULLIS_TEST_DATAPATH"); value {
	case "", "userspace":
		return Userspace
	case "kernel", offload:
		return Kernel
	default:
		panic(fmt.Sprintf("PORTCULLIS_TEST_DATAPATH=%s: not userspace, kernel or offload", value))
	}
}

const offload = "offload"

// IsOffloaded says whether Open vSwitch hands flows of the kernel's datapath on to tc.
func IsOffloaded() bool { return os.Getenv("PORTCULLIS_TEST_DATAPATH") == offload }

// Slowed is a duration that was chosen for an ordinary machine, on this one: longer by the factor
// PORTCULLIS_TEST_SLOWNESS (a whole number, 1 by default; an emulated processor needs more).
func Slowed(d time.Duration) time.Duration { return time.Duration(slowness()) * d }

var slowness = sync.OnceValue(func() int {
	value := os.Getenv("PORTCULLIS_TEST_SLOWNESS")
	if value == "" {
		return 1
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		panic(fmt.Sprintf("PORTCULLIS_TEST_SLOWNESS=%s: not a whole number from 1", value))
	}
	return n
})
