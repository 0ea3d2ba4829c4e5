package telemetry

import (
	"context"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
)

// This file is what limits have dropped. The counter reader calls it.

// meterTotals adds up what meters drop, by port. It is for one goroutine.
type meterTotals struct {
	seen   map[uint32]uint64 // by meter, as it was read last
	owner  map[uint32]string // of each: the port that it was of then
	totals map[limitOf]uint64
}

// limitOf is what a meter holds of whom; no port = all.
type limitOf struct{ port, of string }

// observe adds what was dropped since the last reading. A counter that is smaller than before, or
// of another port, has begun anew.
func (m *meterTotals) observe(read []ofswitch.MeterCount, ports map[uint16]string) {
	seen, owner, totals := map[uint32]uint64{}, map[uint32]string{}, map[limitOf]uint64{}
	local := map[string]bool{"": true}
	for _, port := range ports {
		local[port] = true
	}
	for of, total := range m.totals {
		if local[of.port] {
			totals[of] = total
		}
	}
	for _, c := range read {
		use := flows.MeterOf(c.ID)
		port, isLocal := ports[use.Zone]
		if use.Of == "" || use.Zone != 0 && !isLocal {
			continue
		}
		more := c.Dropped
		if before, ok := m.seen[c.ID]; ok && m.owner[c.ID] == port && c.Dropped >= before {
			more -= before
		}
		of := limitOf{port, use.Of}
		totals[of] += more
		seen[c.ID], owner[c.ID] = c.Dropped, port
	}
	m.seen, m.owner, m.totals = seen, owner, totals
}

// addLimited enters what limits have dropped, and how full the room for fragments is. What cannot
// be read is left out.
func (t *CounterReader) addLimited(ctx context.Context, c *Counts, status *agent.Snapshot) {
	ports := map[uint16]string{}
	for _, p := range status.Ports {
		ports[p.Zone] = p.Name
	}
	if read, err := t.source.MeterCounts(ctx); err != nil {
		t.log.WithError(err).Debug("what limits drop cannot be counted")
	} else {
		t.meters.observe(read, ports)
	}
	c.OutsideLimited = t.meters.totals[limitOf{"", flows.MeterOfOutside}]
	for i := range c.Ports {
		p := &c.Ports[i]
		dropped := func(of string) uint64 { return t.meters.totals[limitOf{p.Port, of}] }
		p.Egress.Limited = LimitedCount{dropped(flows.MeterOfDiscovery),
			dropped(flows.MeterOfOpenings), dropped(flows.MeterOfFragmentsOut)}
		p.Ingress.Limited = LimitedCount{0, dropped(flows.MeterOfOpened),
			dropped(flows.MeterOfFragmentsIn)}
	}
	if r, err := t.source.Reassembly(ctx); err != nil {
		t.log.WithError(err).Debug("fragments cannot be counted")
	} else {
		c.Fragments = &ConnectionFill{r.Held, r.Limit}
	}
}
