// Package example is the world of the example policy (docs/examples/policy.yaml), and by hand, from
// reading that file, the table of who may reach whom. The table is made by no code that is tested;
// a test and the demonstration hold the daemon against it.
package example
