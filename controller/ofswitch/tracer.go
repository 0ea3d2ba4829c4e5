package ofswitch

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// This file finds the ports of a bridge for traces. `portcullis explain` and tests call it.

// Runner runs one control command of ovs-vswitchd and returns what it printed.
type Runner func(ctx context.Context, args ...string) (string, error)

// Tracer traces on one bridge of an Open vSwitch.
type Tracer struct {
	run   Runner
	name  string
	ports ports
}

// ports are those of the datapath.
type ports struct {
	own    map[uint32]uint32 // OpenFlow number by datapath number
	byName map[string]uint32 // OpenFlow number by name
	others map[uint32]bool   // datapath numbers of other bridges' ports
}

// OpenTracer returns a bridge as it is now: a port that is added later is not known. A bridge that
// the switch does not have is an error.
func OpenTracer(ctx context.Context, run Runner, name string) (*Tracer, error) {
	text, err := run(ctx, "dpif/show")
	if err != nil {
		return nil, fmt.Errorf("list the ports of the datapath: %w", err)
	}
	b := &Tracer{run: run, name: name, ports: parsePorts(text, name)}
	if len(b.ports.byName) == 0 {
		return nil, fmt.Errorf("list the ports of the datapath: Open vSwitch has no bridge %s",
			name)
	}
	return b, nil
}

// Ports returns the OpenFlow numbers of the bridge's ports, by name.
func (b *Tracer) Ports() map[string]uint32 { return maps.Clone(b.ports.byName) }

// parsePorts reads dpif/show: behind the line " br0:" stand the ports of br0, and " p1 1/2:
// (dummy)" is port 1 of OpenFlow and 2 of the datapath. A patch port has no number of the datapath.
func parsePorts(text, bridge string) ports {
	p := ports{own: map[uint32]uint32{}, byName: map[string]uint32{}, others: map[uint32]bool{}}
	section := ""
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 1 && strings.HasSuffix(words[0], ":") {
			section = strings.TrimSuffix(words[0], ":")
		}
		if len(words) < 2 || !strings.HasSuffix(words[1], ":") {
			continue
		}
		of, dp, _ := strings.Cut(strings.TrimSuffix(words[1], ":"), "/")
		ofport, err1 := strconv.ParseUint(of, 10, 32)
		dpport, err2 := strconv.ParseUint(dp, 10, 32)
		if section != bridge {
			if err2 == nil {
				p.others[uint32(dpport)] = true
			}
			continue
		}
		if err1 == nil {
			p.byName[words[0]] = uint32(ofport)
		}
		if err1 == nil && err2 == nil {
			p.own[uint32(dpport)] = uint32(ofport)
		}
	}
	return p
}
