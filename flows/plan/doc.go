// Package plan says what a policy would change on one host before it is in force: who gains and
// loses which access, which ports' connections are judged again and which live ones are cut, and
// which flows come and go. It is pure; the daemon's API and the command plan ask it. A change costs
// what it touches, if the [Maker] is kept.
package plan
