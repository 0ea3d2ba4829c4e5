package telemetry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// This file says which connections are asked for. connections.go and watch.go call it. Invariant:
// what is not known is an error, never an empty answer.

// asked is what a [ConnectionsQuery] is about.
type asked struct {
	zones    map[uint16]agent.PortStatus // of the local ports
	peers    peerNames
	protocol policy.Protocol
	isOne    bool // of that protocol only
}

// newAsked looks up the names of a query. An unknown one is an error that wraps [ErrUnknownPort].
func newAsked(status *agent.Snapshot, q ConnectionsQuery) (asked, error) {
	a := asked{zones: map[uint16]agent.PortStatus{}}
	for _, p := range status.Ports {
		if p.Zone != 0 && (q.Port == "" || q.Port == p.Name) && (q.Instance == "" ||
			q.Instance == p.Instance) && (q.Group == "" || slices.Contains(p.Groups, q.Group)) &&
			(q.Ports == nil || slices.Contains(q.Ports, p.Name)) {
			a.zones[p.Zone] = p
		}
	}
	if len(a.zones) == 0 && q.Port+q.Instance+q.Group != "" {
		return a, unknownPort(status, q)
	}
	var err error
	if a.peers, err = newPeerNames(status.InForce, q.Peer); err != nil {
		return a, err
	}
	if q.Protocol != "" {
		a.isOne = true
		var ok bool
		if a.protocol, ok = policy.ParseProtocol(strings.ToLower(q.Protocol)); !ok {
			return a, fmt.Errorf("no protocol is %q: a name such as tcp, or a number; %w",
				q.Protocol, ErrUnknownPort)
		}
	}
	return a, nil
}

// unknownPort says what of a query is no local port.
func unknownPort(status *agent.Snapshot, q ConnectionsQuery) error {
	var ports, instances, groups []string
	for _, p := range status.Ports {
		ports, instances = append(ports, p.Name), append(instances, p.Instance)
		groups = append(groups, p.Groups...)
	}
	for _, of := range []struct {
		what, name string
		known      []string
	}{{"port", q.Port, ports}, {"instance", q.Instance, instances},
		{"group with an instance", q.Group, groups}} {
		if of.name != "" && !slices.Contains(of.known, of.name) {
			return fmt.Errorf("no %s %q on this host%s; %w", of.what, of.name,
				wording.DidYouMean(of.name, of.known), ErrUnknownPort)
		}
	}
	return fmt.Errorf("no port is all of what is asked for; %w", ErrUnknownPort)
}

// wants says whether a connection is of the protocol, and has the peer as an end that is not its
// port's own.
func (a asked) wants(c ofswitch.Connection) bool {
	if a.isOne && c.Protocol != a.protocol {
		return false
	}
	if a.peers.isAny {
		return true
	}
	own := a.zones[c.Zone].Addresses
	for _, end := range []netip.Addr{c.Src, c.Dst} {
		if !slices.Contains(own, end.String()) && a.peers.has(end) {
			return true
		}
	}
	return false
}
