// Package attribution goes back from a flow to what it is of: the rule, the port or the stage, in
// words. Who has written a flow, the program knows. What it does is said of the flow itself, with
// the contracts of the tables and the names of rules and ports: so also of one that the program
// does not have. It is pure.
//
// Start with [New] and [Reader.Read].
package attribution
