package bridge

import (
	"strconv"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// Keys in external_ids that belong to Portcullis alone.
const (
	// KeyRevision is the policy revision on the Bridge row, decimal.
	KeyRevision = "portcullis-revision"
	// KeyDaemon says on the Bridge row which daemon holds, or held last, the lock of the bridge, in
	// words.
	KeyDaemon = "portcullis-daemon"
	// KeyZone is the conntrack zone of a port on its Port row, decimal.
	KeyZone = "portcullis-zone"
	// KeyUnflushed says on the Port row that the zone may still hold connections of the port that
	// had it before: those of epochs below the value, decimal.
	KeyUnflushed = "portcullis-unflushed"
	// KeyFor says on the Port row whose connections are in the zone: MAC address and instance.
	KeyFor = "portcullis-for"
	// KeyLastZone is the conntrack zone that was given out last, on the row of Open_vSwitch,
	// decimal.
	KeyLastZone = "portcullis-last-zone"
	// KeyEpoch is the epoch of a port on its Port row, decimal.
	KeyEpoch = "portcullis-epoch"
	// KeyOwner marks a Port row that Portcullis made, with the value OwnerValue.
	KeyOwner = "portcullis-owner"
	// OwnerValue is the value of KeyOwner.
	OwnerValue = "portcullis"
)

// Keys in an Interface's external_ids that libvirt and others write as well.
const (
	keyIfaceID     = "iface-id"     // the port as its owner names it
	keyAttachedMAC = "attached-mac" // the MAC address of the instance
	keyVMID        = "vm-id"        // the instance
)

// shadowPrefix + key holds what Portcullis wrote to a shared key of an Interface. The shared
// key is ours only while both are equal, so a later writer owns it from then on.
const shadowPrefix = "portcullis-"

// parseDecimal reads a number as this package writes it; anything else, also a leading zero
// or a sign, is 0: the same as no number.
func parseDecimal(text string, bits int) uint64 {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0
	}
	return n
}

func parseZone(ids map[string]string) uint16  { return uint16(parseDecimal(ids[KeyZone], 16)) }
func parseEpoch(ids map[string]string) uint32 { return uint32(parseDecimal(ids[KeyEpoch], 32)) }
func parseRevision(ids map[string]string) uint32 {
	return uint32(parseDecimal(ids[KeyRevision], 32))
}
func parseUnflushed(ids map[string]string) uint32 {
	return uint32(parseDecimal(ids[KeyUnflushed], 32))
}
func ownedByUs(ids map[string]string) bool { return ids[KeyOwner] == OwnerValue }

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// idChange is a change of a string map by key.
type idChange struct {
	drop map[string]string // pairs to remove, as they were read
	add  map[string]string
}

func newIDChange() idChange {
	return idChange{drop: map[string]string{}, add: map[string]string{}}
}

// set makes key hold value.
func (c idChange) set(have map[string]string, key, value string) {
	old, present := have[key]
	if present && old == value {
		return
	}
	if present {
		c.drop[key] = old
	}
	c.add[key] = value
}

// remove makes key disappear.
func (c idChange) remove(have map[string]string, key string) {
	if old, present := have[key]; present {
		c.drop[key] = old
	}
}

// ofOthers is the value of a key that others write too, unless it is what Portcullis wrote; "" =
// there is none.
func ofOthers(have map[string]string, key string) string {
	value := have[key]
	if mark, marked := have[shadowPrefix+key]; marked && mark == value {
		return ""
	}
	return value
}

// share writes value to a key that others write too, unless they have; "" takes back what was
// written.
func (c idChange) share(have map[string]string, key, value string) {
	shadow := shadowPrefix + key
	current, present := have[key]
	mark, marked := have[shadow]
	ours := present && marked && mark == current
	switch {
	case value == "" && ours:
		c.remove(have, key)
		c.remove(have, shadow)
	case value == "" || present && !ours:
		c.remove(have, shadow)
	default:
		c.set(have, key, value)
		c.set(have, shadow, value)
	}
}

// mutations are the change as OVSDB mutations of a column. Removing exact pairs and adding
// only keys that are absent (RFC 7047, 5.1) leaves alone what somebody wrote in between.
func (c idChange) mutations(column string) []libovsdb.Mutation {
	var out []libovsdb.Mutation
	if len(c.drop) > 0 {
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationDelete,
			stringMap(c.drop)))
	}
	if len(c.add) > 0 {
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationInsert,
			stringMap(c.add)))
	}
	return out
}

func stringMap(m map[string]string) libovsdb.OvsMap {
	out := libovsdb.OvsMap{GoMap: make(map[any]any, len(m))}
	for key, value := range m {
		out.GoMap[key] = value
	}
	return out
}
