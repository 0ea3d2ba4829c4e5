package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
)

// Limiter is what the switch has beside its flows to hold ports to limits.
type Limiter interface {
	// LastMeter returns the highest number of a meter that may be used; 0 = the switch has no meters.
	LastMeter(ctx context.Context) (uint32, error)
	// Meters returns all meters.
	Meters(ctx context.Context) ([]flows.Meter, error)
	// PutMeters adds and changes meters. If the error wraps an *ofswitch.MeterError, the switch will not have that meter.
	PutMeters(ctx context.Context, d flows.MeterDelta) error
	// DeleteMeters deletes meters that no flow names any more.
	DeleteMeters(ctx context.Context, meters []flows.Meter) error
	// MakeRoom has the datapath hold as many fragments as it can. The error says why it is too few.
	MakeRoom(ctx context.Context) error
	// ZoneLimits returns the limits of all conntrack zones.
	ZoneLimits(ctx context.Context) ([]flows.ZoneLimit, error)
	// LimitZones sets limits, and takes away those of other zones.
	LimitZones(ctx context.Context, limits []flows.ZoneLimit, unlimited []uint16) error
}

// limitTime bounds what is done for limits and can be left undone.
const limitTime = 5 * time.Second

// limits is what the loop knows of meters and zones. A limit that cannot be had holds nobody up: it is left out, and the status says so.
type limits struct {
	limiter Limiter // nil = the switch has none of this
	log     *logrus.Entry

	lastMeter   uint32
	meters      []flows.Meter // as last read or acknowledged
	metersKnown bool
	zones       map[uint16]uint32 // likewise
	zonesKnown  bool

	ports, meterError, zoneError, roomError string // what is not in force, and why
}

// begin asks anew what the switch can do, and forgets what it holds: it may be another one.
func (l *limits) begin(ctx context.Context) {
	l.lastMeter, l.metersKnown, l.zonesKnown, l.meterError = 0, false, false, ""
	if l.limiter == nil {
		return
	}
	var err error
	if l.lastMeter, err = l.limiter.LastMeter(ctx); err != nil {
		l.complain(&l.meterError, fmt.Errorf("packets are not limited: %w", err))
	}
	l.complain(&l.roomError, l.limiter.MakeRoom(ctx))
	_, _ = l.readMeters(ctx), l.readZones(ctx) // who needs them tries again
}

func (l *limits) readMeters(ctx context.Context) error {
	held, err := l.limiter.Meters(ctx)
	l.meters, l.metersKnown = held, err == nil
	return err
}

func (l *limits) readZones(ctx context.Context) error {
	held, err := l.limiter.ZoneLimits(ctx)
	l.zones, l.zonesKnown = zoneMap(held), err == nil
	return err
}

// complain notes the first trouble of a kind, and logs it when it is new. No error ends it.
func (l *limits) complain(about *string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != *about {
		l.log.Warn(text)
	}
	*about = text
}

// warnings are for the status.
func (l *limits) warnings() []string {
	return slices.DeleteFunc([]string{l.ports, l.meterError, l.zoneError, l.roomError}, func(s string) bool { return s == "" })
}

// meter puts the meters of a program on the switch, before its flows. If the switch refuses one, the program is compiled again without
// it and all later ones. An error means: try again.
func (r *reconciler) meter(ctx context.Context, a attempt) (attempt, error) {
	l := &r.limits
	for l.limiter != nil {
		err := l.put(ctx, a.Meters)
		var refused *ofswitch.MeterError
		if !errors.As(err, &refused) {
			return a, err
		}
		l.complain(&l.meterError, err)
		l.lastMeter = refused.Meter.ID - 1
		a.input.LastMeter = l.lastMeter
		if a, err = r.compile(a.input); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (l *limits) put(ctx context.Context, want []flows.Meter) error {
	if !l.metersKnown {
		if err := l.readMeters(ctx); err != nil && len(want) > 0 {
			return fmt.Errorf("switch: %w", err)
		}
	}
	d := flows.DiffMeters(want, l.meters)
	if len(d.Add)+len(d.Change) == 0 {
		return nil
	}
	l.metersKnown = false
	if err := l.limiter.PutMeters(ctx, d); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	l.meters, l.metersKnown = append(slices.Clone(want), d.Delete...), true
	return nil
}

// settle does what comes after the flows: it deletes the meters that they no longer name, and sets the limits of the zones.
func (l *limits) settle(ctx context.Context, a attempt, p *plan) {
	if l.limiter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limitTime)
	defer cancel()
	l.complain(&l.ports, missing(a.Unmetered))
	if old := flows.DiffMeters(a.Meters, l.meters).Delete; l.metersKnown && len(old) > 0 {
		l.metersKnown = false
		if err := l.limiter.DeleteMeters(ctx, old); err != nil {
			l.log.WithError(err).Debug("meters are left over")
		} else {
			l.meters, l.metersKnown = a.Meters, true
		}
	}
	l.complain(&l.zoneError, l.limitZones(ctx, a.ZoneLimits, p))
}

// limitZones makes the zones of the planned ports have the limits that are wanted. Zones of others are let alone.
func (l *limits) limitZones(ctx context.Context, want []flows.ZoneLimit, p *plan) error {
	wanted := zoneMap(want)
	if !l.zonesKnown || p.moves() {
		if err := l.readZones(ctx); err != nil && len(want) > 0 {
			return fmt.Errorf("connections are not limited: %w", err)
		}
		l.zonesKnown = true // where none are wanted, what cannot be read has none
	}
	var change []flows.ZoneLimit
	var unlimited []uint16
	for _, z := range want {
		if l.zones[z.Zone] != z.Connections {
			change = append(change, z)
		}
	}
	for _, zone := range p.zonesEver() {
		if l.zones[zone] != 0 && wanted[zone] == 0 {
			unlimited = append(unlimited, zone)
		}
	}
	if len(change)+len(unlimited) == 0 {
		return nil
	}
	if err := l.limiter.LimitZones(ctx, change, unlimited); err != nil {
		l.zonesKnown = false
		return fmt.Errorf("connections are not limited: %w", err)
	}
	for _, zone := range unlimited {
		delete(l.zones, zone)
	}
	for _, z := range change {
		l.zones[z.Zone] = z.Connections
	}
	return nil
}

func zoneMap(limits []flows.ZoneLimit) map[uint16]uint32 {
	out := make(map[uint16]uint32, len(limits))
	for _, z := range limits {
		out[z.Zone] = z.Connections
	}
	return out
}

// missing says which ports the switch has no meters for.
func missing(ports []string) error {
	const most = 5
	switch n := len(ports); {
	case n == 0:
		return nil
	case n > most:
		return fmt.Errorf("packets are not limited, and denied ones not logged: the switch has no meters for %s and %d other ports", strings.Join(ports[:most], ", "), n-most)
	}
	return fmt.Errorf("packets are not limited, and denied ones not logged: the switch has no meters for %s", strings.Join(ports, ", "))
}

// isOfMeter says whether a flow was refused because of a meter that somebody else has deleted: not the flow is to blame.
func isOfMeter(err *ofswitch.RejectedError) bool { return strings.Contains(err.Reason, "METER") }
