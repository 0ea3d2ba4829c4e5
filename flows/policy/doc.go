// Package policy holds the values that the rest of the program speaks of (groups, rules, instances, ports, packets) and [Decide],
// the executable specification: what must happen to one frame, given a policy and where the frame enters the switch.
//
// Everything here is a plain value: no I/O, no clock, no log. Zero values deny: a zero [Rule] admits nothing, a zero [Decision]
// delivers to nobody. Directions are always seen from the instance: ingress is traffic to it, egress is traffic from it.
//
// Start with [Policy], then read decide.go.
package policy
