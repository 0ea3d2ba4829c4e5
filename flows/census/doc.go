// Package census answers questions whose ends are many: a group, a network, a host, everybody
// outside. Whether all pairs of them, some or none may open connections, and for which it is so,
// with one of each kind explained. The commands explain and test print what it returns.
//
// It asks no pair twice that is judged alike: who is told apart by no rule and no guard is of one
// class, and classes are asked. What it says holds for each pair, which tests hold against
// [spec.Decide]. It is pure.
//
// Start with [New] and [Census.Ask]. census.go counts who is there, net.go cuts networks where
// rules do, crowd.go makes the classes of an end, ask.go asks them, kind.go says why, only.go asks
// who else is admitted.
package census
