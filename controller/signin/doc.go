// Package signin lets people sign in at an API server by OpenID Connect: authorization code with
// PKCE, state and nonce. It keeps nothing: what a browser has to bring back is in a cookie of its
// own, and a session is whatever the server's [Sessions] make of it.
//
//   - signin.go: /auth/login, /auth/callback and /auth/logout.
//   - claims.go: what a provider says of somebody, and which role that is.
package signin
