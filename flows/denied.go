package flows

import (
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// DeniedBytes is how much of a denied packet is shown: enough for the headers up to the ports, also behind extension headers of IPv6.
const DeniedBytes = 128

const (
	// deniedMeters is how many meters the ports share that show what they deny, by zone. There is no room for one for each zone below what
	// the kernel takes; and ports that share one only share how much is shown.
	deniedMeters = 256
	// deniedRate is how many packets a second one of them lets through to be shown, and how many at once after a pause.
	deniedRate = 10
)

// ShowsDenied says whether packets that the rules deny at a port are shown. Nothing is denied at a trusted one.
func ShowsDenied(p policy.Port, site policy.Site) bool {
	return !p.Trusted && p.LogDenied.Or(site.LogDenied)
}

// denial returns what is done with a packet that no rule of the port admits: it is dropped; and before, if it shall be shown, a copy of its
// first bytes goes to whoever asked the switch for such, as long as the meter lets it. A flood ends at the meter, which is in the
// datapath. Where the switch has no such meter nothing is shown: unmetered, each packet would go through ovs-vswitchd.
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
