// Package explain answers questions about a policy in words: whether a connection or a conversation
// works and why ([Explain], [Converse]), who reaches whom ([Peers]), and what another policy
// changes ([CompareAccess]). Commands print what it returns.
//
// It asks package spec about frames and never decides itself; tests hold each answer against it.
package explain
