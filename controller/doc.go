// Package controller is a map of the wing that keeps one bridge equal to the policy. It holds no code.
//
//		             ┌──────────────── agent: the loop, owns all state ────────────────┐
//		policy files │ snapshot ─▶ desired ─▶ read back ─▶ epochs ─▶ write-ahead (OVSDB) │
//		OVSDB rows ─▶│                     ─▶ compile ─▶ apply: one bundle ─▶ publish     │
//		flows held   └──────────────────────────┬──────────────────────────────┬───────┘
//		                                    ofswitch                          Hub
//		                          all conversations with the switch       │         │
//		                                                              telemetry ◀─ api
//
//	  - agent: what is wanted, what is installed, zones, epochs, what is left out. It publishes a
//	    snapshot after every turn.
//	  - ofswitch: dump, bundle, meters, connections, counters, packets that come up, traces.
//	  - openflow: what a flow is as bytes.
//	  - telemetry: counters, metrics, live connections, the log of denied packets.
//	  - api: the JSON of v1, who answers on the host's socket, and the client of the commands.
//	  - hostnet: what the host itself uses its network devices for.
//
// Imports go one way: api to telemetry to agent to ofswitch. The agent knows nobody who reads it.
package controller
