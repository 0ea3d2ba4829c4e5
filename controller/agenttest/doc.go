// Package agenttest is a host for tests: policy, database and switch are fakes that outlive the
// agent, and fail when they are told to.
//
// Start with [Run] and [World].
package agenttest
