package main

// What moves the packets, and what it says of its flows. The world and the rounds call this.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/portcullis/portcullis/integration/testnet"
)

const kernel, userspace = "kernel", "userspace"

// chooseDatapath says which datapath is measured, and has [testnet] start that one.
func chooseDatapath(wanted string) (string, error) {
	switch wanted {
	case "auto":
		wanted = userspace
		if kernelMoves() {
			wanted = kernel
		}
	case kernel, userspace:
	default:
		return "", fmt.Errorf("datapath %q: want kernel, userspace or auto", wanted)
	}
	if wanted == kernel {
		awaitUptime()
	}
	return wanted, os.Setenv("PORTCULLIS_TEST_DATAPATH", wanted)
}

// kernelMoves says whether the kernel has a datapath of Open vSwitch, or a module for it: asking
// for the family loads it.
func kernelMoves() bool {
	_, err := netlink.GenlFamilyGet("ovs_datapath")
	return err == nil
}

// ovs-vswitchd 3.1 that starts in a machine's first ten seconds never has threads for the packets
// that its kernel datapath hands up.
const firstStart = 11 // s

func awaitUptime() {
	for ; ; time.Sleep(100 * time.Millisecond) {
		text, err := os.ReadFile("/proc/uptime")
		age, bad := strconv.ParseFloat(strings.Fields(string(text) + " 0")[0], 64)
		if err != nil || bad != nil || age >= firstStart {
			return
		}
	}
}

// cached is what a datapath has learnt of a switch's flows.
type cached struct {
	megaflows float64
	passes    float64 // lookups of each packet: one, and one after each recirculation
	masks     float64 // shapes of flows; each lookup tries some of them
}

// lookCached reads the flows of a side's datapath. Each side has a datapath of its own.
func lookCached(sw *testnet.Switch) (cached, error) {
	out, err := sw.Appctl("dpctl/dump-flows", "-m")
	if err != nil {
		return cached{}, err
	}
	c := countFlows(out)
	c.masks, err = statistic(sw, "total:", "masks:")
	return c, err
}

// countFlows counts the flows and the packets of a dump. What comes from a device has
// recirc_id(0); the same packet counts again in each flow that it meets after a recirculation.
func countFlows(dump string) cached {
	var c cached
	var all, entered float64
	for line := range strings.Lines(dump) {
		if !strings.Contains(line, "actions:") {
			continue
		}
		c.megaflows++
		_, rest, _ := strings.Cut(line, "packets:")
		digits, _, _ := strings.Cut(rest, ",")
		packets, _ := strconv.ParseFloat(digits, 64)
		all += packets
		if strings.Contains(line, "recirc_id(0)") {
			entered += packets
		}
	}
	if entered > 0 {
		c.passes = all / entered
	}
	return c
}

// statistic reads a number of `dpctl/show`: that behind a word, in the line with another; 0 where
// the datapath does not keep it.
func statistic(sw *testnet.Switch, word, in string) (float64, error) {
	out, err := sw.Appctl("dpctl/show")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, in) {
			continue
		}
		for field := range strings.FieldsSeq(line) {
			if digits, ok := strings.CutPrefix(field, word); ok {
				return strconv.ParseFloat(digits, 64)
			}
		}
	}
	return 0, nil
}

// misses are the packets that the datapath handed to ovs-vswitchd so far.
func misses(sw *testnet.Switch) (float64, error) { return statistic(sw, "missed:", "lookups:") }

// clock tells the processor time that the whole machine has used so far: "" is /proc/stat, in which
// this is of hundredths of a second, and of whatever the machine does meanwhile. Anything else is a
// file whose size it is, in nanoseconds: that is how the host of a virtual machine can tell it.
type clock string

func (c clock) busy() (time.Duration, error) {
	if c != "" {
		told, err := os.Stat(string(c))
		if err != nil {
			return 0, fmt.Errorf("read the processor's time: %w", err)
		}
		return time.Duration(told.Size()), nil
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the processor's times: %w", err)
	}
	return busyIn(string(text))
}

// busyIn adds up the first line of /proc/stat: user, nice, system, irq and softirq, not idle nor
// iowait.
func busyIn(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("no processor times in %q", line)
	}
	const userHz = 100
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("no processor times in %q", line)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHz, nil
}
