package agenttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// MeterTable is the meters of a switch, which has so many, and the zones of its datapath.
type MeterTable struct {
	journal *journal
	sw      *Switch

	mu      sync.Mutex
	Max     uint32 // meters that it says it has
	Room    uint32 // the highest that it really takes
	Metered map[uint32]flows.Meter
	Zones   map[uint16]uint32
	Failing error // of everything about zones
	Hanging bool  // limits of zones are not set until whoever asks gives up
	Narrow  error // too little room for fragments
}

func NewMeterTable(w *World) *MeterTable {
	return &MeterTable{journal: w.Journal, sw: w.Sw, Max: flows.MaxMeter, Room: flows.MaxMeter,
		Metered: map[uint32]flows.Meter{}, Zones: map[uint16]uint32{}}
}

// Lacks says whether a flow names a meter that is not there: a switch refuses it.
func (f *MeterTable) Lacks(flow openflow.Flow) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id uint32
	_, err := fmt.Sscanf(flow.Actions.String(), "meter:%d,", &id)
	_, ok := f.Metered[id]
	return err == nil && !ok
}

// last is the highest meter that flows may name.
func (f *MeterTable) last() uint32 {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(f.Max, f.Room)
}

func (f *MeterTable) LastMeter(context.Context) (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Max, nil
}

func (f *MeterTable) Meters(context.Context) ([]flows.Meter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.Metered)), nil
}

func (f *MeterTable) PutMeters(_ context.Context, d flows.MeterDelta) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("meters +%d ~%d", len(d.Add), len(d.Change))
	for _, m := range d.Add {
		if m.ID > f.Room {
			return &ofswitch.MeterError{Meter: m, Reason: "OFPMMFC_OUT_OF_METERS"}
		}
		if _, ok := f.Metered[m.ID]; ok {
			return errors.New("OFPMMFC_METER_EXISTS")
		}
		f.Metered[m.ID] = m
	}
	for _, m := range d.Change {
		f.Metered[m.ID] = m
	}
	return nil
}

func (f *MeterTable) DeleteMeters(_ context.Context, meters []flows.Meter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("meters -%d", len(meters))
	for _, m := range meters {
		delete(f.Metered, m.ID)
	}
	return nil
}

func (f *MeterTable) MakeRoom(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Narrow
}

func (f *MeterTable) ZoneLimits(context.Context) ([]flows.ZoneLimit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []flows.ZoneLimit
	for zone, limit := range f.Zones {
		out = append(out, flows.ZoneLimit{Zone: zone, Connections: limit})
	}
	return out, f.Failing
}

func (f *MeterTable) LimitZones(ctx context.Context, limits []flows.ZoneLimit,
	unlimited []uint16) error {
	f.mu.Lock()
	isHanging := f.Hanging
	f.mu.Unlock()
	if isHanging {
		<-ctx.Done()
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("zones +%d -%d", len(limits), len(unlimited))
	for _, z := range limits {
		f.Zones[z.Zone] = z.Connections
	}
	for _, z := range unlimited {
		delete(f.Zones, z)
	}
	return f.Failing
}

// Holds returns the numbers of the meters, sorted, and the limits of the zones.
func (f *MeterTable) Holds() ([]uint32, map[uint16]uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.Metered)), maps.Clone(f.Zones)
}

func (f *MeterTable) Edit(change func(*MeterTable)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}
