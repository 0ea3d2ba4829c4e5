package flows

import "github.com/portcullis/portcullis/flows/openflow"

// The registers of the pipeline and their bits: who wants to move one does it here, and nowhere
// else. Nothing else is written by the pipeline, and each bit has one meaning.
const (
	// RegFlags has the verdict of a rule table and the origin of the packet: see [Flags].
	RegFlags = openflow.Reg0
	// RegPort has the key of the port whose rules judge the packet now, which is also its conntrack
	// zone; 0 for uplinks.
	RegPort = openflow.Reg1
	// RegEpoch has the epoch of that port.
	RegEpoch = openflow.Reg2
	// RegRule has the id of the rule that admitted.
	RegRule = openflow.Reg3
	// RegPage has the page of a table that is asked for; 0 = the first, as of every table that has
	// no pages.
	RegPage = openflow.Reg4
)

// What a connection carries.
const (
	markEpoch = openflow.CTMark  // the epoch in which it was last admitted
	labelRule = openflow.CTLabel // in bits 0 to 31 the id of the rule that admitted it
)

// Flags are some of the bits of RegFlags: what they are, and which of them count.
//
//	bit 0       the verdict of a rule table: 1 = admitted
//	bits 4, 5   the origin: 1 an instance, 2 an uplink, 3 a trusted port
type Flags struct{ Value, Mask uint32 }

// The flags that are written and matched.
var (
	FlagAdmitted    = Flags{0x1, 0x1} // the verdict of a rule table
	FlagUndecided   = Flags{0, 0x1}
	OriginInstance  = Flags{0x10, 0x30}
	OriginUplink    = Flags{0x20, 0x30}
	OriginTrusted   = Flags{0x30, 0x30}
	FlagToUplinks   = Flags{0x10, 0x10} // of an instance or a trusted port
	FlagFromOutside = Flags{0x20, 0x20} // of an uplink or a trusted port
)

// zoneBits is where conntrack finds the zone of the port under judgement.
func zoneBits() openflow.Bits { return openflow.Some(RegPort, 0, 15) }

func flags(b Flags) openflow.OXM {
	return openflow.Masked(RegFlags, uint64(b.Value), uint64(b.Mask))
}

func portKey(zone uint16) openflow.OXM    { return openflow.Number(RegPort, uint64(zone)) }
func ctMark(epoch uint32) openflow.OXM    { return openflow.Number(markEpoch, uint64(epoch)) }
func pageKey(page uint32) openflow.OXM    { return openflow.Number(RegPage, uint64(page)) }
func setFlags(b Flags) openflow.Action    { return openflow.SetField{OXM: flags(b)} }
func setPort(zone uint16) openflow.Action { return openflow.SetField{OXM: portKey(zone)} }

func setEpoch(epoch uint32) openflow.Action { return set(RegEpoch, epoch) }
func setRule(id uint32) openflow.Action     { return set(RegRule, id) }
func setPage(page uint32) openflow.Action   { return set(RegPage, page) }

func set(f openflow.Field, value uint32) openflow.Action {
	return openflow.SetField{OXM: openflow.Number(f, uint64(value))}
}
