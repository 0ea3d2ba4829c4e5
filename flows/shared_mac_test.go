package flows_test

// The story of a MAC that three ports have while one of them moves: every frame for it is judged by
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

// sharedMACStories tells it with each of the ports as the one that moves.
func sharedMACStories(must require.TestingT) []teller {
	var out []teller
	for moves := range 3 {
		out = append(out, func() *story { return sharedMACStory(must, moves) })
	}
	return out
}

// sharedMACPolicy has ports p1 to p3 with a MAC in common, each of which admits another service, and
// two hosts beside them: p4, and p5, which is trusted.
func sharedMACPolicy(moves int) *policy.Policy {
	p := &policy.Policy{}
	for n := range 5 {
		i := &policy.Instance{Name: fmt.Sprintf("i%d", n+1), Host: "h",
			Groups: []string{fmt.Sprintf("g%d", n+1)},
			Ports: []policy.Port{{Name: fmt.Sprintf("p%d", n+1), MAC: smallMAC(n + 1),
				Trusted: n == 4, Addresses: []netip.Prefix{policytest.Hosts4[n], policytest.Hosts6[n]}}}}
		if n < 3 {
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

func sharedMACStory(must require.TestingT, moves int) *story {
	s := &story{discovery: true}
	sw := newStorySwitch(must, s, boundApart(sharedMACPolicy(moves), policytest.Site))
	for _, p := range sharedMACPackets() {
		for _, a := range []age{outOfDate, current} {
			st, _ := s.send(must, sw, p, s.seen(p, a))
			s.steps = append(s.steps, st)
			s.nearMisses(must, sw, st)
		}
	}
	return s
}

// sharedMACPackets are for the MAC, from outside, from an instance and from a trusted port: of the
// services of each and of all, of connections that are new and of some that are known to each.
func sharedMACPackets() []spec.Packet {
	var out []spec.Packet
	for _, from := range []struct {
		port string
		mac  policy.MAC
		host int
	}{{"", beyondMAC, -1}, {"p4", smallMAC(4), 3}, {"p5", smallMAC(5), 4}} {
		for n, dst := range policytest.Nets("10.0.0.7", "2001:db8::9") {
			src := policytest.Nets("198.51.100.1", "2001:db8:f::1")[n].Addr()
			if from.host >= 0 {
				src = [][]netip.Prefix{policytest.Hosts4, policytest.Hosts6}[n][from.host].Addr()
			}
			for _, service := range []uint16{9, 11, 12, 13, 14} {
				p := datagram(from.port, from.mac, sharedMAC, src, dst.Addr(), 4000, service)
				known := p
				known.Conntrack = map[string]spec.Connection{}
				for _, port := range []string{"p1", "p2", "p3"} {
					known.Conntrack[port] = spec.Connection{Side: spec.OriginalSide, Original: p.Tuple}
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
