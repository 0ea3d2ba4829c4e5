// Package objects has the commands that show and change single objects of a policy: group, rule,
// instance, port, host and project, each with its verbs. What a verb does to a policy says package
// flows/policy/edit, how a change is made package fleet; here are the words.
package objects
