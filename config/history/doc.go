// Package history keeps the files of policies that were in force, as numbered generations, in a
// folder that outlives the daemon; puts them back in the policy's place; and keeps the record of
// policies that are on trial. It decides nothing about when: the daemon and the commands do.
//
// Start with [Open], [Store.Keep] and [Store.Last].
package history
