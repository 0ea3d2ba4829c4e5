// Package access says who may do what with the policy: roles, tokens, and secrets at rest. It is
// pure: who keeps tokens and who asks is elsewhere (ovsdb/policydb, controller/apiserver).
//
//   - role.go: three roles, each of a project or of all, and the one function that decides.
//   - token.go: bearer tokens, of which only a digest is kept.
//   - seal.go: secrets that must be had again, sealed with a key that no database holds.
package access
