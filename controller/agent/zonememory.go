package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file empties zones that change hands. sync calls judge, flush and sweep. Invariant: what
// a row says of others' connections is true until they are gone.

// A zone outlives its port: what conntrack remembers in it is another instance's until it is
// forgotten. Packets are safe from it by the epoch. But it would be listed as the next port's, and
// the kernel would count it against that port's limit. So a zone is given to another port as late
// as possible, it is emptied when a port has left it, and again after it is given to another port
// and before that port's flows are installed. What could not be emptied is in the row of the port,
// and is tried again.

// Conntrack is the switch's memory of connections.
type Conntrack interface {
	// Connections hands each connection of a zone (0 = of all zones) to take until there are no
	// more or take returns false.
	Connections(ctx context.Context, zone uint16, take func(ofswitch.Connection) bool) error
	// ForgetZone makes the switch forget all connections of a zone.
	ForgetZone(ctx context.Context, zone uint16) error
	// Forget makes the switch forget a connection, if it has it and if it can.
	Forget(ctx context.Context, c ofswitch.Connection) error
}

const (
	// flushTime bounds the emptying of zones that new ports wait for, and everybody's changes with
	// them.
	flushTime = 500 * time.Millisecond
	// sweepTime bounds what can be done later.
	sweepTime = 5 * time.Second
	// fewZones are emptied without looking first whether they hold anything: each is a conversation
	// with the switch.
	fewZones = 8
	// forgottenAtOnce bounds how many connections are forgotten one by one in one turn.
	forgottenAtOnce = 200
)

// zoneMemory is what the loop knows of the memory behind the zones.
type zoneMemory struct {
	conntrack Conntrack // nil = the switch has none
	log       *logrus.Entry

	// by port: zones without others' connections, and since when; their rows may not say so yet
	clean map[string]zoneEpoch
	// by port: zones given while the database was new, so that nobody knows what is in them
	unknown  map[string]uint16
	released map[uint16]bool // zones without a port that may not be empty
	err      string          // why others' connections are still there
}

func newZoneMemory(opts Options) zoneMemory {
	return zoneMemory{conntrack: opts.Conntrack, log: opts.Log, clean: map[string]zoneEpoch{},
		unknown: map[string]uint16{}, released: map[uint16]bool{}}
}

// judge tells a plan which of its zones are known to be clean, and notes which zones it leaves.
func (z *zoneMemory) judge(p *plan) {
	kept := map[uint16]bool{}
	for i := range p.ports {
		port := &p.ports[i]
		kept[port.zone] = true
		if port.isMoved && p.isNew {
			z.unknown[port.Name] = port.zone
		}
		now := zoneEpoch{port.zone, port.row.Unflushed}
		if port.row.Unflushed != 0 && z.clean[port.Name] == now {
			port.row.Unflushed = 0
		}
	}
	for _, zone := range p.released {
		z.released[zone] = true
	}
	for zone := range z.released {
		if kept[zone] {
			delete(z.released, zone)
		}
	}
}

