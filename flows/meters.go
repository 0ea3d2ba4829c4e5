package flows

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// meterKind is what one of the meters of a port counts.
type meterKind uint32

const (
	meterDiscovery    meterKind = iota // ARP, ND and DHCP that the port sends
	meterEgress                        // connections that it opens
	meterIngress                       // connections that others open to it
	meterFragmentsOut                  // IP fragments that it sends
	meterFragmentsIn                   // IP fragments that are sent to it
)

const (
	maxZone = 65535
	// lowKinds are the kinds whose meters have the lowest numbers, highKinds those that came later and
	// have theirs behind all others.
	lowKinds  = uint32(meterFragmentsOut)
	highKinds = 2
)

// Meters are numbered by what they are for. Open vSwitch takes any number up to OFPM_MAX; what it
// bounds is how many there are at one time.
const (
	// FirstDeniedMeter is the first number behind those of the ports' own meters: see [writer.denial].
	FirstDeniedMeter = lowKinds*maxZone + 1
	// OutsideFragmentsMeter is the meter of what comes from outside.
	OutsideFragmentsMeter = FirstDeniedMeter + deniedMeters
	firstFragmentsMeter   = OutsideFragmentsMeter + 1
	// MaxMeter is the highest number of a meter that any program has.
	MaxMeter = firstFragmentsMeter + highKinds*maxZone - 1
)

// meterID returns the number of a meter. It depends on the port's zone alone, so it outlives
// restarts of everything, and those of earlier releases are the same: a change of the release
// changes no meter that a flow names.
func meterID(zone uint16, kind meterKind) uint32 {
	if kind >= meterFragmentsOut {
		return firstFragmentsMeter + highKinds*uint32(zone-1) + uint32(kind-meterFragmentsOut)
	}
	return lowKinds*uint32(zone-1) + uint32(kind) + 1
}

// What meters hold, in words.
const (
	MeterOfDiscovery    = "ARP, neighbour discovery and DHCP that it sends"
	MeterOfOpenings     = "connections that it opens"
	MeterOfOpened       = "connections that are opened to it"
	MeterOfFragmentsOut = "fragments that it sends"
	MeterOfFragmentsIn  = "fragments that are sent to it"
	MeterOfDenied       = "denied packets that are shown"
	MeterOfOutside      = "fragments from outside"
)

// MeterUse says what a meter is for.
type MeterUse struct {
	Of   string // one of MeterOfDiscovery and so on; "" = it is none of ours
	Zone uint16 // of the port that it holds; 0 = it holds several
}

// MeterOf returns what the meter of a number is for.
func MeterOf(id uint32) MeterUse {
	switch low, high := id-1, id-firstFragmentsMeter; {
	case id == 0 || id > MaxMeter:
		return MeterUse{}
	case id < FirstDeniedMeter:
		return MeterUse{[]string{MeterOfDiscovery, MeterOfOpenings, MeterOfOpened}[low%lowKinds],
			uint16(low/lowKinds + 1)}
	case id < OutsideFragmentsMeter:
		return MeterUse{Of: MeterOfDenied}
	case id == OutsideFragmentsMeter:
		return MeterUse{Of: MeterOfOutside}
	default:
		return MeterUse{[]string{MeterOfFragmentsOut, MeterOfFragmentsIn}[high%highKinds],
			uint16(high/highKinds + 1)}
	}
}

// Meter is an OpenFlow meter that drops packets above a rate.
type Meter struct {
	ID    uint32 // 1 to [MaxMeter]
	Rate  uint32 // packets a second
	Burst uint32 // packets that may come at once after a pause
}

// String returns the meter as `ovs-ofctl add-meter` takes it.
func (m Meter) String() string {
	return fmt.Sprintf("meter=%d,pktps,burst,stats,bands=type=drop,rate=%d,burst_size=%d", m.ID,
		m.Rate, m.Burst)
}

// ZoneLimit is the most connections that a conntrack zone remembers.
type ZoneLimit struct {
	Zone        uint16
	Connections uint32 // never 0
}

// String returns the limit as `ovs-appctl dpctl/ct-set-limits` takes it.
func (l ZoneLimit) String() string { return fmt.Sprintf("zone=%d,limit=%d", l.Zone, l.Connections) }

