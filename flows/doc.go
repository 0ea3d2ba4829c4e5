// Package flows compiles a policy to the OpenFlow program of one bridge. It is pure: policy and ports in, flows out, the same bytes
// for the same input; no I/O, no clock, no log.
//
// Where to start: pipeline.go declares the tables and says what each may match and where it may go; compile.go calls one function
// for each stage in the order of the pipeline; rules.go turns security group rules into conjunctions; diff.go compares a program
// with what a switch holds.
package flows

//go:generate go test -run TestPipelinePage . -update
