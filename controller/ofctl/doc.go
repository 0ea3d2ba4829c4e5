// Package ofctl speaks to one switch: it reads the flows back, changes them in one atomic bundle, and tells when somebody else changed
// them or the switch went away. It does so through `ovs-ofctl`, except that bundles are sent in OpenFlow ([openflow.Send]) where that
// is possible.
//
// It knows nothing of policies and remembers nothing of the flows: what is wanted is the caller's business. It must not interpret a
// match or an action; flows are compared as the text that Open vSwitch prints.
//
// Start with [Switch]; bundle.go writes, dump.go reads, watch.go listens.
package ofctl
