// Package policy holds the values that the rest of the program speaks of: groups, rules, instances
// and ports, the surroundings that the settings name, and what tells two policies apart.
//
// Everything here is a plain value: no I/O, no clock, no log. Zero values deny: a zero [Rule]
// admits nothing. Directions are always seen from the instance: ingress is traffic to it, egress is
// traffic from it. What a policy means is said in package spec.
package policy
