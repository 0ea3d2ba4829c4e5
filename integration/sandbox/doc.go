// Package sandbox runs a private Open vSwitch for one test: its own database, its own
// switch daemon, its own run directory. Several instances run side by side, none of them
// knows the Open vSwitch of the machine, and nothing is left when the test ends.
//
// Start here:
//
//	vs := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
//	vs.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy")
//	vs.Ofctl("dump-flows", "br-int")
//
// The package never changes the environment of the test process; the directories of Open
// vSwitch are told to child commands only. Where Open vSwitch is not installed the test is
// skipped with the reason, unless CI=true or PORTCULLIS_REQUIRE_OVS=1: then it fails.
package sandbox
