// Package integration tests the daemon as its users meet it: a real Open vSwitch, the real program,
// and real packets between network namespaces. Each statement of the semantics (L2-1 to L2-9, R-1
// to R-8) has a test function named after it; every forged frame that must be dropped has an honest
// twin, sent on the same way, that must pass.
//
// The tests need root (or CAP_NET_ADMIN and CAP_SYS_ADMIN) and Open vSwitch, but no kernel module:
// the switch runs on the userspace datapath, unless PORTCULLIS_TEST_DATAPATH is "kernel". They are
// built with the tag integration:
//
//	go test -tags integration ./integration            on this machine, in namespaces of their own
//	integration/container/run.sh                        the same binary in a container made of Debian packages
//	integration/kernel/run.sh                           the same binary on the kernel's datapath, in a virtual machine with Debian's kernel
//
// Start with world_test.go, which shows that the harness sees what leaks, then read the scenarios.
// Package testnet is the harness.
package integration
