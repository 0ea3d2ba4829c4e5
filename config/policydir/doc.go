// Package policydir loads the files of a policy, once ([Load]), again and again at the cost of what
// changed ([Loader]), or as a source that says when they changed ([Files], with inotify). A file
// system that hangs holds it up for a bounded time only.
package policydir
