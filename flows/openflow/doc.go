// Package openflow has flows as values: a match and a list of actions that are made of typed parts,
// can be asked for them, and are compact and comparable inside. Beside each other stand the two
// forms in which others know them: the text of ovs-ofctl, for people and for what comes from
// outside, and the bytes of OpenFlow 1.5, for the switch.
//
// It knows the fields and actions of the pipeline, in one table ([Field]), and no more. What it
// reads and does not know, or does not find in the form in which Open vSwitch prints it, it keeps
// as text: such a match or list of actions is equal to itself alone and to no other.
//
// It is pure. Start with [Flow], [NewMatch] and [NewActions].
package openflow
