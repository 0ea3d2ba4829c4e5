// Package lint finds in a valid policy what is hardly meant: SSH open to the world, a rule that
// another covers, a group that nobody is in. It says only what is sure, and a way out of each.
//
// It is called by the command check. It is pure, decides about no packet and changes nothing:
// whoever passes over what it finds runs the same policy.
package lint
