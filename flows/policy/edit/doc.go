// Package edit has the single changes that people and programs make to a policy: a group more, a
// rule less, an instance on another host. Each makes another policy of one, leaves alone what it
// was given, and shares with it all that stays. What a whole policy may be says package policy;
// here is what only a change can do wrong: name what is not there, or take away what is still
// needed.
//
// Commands use it, and who keeps the policy in a database: lists stay in the order of names, as a
// database has them.
package edit
