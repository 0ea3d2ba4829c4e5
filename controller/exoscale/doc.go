// Package exoscale answers below /v2 as Exoscale's API v2 does, as far as it is about security
// groups, so that clients made for that one work with Portcullis unchanged: its command line, its
// Terraform provider, its libraries. `portcullis serve --exoscale-zone NAME` mounts it.
//
//   - handler.go takes a request from the first byte to the answer; routes.go is the table of them.
//   - signature.go finds out who asks; replays.go has one request be made once.
//   - groups.go, rules.go and instances.go answer; names.go is what a key sees, and IDs.
//
// It must not judge what a valid policy is, and keeps nothing that another server would need.
package exoscale
