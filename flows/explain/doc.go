// Package explain answers questions about a policy in words: whether a connection or a conversation
// works and why ([Reader.Explain], [Reader.Converse]), who reaches whom ([Reader.Peers]), and what
// another policy changes ([CompareAccess]). Commands print what it returns.
//
// It asks package spec about frames and never decides itself; tests hold each answer against it.
package explain