// limitsOf returns what holds a port: nothing holds a trusted one.
func limitsOf(p policy.Port, site policy.Site) policy.Limits {
	if p.Trusted {
		return policy.Limits{}
	}
	return p.Limits.Or(site.Limits)
}

// metered returns the actions behind the meter of a port, or the actions alone where there is no
// limit or the switch cannot meter:
//
//	table=10, priority=200,arp,reg1=0x7,… actions=meter:19,resubmit(,20)
func (w *writer) metered(p *port, kind meterKind, as ...openflow.Action) []openflow.Action {
	m, ok := w.meterOf(p, kind)
	if !ok {
		return as
	}
	p.names(m)
	return append([]openflow.Action{meter(m.ID)}, as...)
}

// meterOf returns the meter of a port. After a pause it lets through as many packets at once as in
// a second; of fragments at least as many as two datagrams of 64 KiB have.
func (w *writer) meterOf(p *port, kind meterKind) (Meter, bool) {
	rate := p.limits.NewConnections
	switch kind {
	case meterDiscovery:
		rate = p.limits.ARPNDDHCP
	case meterFragmentsOut, meterFragmentsIn:
		rate = p.limits.Fragments
	}
	m := Meter{ID: meterID(p.Zone, kind), Rate: uint32(rate), Burst: uint32(rate)}
	if kind >= meterFragmentsOut {
		m.Burst = fragmentBurst(rate)
	}
	return m, rate.IsSet() && w.has(m, p)
}

func fragmentBurst(rate policy.Limit) uint32 {
	const two64KiB = 100
	return max(uint32(rate), two64KiB)
}

// outsideMeter returns the meter of the fragments that come from outside.
func (x *index) outsideMeter() (Meter, bool) {
	rate := x.site.OutsideFragments
	return Meter{ID: OutsideFragmentsMeter, Rate: uint32(rate), Burst: fragmentBurst(rate)},
		rate.IsSet() && OutsideFragmentsMeter <= x.lastMeter
}

// has says whether the switch has a meter that a port needs, and notes if it has not.
func (w *writer) has(m Meter, p *port) bool {
	p.unmetered = p.unmetered || m.ID > w.lastMeter
	return m.ID <= w.lastMeter
}

// meterClients takes what DHCP clients send with an own address past the meter; without one nothing
// distinguishes it from other IP.
func (w *writer) meterClients(p *port, u policy.Use) {
	if _, ok := w.meterOf(p, meterDiscovery); !ok {
		return
	}
	udp, client, server := ovs.ProtocolUDPv4, uint16(68), uint16(67)
	if u.Prefix.Addr().Is6() {
		udp, client, server = ovs.ProtocolUDPv6, 546, 547
	}
	w.add(tableSourceGuard, 210,
		on(proto(udp), portKey(p.Zone), dlSrc(u.MAC), frag(openflow.NoFragment), ipSrc(u.Prefix),
			udpSrc(client), udpDst(server)),
		w.metered(p, meterDiscovery, to(tableDispatch))...)
}

// meterOpenings takes the first packet of each admitted connection past the meter. A connection
// that is remembered carries an epoch, which is never 0: neither it nor a stream of datagrams that
// nobody answers is counted again.
//
//	table=33, priority=110,ct_mark=0,ip,reg0=0x1/0x1,reg1=0x7 actions=meter:20,ct(commit,…),resubmit(,40)
func (w *writer) meterOpenings(s stage, p *port) {
	kind := meterEgress
	if s.verdict == tableIngressVerdict {
		kind = meterIngress
	}
	if _, ok := w.meterOf(p, kind); !ok {
		return
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(s.verdict, 110, on(proto(ip), ctMark(0), flags(FlagAdmitted), portKey(p.Zone)),
			w.metered(p, kind, commit(), to(s.next))...)
	}
}

// names notes that a flow of the port names a meter.
func (p *port) names(m Meter) {
	if !slices.Contains(p.meters, m) {
		p.meters = append(p.meters, m)
	}
}