// flush empties the zones that ports have just been given, before their flows are there.
func (z *zoneMemory) flush(ctx context.Context, p *plan) {
	if z.conntrack == nil || p.isNew {
		return
	}
	byZone := map[uint16]*plannedPort{}
	var moved []uint16
	for i := range p.ports {
		if port := &p.ports[i]; port.isMoved && port.refused == "" {
			byZone[port.zone], moved = port, append(moved, port.zone)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	done, err := z.empty(ctx, moved)
	for _, zone := range done {
		port := byZone[zone]
		z.clean[port.Name] = zoneEpoch{zone, port.epoch}
	}
	z.complain(err)
}

// empty makes the switch forget all connections of zones, and returns those of which that is
// certain.
func (z *zoneMemory) empty(ctx context.Context, list []uint16) (done []uint16, err error) {
	isFull := func(uint16) bool { return true }
	if len(list) > fewZones {
		held := map[uint16]bool{}
		if err := z.conntrack.Connections(ctx, 0,
			func(c ofswitch.Connection) bool { held[c.Zone] = true; return true }); err != nil {
			return nil, err
		}
		isFull = func(zone uint16) bool { return held[zone] }
	}
	for _, zone := range list {
		if isFull(zone) {
			if err := z.conntrack.ForgetZone(ctx, zone); err != nil {
				return done, err
			}
		}
		done = append(done, zone)
	}
	return done, nil
}

// sweep does what the switch's program does not wait for: it empties zones that ports have left,
// and looks again at those that could not be emptied in time. Zones of ports that are live are not
// emptied: others' connections are forgotten one by one.
func (z *zoneMemory) sweep(ctx context.Context, p *plan, others bridge.Neighbours) {
	if z.conntrack == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	err := z.forget(ctx, z.suspects(p))
	left := make([]uint16, 0, len(z.released))
	for zone := range z.released {
		if _, isOthers := others.Zones[zone]; isOthers {
			delete(z.released, zone)
			continue
		}
		left = append(left, zone)
	}
	slices.Sort(left)
	done, released := z.empty(ctx, left)
	for _, zone := range done {
		delete(z.released, zone)
	}
	z.complain(errors.Join(err, released))
}

// suspect is a port in whose zone may be others' connections.
type suspect struct {
	plannedPort
	isOthers func(ofswitch.Connection) bool
}

// suspects are the ports in whose zones may be others' connections, by zone.
func (z *zoneMemory) suspects(p *plan) map[uint16]suspect {
	out := map[uint16]suspect{}
	for _, port := range p.ports {
		since := port.since()
		switch {
		case port.refused != "" || port.zone == 0:
		case z.unknown[port.Name] == port.zone:
			// A database that is new may be one that was lost, and the zone this port's from
			// before. Its own connections go on.
			out[port.zone] = suspect{port,
				func(c ofswitch.Connection) bool { return !port.owns(c.Src) && !port.owns(c.Dst) }}
		case since != 0 && z.clean[port.Name] != zoneEpoch{port.zone, since}:
			out[port.zone] = suspect{port,
				func(c ofswitch.Connection) bool { return c.Mark < since }}
		}
	}
	return out
}

// forget makes the switch forget the connections that are others', and looks whether they are gone.
func (z *zoneMemory) forget(ctx context.Context, suspects map[uint16]suspect) error {
	found, err := z.find(ctx, suspects)
	if err != nil {
		return err
	}
	for _, c := range found {
		if err := z.conntrack.Forget(ctx, c); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		if found, err = z.find(ctx, suspects); err != nil || len(found) > 0 {
			return err // the rest the next time, or it ends by itself
		}
	}
	for _, s := range suspects {
		z.clean[s.Name] = zoneEpoch{s.zone, s.since()}
		delete(z.unknown, s.Name)
	}
	return nil
}

// find returns connections that are others', no more than are forgotten at once.
func (z *zoneMemory) find(ctx context.Context,
	suspects map[uint16]suspect) (found []ofswitch.Connection, err error) {
	ask := slices.Sorted(maps.Keys(suspects))
	if len(ask) > fewZones {
		ask = []uint16{0}
	}
	for _, zone := range ask {
		err := z.conntrack.Connections(ctx, zone, func(c ofswitch.Connection) bool {
			if s, ok := suspects[c.Zone]; ok && s.isOthers(c) && len(found) < forgottenAtOnce {
				found = append(found, c)
			}
			return len(found) < forgottenAtOnce
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// warnings are for the status.
func (z *zoneMemory) warnings() []string {
	if z.err == "" {
		return nil
	}
	return []string{z.err}
}

// complain notes the first trouble, and logs it when it is new. No error ends it.
func (z *zoneMemory) complain(err error) {
	text := ""
	if err != nil {
		text = fmt.Sprintf("connections of ports that are gone are still remembered: %v", err)
	}
	if text != "" && text != z.err {
		z.log.Warn(text)
	}
	z.err = text
}
