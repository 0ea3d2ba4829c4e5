// Package controller is a map of the wing that keeps one bridge equal to the policy. It holds no
// code.
//
//		policy files ─┐   ┌────────────── agent: the loop ──────────────┐
//		OVSDB rows ───┼──▶│ snapshot ▶ desired ▶ read back ▶ epochs ▶   │
//		flows held ───┘   │ write-ahead ▶ compile ▶ apply ▶ publish     │
//		                  └──────────────┬──────────────────────┬───────┘
//		                         ofswitch: one bundle        the hub
//		                                 │                      │
//		                           Open vSwitch        telemetry, api: read it
//
//	  - agent: what is wanted, what is installed, zones, epochs, what is left out. It publishes a
//	    snapshot after every turn.
//	  - ofswitch: all conversations with the switch: bundle, dump, meters, connections, counters,
//	    packets that come up, traces.
//	  - telemetry: counters, metrics, live connections, the log of denied packets.
//	  - api: the JSON of v1, who answers on the host's socket, and the client of the commands.
//	  - hostnet: what the host itself uses its network devices for.
//	  - agenttest: a host for the tests of all of these.
//
// Imports go one way: api to telemetry to agent to ofswitch. The agent knows nobody who reads it.
package controller
