package flows

import (
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// The actions of the pipeline, by short names, so that stages read as plain lists.

func to(t TableID) openflow.Action                { return openflow.Resubmit{Table: uint8(t)} }
func push(f openflow.Field) openflow.Action       { return openflow.Push{Bits: openflow.All(f)} }
func pop(f openflow.Field) openflow.Action        { return openflow.Pop{Bits: openflow.All(f)} }
func move(from, to openflow.Bits) openflow.Action { return openflow.Move{From: from, To: to} }

// meter drops what is above the rate of a meter. Open vSwitch takes it as the first action only.
func meter(id uint32) openflow.Action { return openflow.Meter{ID: id} }

// all joins lists of actions.
func all(lists ...[]openflow.Action) []openflow.Action { return slices.Concat(lists...) }

// track sends the packet through the zone of the port under judgement and on to a table. Whatever
// zone it was in before is left.
func track(t TableID) []openflow.Action {
	return []openflow.Action{openflow.ClearTrack{}, openflow.Track{Table: uint8(t), Zone: zoneBits()}}
}

// commit remembers the connection in the zone of the port under judgement, with the epoch and the
// rule that admitted it.
func commit() openflow.Action {
	return openflow.Track{Commit: true, Table: openflow.NoTable, Zone: zoneBits(), Exec: openflow.NewActions(
		move(openflow.All(RegEpoch), openflow.All(markEpoch)),
		move(openflow.All(RegRule), openflow.Some(labelRule, 0, 31)))}
}