// Limits are what a program needs beside its flows.
type Limits struct {
	Meters     []Meter     // that the flows name, by id
	ZoneLimits []ZoneLimit // by zone
	// ports whose limits of packets, or whose log of denied packets, are left out, because the switch
	// has no meters for them
	Unmetered []string
}

func (x *index) limits() Limits {
	var l Limits
	if m, ok := x.outsideMeter(); ok {
		l.Meters = append(l.Meters, m)
	}
	for _, p := range byZone(slices.Collect(maps.Values(x.ports))) {
		l.Meters = append(l.Meters, p.meters...)
		if c := p.limits.Connections; c.IsSet() {
			l.ZoneLimits = append(l.ZoneLimits, ZoneLimit{Zone: p.Zone, Connections: uint32(c)})
		}
		if p.unmetered {
			l.Unmetered = append(l.Unmetered, p.Port.Name)
		}
	}
	slices.SortFunc(l.Meters, func(a, b Meter) int { return cmp.Compare(a.ID, b.ID) })
	l.Meters = slices.Compact(l.Meters) // those of denied packets are shared
	slices.Sort(l.Unmetered)
	return l
}

// text returns the limits as comments of a flow file.
func (l Limits) text() string {
	var b strings.Builder
	for _, m := range l.Meters {
		fmt.Fprintf(&b, "# %s\n", m)
	}
	for _, z := range l.ZoneLimits {
		fmt.Fprintf(&b, "# %s\n", z)
	}
	return b.String()
}

// MeterDelta is what turns the meters of a switch into those of a program. Those to add and to
// change must be there before the flows that name them; those to delete may go only after, because
// a switch deletes the flows along with their meter.
type MeterDelta struct{ Add, Change, Delete []Meter }

// DiffMeters returns what turns have into want. Meters above [MaxMeter] are somebody else's. The
// result is sorted.
func DiffMeters(want, have []Meter) MeterDelta {
	held := make(map[uint32]Meter, len(have))
	for _, m := range have {
		if m.ID <= MaxMeter {
			held[m.ID] = m
		}
	}
	var d MeterDelta
	for _, m := range want {
		switch h, ok := held[m.ID]; {
		case !ok:
			d.Add = append(d.Add, m)
		case h != m:
			d.Change = append(d.Change, m)
		}
		delete(held, m.ID)
	}
	for _, id := range sortedKeys(held) {
		d.Delete = append(d.Delete, held[id])
	}
	byID := func(a, b Meter) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(d.Add, byID)
	slices.SortFunc(d.Change, byID)
	return d
}

// DeniedBytes is how much of a denied packet is shown: enough for the headers up to the ports, also
// behind extension headers of IPv6.
const DeniedBytes = 128

const (
	// deniedMeters is how many meters the ports share that show what they deny, by zone. There is no
	// room for one for each zone below what the kernel takes; and ports that share one only share how
	// much is shown.
	deniedMeters = 256
	// deniedRate is how many packets a second one of them lets through to be shown, and how many at
	// once after a pause.
	deniedRate = 10
)

// ShowsDenied says whether packets that the rules deny at a port are shown. Nothing is denied at a
// trusted one.
func ShowsDenied(p policy.Port, site policy.Site) bool {
	return !p.Trusted && p.LogDenied.Or(site.LogDenied)
}

// denial returns what is done with a packet that no rule of the port admits: it is dropped; and
// before, if it shall be shown, a copy of its first bytes goes to whoever asked the switch for
// such, as long as the meter lets it. A flood ends at the meter, which is in the datapath. Where
// the switch has no such meter nothing is shown: unmetered, each packet would go through
// ovs-vswitchd.
//
//	table=53, priority=50,reg1=0x7 actions=meter:196613,CONTROLLER:128
func (w *writer) denial(p *port) []openflow.Action {
	if !ShowsDenied(p.Port, w.site) {
		return nil
	}
	m := Meter{ID: FirstDeniedMeter + uint32(p.Zone)%deniedMeters, Rate: deniedRate, Burst: deniedRate}
	if !w.has(m, p) {
		return nil
	}
	p.names(m)
	return []openflow.Action{meter(m.ID), openflow.Show{Bytes: DeniedBytes}}
}
