// Package policytest makes policies and packets for tests: hosts by hand ([World]), and worlds and
// packets at random that meet often. The tests of policy, spec, explain and flows share it.
package policytest
