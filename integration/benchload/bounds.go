package main

// What is measured beside the pipeline to see what of its cost is not its own: flows that admit
// everything, and track connections in no zone, in one of all ports, or in one of the sender and
// one of the receiver. The world calls them.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// admitsAll says whether a side refuses nothing.
func admitsAll(side string) bool {
	return side == "NORMAL" || side == "one zone" || side == "two zones"
}

func loadNormal(_ context.Context, s *side, _ options) error {
	return s.program([]string{"actions=NORMAL"})
}

// loadOneZone is the least that a firewall with connections costs.
func loadOneZone(_ context.Context, s *side, o options) error {
	flows := []string{"table=0,ip actions=ct(table=1,zone=1)",
		"table=1,priority=2,ct_state=+new+trk,ip actions=ct(commit,zone=1),resubmit(,2)",
		"table=1,priority=1,ct_state=-inv+trk,ip actions=resubmit(,2)"}
	for n := range o.scenario.Ports {
		flows = append(flows, fmt.Sprintf("table=2,dl_dst=%s actions=output:%s", mac(n), portName(n)))
	}
	return s.program(flows)
}

// loadTwoZones is the least that one costs in which each port has a zone of its own.
func loadTwoZones(_ context.Context, s *side, o options) error {
	track, zone := "ct(table=%d,zone=NXM_NX_REG1[0..15])", "ct(commit,zone=NXM_NX_REG1[0..15])"
	flows := []string{
		"table=1,priority=2,ct_state=+new+trk,ip actions=" + zone + ",resubmit(,2)",
		"table=1,priority=1,ct_state=-inv+trk,ip actions=resubmit(,2)",
		"table=3,priority=2,ct_state=+new+trk,ip actions=" + zone + ",resubmit(,4)",
		"table=3,priority=1,ct_state=-inv+trk,ip actions=resubmit(,4)"}
	for n := range o.scenario.Ports {
		flows = append(flows,
			fmt.Sprintf("table=0,in_port=%s,ip actions=set_field:%d->reg1,"+track, portName(n), n+1, 1),
			fmt.Sprintf("table=2,dl_dst=%s,ip actions=set_field:%d->reg1,"+track, mac(n), n+1, 3),
			fmt.Sprintf("table=4,reg1=%d actions=output:%s", n+1, portName(n)))
	}
	return s.program(flows)
}

// program gives the bridge its flows.
func (s *side) program(flows []string) error {
	file := filepath.Join(s.dir, "flows")
	if err := os.WriteFile(file, []byte(strings.Join(flows, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the flows: %w", err)
	}
	_, err := s.sw.Run("ovs-ofctl", "-O", "OpenFlow15", "replace-flows", bridge, file)
	return err
}
