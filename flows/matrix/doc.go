// Package matrix says who reaches whom: for all groups of a policy, or for instances, and for the
// networks that rules name, which services pass from each to each when the egress of the one and
// the ingress of the other are both asked; and which rules are the arrows of a picture of it. The
// command matrix and the daemon print what it returns.
//
// It is pure. What a cell says is held against [spec.Decide] for each pair of members in random
// worlds.
package matrix
