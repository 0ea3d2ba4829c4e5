// Package openflow writes flows as OpenFlow 1.5 messages.
//
// It knows the fields and actions of the pipeline and no others, in the canonical text that package
// flows writes: what it does not know it refuses, and its caller takes another way. What it writes is
// what ovs-ofctl would send for the same line; a test compares the two.
//
// Start with [AppendFlowMod]; match.go and action.go are its two halves, field.go and operand.go list
// what they know.
package openflow
