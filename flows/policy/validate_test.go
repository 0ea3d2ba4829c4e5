package policy_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// fleet is a valid policy of so many ports, with an IPv4 and an IPv6 address each.
func fleet(ports int) *policy.Policy {
	p := &policy.Policy{}
	for n := range ports / 5 {
		p.Groups = append(p.Groups, &policy.Group{Name: fmt.Sprintf("g%d", n), Rules: []policy.Rule{
			{Direction: policy.Ingress, Protocol: policy.TCP, Ports: policy.PortRange{First: 80, Last: 80},
				ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
				Peer: policy.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")}},
			{Direction: policy.Egress, Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
				ICMPCode: policy.AnyICMP, Peer: policy.Peer{Group: fmt.Sprintf("g%d", (n+1)%(ports/5))}},
		}})
	}
	for n := range ports {
		high, low := byte(n>>8), byte(n)
		v4 := netip.AddrFrom4([4]byte{10, byte(n >> 16), high, low})
		v6 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(n >> 16), 14: high, 15: low})
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprintf("i%d", n),
			Host: fmt.Sprintf("hv%d", n%100), Groups: []string{fmt.Sprintf("g%d", n/5)},
			Ports: []policy.Port{{Name: fmt.Sprintf("tap%d", n), MAC: policy.MAC{2, 0, 0, byte(n >> 16), high, low},
				Addresses: []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128)}}}})
	}
	return p
}

// A valid policy costs a validator that knows one of its size no memory at all.
func TestValidateAllocatesNothing(t *testing.T) {
	p := fleet(1000)
	var v policy.Validator
	require.Empty(t, v.Validate(p))
	require.Zero(t, testing.AllocsPerRun(10, func() { v.Validate(p) }))
}

// The budget is 10 ms for 10,000 ports.
func BenchmarkValidate(b *testing.B) {
	p := fleet(10_000)
	b.Run("again", func(b *testing.B) {
		var v policy.Validator
		b.ReportAllocs()
		for b.Loop() {
			if len(v.Validate(p)) > 0 {
				b.Fatal("the policy is valid")
			}
		}
	})
	b.Run("once", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.Validate(p)
		}
	})
	b.Run("doubts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.Doubts(p)
		}
	})
}
