package flowtest

import (
	_ "embed"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

//go:embed testdata/cookies
var cookiePairs string

// PreparedAddresses returns 40 pairs of addresses whose flows have one hash each: those that let
// in who has them by a rule for their group. They were found by trying 2^28.
func PreparedAddresses() [][2]string {
	var out [][2]string
	for line := range strings.Lines(cookiePairs) {
		pair := strings.Fields(line)
		out = append(out, [2]string{pair[0], pair[1]})
	}
	return out
}

// PreparedRules finds rules of a group, two of which each have one hash.
func PreparedRules(group string, pairs int) [][2]policy.Rule {
	var out [][2]policy.Rule
	byHash := map[uint32]policy.Rule{}
	for n := 0; len(out) < pairs; n++ {
		port := uint16(n%65535 + 1)
		r := policy.Rule{Direction: policy.Ingress, Protocol: policy.TCP,
			Ports: []policy.PortRange{{First: port, Last: port}},
			Peers: []policy.Peer{{CIDR: netip.PrefixFrom(
				netip.AddrFrom4([4]byte{10, byte(n / 65535), 0, 0}), 16)}},
			ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
		h := fnv.New32a()
		h.Write([]byte(flows.RuleKey(group, r)))
		if other, twice := byHash[h.Sum32()]; twice {
			out = append(out, [2]policy.Rule{other, r})
		}
		byHash[h.Sum32()] = r
	}
	return out
}
