package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/integration/measure"
)

// preparedPairs is how many pairs of addresses and of rules have one hash in the prepared file.
const preparedPairs = 40

// prepared replaces the first file of groups by one that somebody prepared who may name addresses
// and rules: external sources whose flows have one hash in pairs, and rules that have one. Undo
// makes it what it was.
func (l *lab) prepared() (do, undo change) {
	var addresses []string
	for _, pair := range flowtest.PreparedAddresses() {
		addresses = append(addresses, pair[0]+"/32", pair[1]+"/32")
	}
	var extra strings.Builder
	fmt.Fprintf(&extra, "    external_sources: [%s]\n  - name: prepared\n    rules:\n",
		strings.Join(addresses, ", "))
	for _, pair := range flowtest.PreparedRules("prepared", preparedPairs) {
		for _, r := range pair {
			fmt.Fprintf(&extra, "      - {direction: ingress, protocol: tcp, ports: %d, cidr: %s}\n",
				r.Ports[0].First, r.Peers[0].CIDR)
		}
	}
	last := "=" + strings.TrimSuffix(addresses[len(addresses)-1], "/32")
	return change{"prepared hashes", "groups-000.yaml", l.scenario.groupsFile(0, extra.String()),
			[]string{"ADDED", last}},
		change{"prepared hashes gone", "groups-000.yaml", l.scenario.groupsFile(0, ""),
			[]string{"DELETED", last}}
}

// besidePrepared measures one more member beside what was prepared, in turn with the same without
// it, which is the floor.
func (l *lab) besidePrepared(ctx context.Context, m *measure.Monitor, times int, r *result) error {
	do, undo := l.prepared()
	member := l.pairs()[0]
	var got [2]samples
	r.Prepared = figure{Name: "member added beside prepared hashes"}
	for range times {
		var others samples
		steps := []struct {
			change
			*samples
		}{{member[0], &got[0]}, {member[1], &others}, {do, &others}, {member[0], &got[1]},
			{member[1], &others}, {undo, &others}}
		for n, step := range steps {
			mods, err := l.sample(ctx, m, step.change, step.samples)
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			if n == 3 {
				r.Prepared.Mods = max(r.Prepared.Mods, mods)
			}
		}
	}
	r.Prepared.Timing, r.Prepared.Floor = got[1].total.Timing(), got[0].total.Timing()
	r.Prepared.Stages = stages{got[1].load.Median(), got[1].decide.Median(), got[1].bundle.Median()}
	return nil
}
