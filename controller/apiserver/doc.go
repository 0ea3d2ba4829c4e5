// Package apiserver serves a policy database by HTTP, to whoever may: REST below /v1, and what it
// is in an OpenAPI document that is made of the same table as the routes. It keeps no state:
// several servers may run before one database.
//
//   - routes.go has the one table: method, path, the role that is needed, what is asked and answered.
//   - server.go takes a request through it: limits, who asks, whether they may, and the answer.
//   - authenticate.go finds out who asks; problem.go says no.
//   - groups.go, rules.go, instances.go, changes.go, tokens.go change things; questions.go and
//     status.go answer; events.go tells of changes as they come.
//   - document.go describes all of it; project.go is what a project sees; write.go makes a change of an
//     edit, and merges patches.
//
//go:generate go test -run ^TestDocumentIsCurrent$ -update .
package apiserver
