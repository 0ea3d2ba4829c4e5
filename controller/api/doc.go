// Package api is what a host answers on its socket: the types of v1 as JSON (types.go, inforce.go),
// who answers (server.go, socket.go) and who asks (client.go).
package api
