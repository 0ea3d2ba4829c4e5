package flows

import "github.com/portcullis/portcullis/flows/openflow"

// The registers of the pipeline and their bits: who wants to move one does it here, and nowhere else.
// Nothing else is written by the pipeline, and each bit has one meaning.
const (
	// regFlags has the verdict of a rule table and the origin of the packet: see [flagBits].
	regFlags = openflow.Reg0
	// regPort has the key of the port whose rules judge the packet now, which is also its conntrack
	// zone; 0 for uplinks.
	regPort = openflow.Reg1
	// regEpoch has the epoch of that port.
	regEpoch = openflow.Reg2
	// regRule has the id of the rule that admitted.
	regRule = openflow.Reg3
	// regPage has the page of a table that is asked for; 0 = the first, as of every table that has
	// no pages.
	regPage = openflow.Reg4
)

// What a connection carries.
const (
	markEpoch = openflow.CTMark  // the epoch in which it was last admitted
	labelRule = openflow.CTLabel // in bits 0 to 31 the id of the rule that admitted it
)

// PortRegister is the name of the register that has the key of the port under judgement.
const PortRegister = "reg1"

// flagBits are some of the bits of regFlags: what they are, and which of them count.
type flagBits struct{ value, mask uint32 }

var (
	flagAdmitted   = flagBits{0x1, 0x1} // the verdict of a rule table
	flagUndecided  = flagBits{0, 0x1}
	originInstance = flagBits{0x10, 0x30} // bit 4: it may go to the uplinks; bit 5: it is from outside
	originUplink   = flagBits{0x20, 0x30}
	originTrusted  = flagBits{0x30, 0x30}
	toUplinks      = flagBits{0x10, 0x10} // an instance or a trusted port
	fromOutside    = flagBits{0x20, 0x20} // an uplink or a trusted port
)

// zoneBits is where conntrack finds the zone of the port under judgement.
func zoneBits() openflow.Bits { return openflow.Some(regPort, 0, 15) }

func flags(b flagBits) openflow.OXM {
	return openflow.Masked(regFlags, uint64(b.value), uint64(b.mask))
}

func portKey(zone uint16) openflow.OXM    { return openflow.Number(regPort, uint64(zone)) }
func ctMark(epoch uint32) openflow.OXM    { return openflow.Number(markEpoch, uint64(epoch)) }
func pageKey(page uint32) openflow.OXM    { return openflow.Number(regPage, uint64(page)) }
func setFlags(b flagBits) openflow.Action { return openflow.SetField{OXM: flags(b)} }
func setPort(zone uint16) openflow.Action { return openflow.SetField{OXM: portKey(zone)} }

func setEpoch(epoch uint32) openflow.Action { return set(regEpoch, epoch) }
func setRule(id uint32) openflow.Action     { return set(regRule, id) }
func setPage(page uint32) openflow.Action   { return set(regPage, page) }

func set(f openflow.Field, value uint32) openflow.Action {
	return openflow.SetField{OXM: openflow.Number(f, uint64(value))}
}
