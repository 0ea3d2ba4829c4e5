// Package attribution goes back from a flow to what it is of: the rule, the port or the stage, in
// words. It asks the flow itself, the contracts of the tables, the policy and where its ports are,
// so no memory is kept of why a flow was made. It is pure.
//
// Start with [New] and [Reader.Read].
package attribution
