// Package apiclient changes and reads a policy through an API server, as commands do it in a policy
// database: what takes a policydb.Client takes a Client as well.
//
//   - client.go asks, and says in words what is wrong with a server that does not answer.
//   - policy.go: the policy, its history, and changes. A change is made here, and sent as what
//     differs from the generation that it was made of.
//   - hosts.go: what only hosts know, of all that answer.
//   - contexts.go: the servers that somebody works with, in a file of theirs alone.
package apiclient
