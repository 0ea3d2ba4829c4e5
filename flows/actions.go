package flows

import (
	"fmt"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// What go-openvswitch cannot express is a rawAction: ct_clear, pop_vlan, push, pop and meter. Beside that only what it has written before.
type rawAction string

func (a rawAction) MarshalText() ([]byte, error) { return []byte(a), nil }
func (a rawAction) GoString() string             { return fmt.Sprintf("flows.rawAction(%q)", string(a)) }

const (
	ctClear = rawAction("ct_clear")
	popVLAN = rawAction("pop_vlan")
)

func push(field string) ovs.Action { return rawAction("push:" + field) }
func pop(field string) ovs.Action  { return rawAction("pop:" + field) }

// meter drops what is above the rate of a meter. Open vSwitch takes it as the first action only.
func meter(id uint32) ovs.Action { return rawAction(fmt.Sprintf("meter:%d", id)) }

func to(t TableID) ovs.Action               { return ovs.Resubmit(0, int(t)) }
func set(register, value string) ovs.Action { return ovs.SetField(value, register) }
func move(from, into string) ovs.Action     { return ovs.Move(from, into) }

// all joins lists of actions.
func all(lists ...[]ovs.Action) []ovs.Action { return slices.Concat(lists...) }

// track sends the packet through the zone of the port under judgement and on to a table. Whatever zone it was in before is left.
func track(t TableID) []ovs.Action {
	return []ovs.Action{ctClear, ovs.ConnectionTracking(fmt.Sprintf("table=%d,zone=NXM_NX_REG1[0..15]", t))}
}

// commit remembers the connection in the zone of the port under judgement, with the epoch and the rule that admitted it.
func commit() ovs.Action {
	return ovs.ConnectionTracking("commit,zone=NXM_NX_REG1[0..15]," +
		"exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[],move:NXM_NX_REG3[]->NXM_NX_CT_LABEL[0..31])")
}

// actionTexts returns the text of each action; none at all is a drop.
func actionTexts(as []ovs.Action) ([]string, error) {
	if len(as) == 0 {
		as = []ovs.Action{ovs.Drop()}
	}
	parts := make([]string, len(as))
	for i, a := range as {
		if known, ok := a.(rawAction); ok {
			parts[i] = string(known)
			continue
		}
		raw, err := a.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("action %#v: %w", a, err)
		}
		parts[i] = string(raw)
	}
	return parts, nil
}
