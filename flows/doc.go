// Package flows compiles a policy to the OpenFlow program of one bridge. It is pure: policy and
// ports in, flows out, the same bytes for the same input; no I/O, no clock, no log.
//
// Where to start: pipeline.go declares the tables and says what each may match and where it may go;
// guard.go, deliver.go, state.go and rules.go write the flows of the stages, unit by unit
// (index.go); compiler.go turns the program of one input into that of the next; compare.go tells
// what a switch holds from it.
package flows

//go:generate go test -run TestPipelinePage . -update
