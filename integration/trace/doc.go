// Package trace asks a real switch what it would do to a packet of package flowtest, so that the
// fake switch there can be held against it. It needs the private Open vSwitch of package sandbox;
// its own tests are that comparison.
//
// Start with [Open] and [Bridge.Trace]; package ofswitch does the asking.
package trace
