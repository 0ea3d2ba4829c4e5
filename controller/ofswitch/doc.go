// Package ofswitch holds all conversations with one switch: it reads the flows back, changes them
// in one atomic bundle, and tells when somebody else changed them or the switch went away; it puts
// meters and limits of zones, counts, lists connections, hears of denied packets and traces.
//
// Bundles, meters, packets-out, the flow monitor and what flows are and have counted are OpenFlow
// messages on connections of our own (conn.go, message.go; package openflow writes and reads the
// flows in them). A flow of somebody else that has what no program has is printed by `ovs-ofctl`.
// What OpenFlow does not have is asked of ovs-vswitchd at its control socket (zones.go; package
// unixctl).
//
// It remembers nothing of the flows: what is wanted is the caller's business.
//
// Start with [Switch]; bundle.go writes, dump.go reads, watch.go listens.
package ofswitch
