// Package policydir loads the files of a policy, once ([Load]) or again and again at the cost of what
// changed ([Loader]). It watches nothing and logs nothing; a file system that hangs holds it up for a
// bounded time only.
package policydir
