// Package ovstrace asks a switch what it would do to a packet (`ovs-appctl ofproto/trace`). Nothing is sent, and nothing is changed.
//
// Start with [Open] and [Bridge.Trace]. What the switch answers is parsed strictly: a datapath action that is not understood is an error.
package ovstrace
