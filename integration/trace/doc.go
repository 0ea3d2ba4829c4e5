// Package trace asks a real switch what it would do to a packet (`ovs-appctl ofproto/trace`), so that the fake switch of package
// flowtest can be held against it. It needs the private Open vSwitch of package ovstest; its own tests are that comparison.
//
// Start with [Open] and [Bridge.Trace]. What the switch answers is parsed strictly: a datapath action that is not understood is an error.
package trace
