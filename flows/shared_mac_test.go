package flows_test

// The story of a MAC that five ports have while one of them moves: every frame for it is judged by
// each port, and goes to the uplinks, too. It is told to TestMutatedFlowsAreNoticed, because random
// stories seldom have a third port, or the second one's rules and connections in sight.

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// sharing is how many ports have the MAC: as many as may have it in a random story.
const sharing = 5

// sharedMACStories tells it with the first and the last port as the one that moves, and with none.
func sharedMACStories(must require.TestingT) []teller {
	var out []teller
	for _, moves := range []int{0, sharing - 1, -1} {
		out = append(out, func() *story { return sharedMACStory(must, moves) })
	}
	return out
}

// sharedMACPolicy has ports p1 to p5 with a MAC in common, each of which admits a service of its own
// and one that all of them do, and two hosts beside them: p6, and p7, which is trusted.
func sharedMACPolicy(moves int) *policy.Policy {
	p := &policy.Policy{}
	for n := range sharing + 2 {
		i := &policy.Instance{Name: fmt.Sprintf("i%d", n+1), Host: "h",
			Groups: []string{fmt.Sprintf("g%d", n+1)},
			Ports: []policy.Port{{Name: fmt.Sprintf("p%d", n+1), MAC: smallMAC(n + 1),
				Trusted: n > sharing, Addresses: sharedMACHost(n)}}}
		if n < sharing {
			for _, a := range policytest.Nets("10.0.0.7", "2001:db8::9") {
				i.Ports[0].Allowed = append(i.Ports[0].Allowed,
					policy.AllowedAddress{Prefix: a, MAC: sharedMAC})
			}
		}
		if n == moves {
			i.MigratingTo = "x"
		}
		p.Groups = append(p.Groups, &policy.Group{Name: i.Groups[0], Rules: []policy.Rule{
			policytest.Rule(fmt.Sprintf("ingress udp %d", 11+n), "0.0.0.0/0,::/0"),
			policytest.Rule("ingress udp 9", "0.0.0.0/0,::/0")}})
		p.Instances = append(p.Instances, i)
	}
	return p
}

// sharedMACHost returns the addresses of a port by its number.
func sharedMACHost(n int) []netip.Prefix {
	return policytest.Nets(fmt.Sprintf("10.0.0.%d", 11+n), fmt.Sprintf("2001:db8::%d", 11+n))
}

func sharedMACStory(must require.TestingT, moves int) *story {
	s := &story{discovery: true}
	sw := newStorySwitch(must, s, boundApart(sharedMACPolicy(moves), policytest.Site))
	for _, p := range sharedMACPackets() {
		for _, a := range []age{outOfDate, current} {
			st, _ := s.send(must, sw, p, s.seen(p, a))
			s.steps = append(s.steps, st)
			if p.DstPort == 9 && p.Conntrack == nil && a == current {
				s.nearMisses(must, sw, st)
			}
		}
	}
	return s
}

// sharedMACPackets are for the MAC, from outside, from one of those that have it, from another
// instance and from a trusted port: of the services of each and of all, and of one that nobody
// admits, of connections that are new and of some that are known to each.
func sharedMACPackets() []spec.Packet {
	var out []spec.Packet
	for _, from := range []int{-1, 0, sharing, sharing + 1} {
		port, mac := "", beyondMAC
		sources := policytest.Nets("198.51.100.1", "2001:db8:f::1")
		if from >= 0 {
			port, mac, sources = fmt.Sprintf("p%d", from+1), smallMAC(from+1), sharedMACHost(from)
		}
		for n, dst := range policytest.Nets("10.0.0.7", "2001:db8::9") {
			for _, service := range []uint16{9, 11, 12, 13, 14, 15, 16} {
				p := datagram(port, mac, sharedMAC, sources[n].Addr(), dst.Addr(), 4000, service)
				known := p
				known.Conntrack = map[string]spec.Connection{}
				for has := range sharing {
					known.Conntrack[fmt.Sprintf("p%d", has+1)] = spec.Connection{
						Side: spec.OriginalSide, Original: p.Tuple}
				}
				out = append(out, p, known)
			}
		}
	}
	return out
}

// TestSharedMACAgreesWithTheSpecification tells the story on the fake switch.
func TestSharedMACAgreesWithTheSpecification(t *testing.T) {
	received := map[string]int{}
	for _, tell := range sharedMACStories(t) {
		for _, st := range tell().steps {
			received[st.want.Receivers]++
		}
	}
	t.Logf("received: %v", received)
	require.Greater(t, len(received), 4)
}
