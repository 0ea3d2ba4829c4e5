// Package flowtest is an honest fake switch: it forwards packets through flows that are given as
// text, the way Open vSwitch does, with conjunctive matches and a connection tracker. It exists so
// that tests can ask what a compiled program does to a packet without starting a switch.
//
// Honest means three things. What the fake does not understand it refuses with an error; it never
// skips it. Text that is not exactly what Open vSwitch would print is refused too, because flows
// are compared as text. And where Open vSwitch leaves the outcome open (two flows of one priority,
// two conjunctions that are both complete), the result says so in [Result.Ties].
//
// Start with [New] and [Switch.Forward]. field.go declares the fields, match.go and action.go
// parse, table.go looks up, conntrack.go tracks connections, [Lint] checks what no single packet
// shows. The package does no I/O; package trace beside it compares the fake with a real switch.
package flowtest
