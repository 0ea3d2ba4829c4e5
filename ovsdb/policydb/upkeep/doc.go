// Package upkeep keeps a policy database in order beside one of its members: `portcullis db run`
// runs it, at each member. It writes a beat while nothing is committed, so that hosts know that
// what they read is not old; takes changes on trial back that nobody confirms; and has changes
// forgotten that are more than the database is to remember. It decides nothing about the policy.
//
// Several do it at one time: each thing is one transaction under a condition that only the first
// one meets, so that nobody has to be chosen, and none is missed when members die.
package upkeep
