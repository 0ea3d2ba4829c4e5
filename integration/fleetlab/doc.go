// Package fleetlab builds a fleet on this machine: the members of a policy database, a relay, and
// hosts that follow it, each with a network namespace, an Open vSwitch and a daemon of its own, and
// instances whose packets are real. The tests, the demonstration of a fleet and its measurements
// are its users; it knows nothing of package testing.
//
//	  m1   m2   m3   relay   operator
//	──┴────┴────┴──┬──┴────────┴──┬────── management: a switch of the kernel, TCP
//	            ┌──┴──┐        ┌──┴──┐
//	   web-1 ───┤ hv1 │        │ hv2 ├─── db-1     an Open vSwitch and a daemon in each
//	            └──┬──┘        └──┬──┘
//	───────────────┴──────────────┴──┬─── fabric: a hub between the uplinks
//	                              router, office
//
// What happens to a fleet can be done to each of its parts: it is killed, stopped where it is, or
// cut off from all others, or from one ([Node.CutOff], [Node.CutFrom]).
//
// Start with [New]; [Lab.Place] puts an instance on a host, and what its packets do is asked of the
// [testnet.Crowd] that a Lab is.
package fleetlab
