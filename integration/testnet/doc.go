// Package testnet builds a small network around one Open vSwitch and the real daemon, and moves
// real packets through it: instances and outside hosts are network namespaces on veth pairs, the
// switch runs on the datapath of [ChosenDatapath], and nothing of the machine's own network is
// touched. The integration tests and the demonstration are its users; it knows nothing of package
// testing.
//
//	        ┌──────────────── switch namespace ────────────────┐
//	web-1 ──┤ tap-web-1 ┐                                      │     ┌── fabric ──┐
//	db-1  ──┤ tap-db-1  ┼ br-int (ovs-vswitchd, portcullis)    │     │   bridge   ├── router
//	        │           └ up0 ─────────────────────────────────┼─────┤            ├── attacker
//	        └──────────────────────────────────────────────────┘     └────────────┘
//
// The namespaces have no names: an OS thread and an open file hold each of them, so that they end
// with the process, however it ends. Child processes are killed by the kernel when the thread that
// started them is gone.
//
// Every host records what reaches its interface in promiscuous mode from its first moment on.
// "Never seen" is judged without waiting blindly: behind the forged frame an honest one is sent on
// the same way to every host (see [Crowd.Settle]), and when these have arrived, the forged one has
// arrived too or never will.
//
// Start with [New], then [World.Reaches], [World.Inject] and [Crowd.Saw].
package testnet
