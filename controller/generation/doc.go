// Package generation is the policy of the daemon over time: it takes what the files say, keeps what
// came into force, goes back to that where the files cannot be taken, and tells who gained and lost
// access.
//
// Start with [Source].
package generation
