// Package counters adds up what the flows of a switch count, so that the sums only grow: flows are replaced, deleted and installed
// again, and a switch that restarts begins at zero.
//
// It is pure: readings in, totals out; no I/O and no clock. Start with [Accumulator.Observe], which says what each change of a flow's
// counter means. What it must not do: count a packet twice. Packets that a flow has counted after the last reading and took along when
// it was deleted are lost to it.
package counters
