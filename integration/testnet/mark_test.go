package testnet

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

var (
	markFrom = map[Family]netip.Addr{IPv4: netip.MustParseAddr("192.0.2.1"),
		IPv6: netip.MustParseAddr("2001:db8::1")}
	markTo = map[Family]netip.Addr{IPv4: netip.MustParseAddr("192.0.2.2"),
		IPv6: netip.MustParseAddr("2001:db8::2")}
)

func markable(f Family, p policy.Protocol, body int) IP {
	d := IP{Src: policy.MAC{2, 0, 0, 0, 0, 1}, Dst: policy.MAC{2, 0, 0, 0, 0, 2}, From: markFrom[f],
		To: markTo[f], Protocol: p,
		SrcPort: 1000, DstPort: 2000, Body: bytes.Repeat([]byte{0xa5}, body)}
	switch p {
	case policy.ICMP:
		d.Type = 8
	case policy.ICMPv6:
		d.Type = 128
	}
	return d
}

// The mark of a whole datagram is a part of it: as if the datagram had been built with it.
func TestMarkedDatagram(t *testing.T) {
	token := newToken()
	for _, f := range []Family{IPv4, IPv6} {
		for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6,
			policy.SCTP, policy.GRE, 89} {
			for _, body := range []int{0, 1, 31, 32, 33} {
				t.Run(fmt.Sprintf("%s %s %d", f, p, body), func(t *testing.T) {
					plain := markable(f, p, body)
					if p.HasTypes() && body < 8 {
						plain.Body = make([]byte, 8+body)
					}
					marked := plain.Frame().Marked(token)
					require.Equal(t, []Token{token}, tokensIn(marked))
					requireSound(t, marked)
					if p == policy.SCTP {
						return // the mark is a parameter, with a header of its own
					}
					plain.Body = append(append(bytes.Clone(plain.Body),
						make([]byte, len(plain.Body)&1)...), token.inFrameOf(plain.Src[:])...)
					require.Equal(t, plain.Frame(), append(marked,
						make([]byte, max(0, etherMin-len(marked)))...))
				})
			}
		}
	}
}

// VLAN headers are before a marked datagram as they are before one that is not.
func TestMarkedBehindTags(t *testing.T) {
	token := newToken()
	for _, f := range []Family{IPv4, IPv6} {
		plain := markable(f, policy.UDP, 100).Frame()
		want := plain.Marked(token)
		requireSound(t, want)
		require.Equal(t, want.Tagged(0), plain.Tagged(0).Marked(token))
		require.Equal(t, want.Tagged(5).Tagged(7), plain.Tagged(5).Tagged(7).Marked(token))
		short := plain.Tagged(5)[:16] // ends in its VLAN header
		require.Equal(t, append(bytes.Clone(short), token.inFrameOf(short[6:12])...),
			[]byte(short.Marked(token)))
	}
}

// requireSound asserts that lengths and checksums are right: a rebuild of what they say is the
// same.
func requireSound(t *testing.T, f Frame) {
	t.Helper()
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	require.False(t, p.Metadata().Truncated)
	if sctp, ok := p.Layer(layers.LayerTypeSCTP).(*layers.SCTP); ok {
		require.Len(t, p.Layers(), 4, "one chunk: %v", p)
		require.Equal(t, build(&layers.SCTP{SrcPort: sctp.SrcPort, DstPort: sctp.DstPort},
			gopacket.Payload(sctp.Payload)), append(sctp.Contents, sctp.Payload...))
	}
	end := p.NetworkLayer().LayerPayload()
	require.Equal(t, f[len(f)-len(end):], Frame(end), "no trailer")
}

// A wrong checksum stays wrong.
func TestMarkedKeepsFaults(t *testing.T) {
	good := markable(IPv4, policy.UDP, 10).Frame()
	bad := Frame(bytes.Clone(good))
	bad[etherLen+20+6] ^= 0xff
	token := newToken()
	require.NotEqual(t, good.Marked(token), bad.Marked(token))
}

// All else is marked behind its end.
func TestMarkedTrailer(t *testing.T) {
	mac := policy.MAC{2, 0, 0, 0, 0, 1}
	d := markable(IPv4, policy.UDP, 3000)
	six := markable(IPv6, policy.UDP, 3000)
	truncated := markable(IPv4, policy.UDP, 50).Frame()
	for name, f := range map[string]Frame{
		"arp": ARP{Src: mac, Dst: mac, Op: 1, SHA: mac, SPA: markFrom[IPv4],
			TPA: markTo[IPv4]}.Frame(),
		"discovery": ND{Src: mac, Dst: mac, From: markFrom[IPv6], To: markTo[IPv6],
			HopLimit: 255, Type: policy.NeighborSolicitation, Target: markTo[IPv6]}.Frame(),
		"first of IPv4": d.Fragments(1440)[0],
		"last of IPv4":  d.Fragments(1440)[2],
		"of IPv6":       six.Fragments(1440)[1],
		"truncated":     truncated[:len(truncated)-1],
	} {
		t.Run(name, func(t *testing.T) {
			token := newToken()
			marked := f.Marked(token)
			require.Equal(t, append(slices.Clone(f), token.inFrameOf(f[6:12])...), marked)
			require.Equal(t, []Token{token}, tokensIn(marked))
		})
	}
}

// A frame from somebody else that quotes a marked one does not bear its mark.
func TestQuotedMark(t *testing.T) {
	token := newToken()
	asked := markable(IPv4, policy.UDP, 10)
	quote := markable(IPv4, policy.ICMP, 0)
	quote.Type, quote.Code = 3, 3
	quote.Body = append(make([]byte, 4), asked.Frame().Marked(token)[etherLen:]...)
	require.Equal(t, []Token{token}, tokensIn(quote.Frame()), "its own")
	quote.Src = policy.MAC{2, 0, 0, 0, 0, 9}
	require.Empty(t, tokensIn(quote.Frame()))
	require.Empty(t, tokensIn(Frame{1, 2, 3}))
}
