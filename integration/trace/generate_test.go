package trace_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The universe is small, so that random packets meet random flows.
const (
	lastTable = 4
	lastPort  = 4
)

// uniform draws a number below n, all alike: rapid's own numbers are mostly small ones.
func uniform(t *rapid.T, n int, label string) int {
	drawn := 0
	for span := 1; span < 4*n; span *= 2 {
		drawn *= 2
		if rapid.Bool().Draw(t, label) {
			drawn++
		}
	}
	return drawn % n
}

func pick[T any](t *rapid.T, options ...T) T { return options[uniform(t, len(options), "pick")] }

// maybe draws one of the options or, thrice as often, none.
func maybe(t *rapid.T, options ...string) string {
	if uniform(t, 4, "maybe") > 0 {
		return ""
	}
	return pick(t, options...)
}

// drawProgram draws tables of overlapping flows, with conjunctions, resubmits, forks and clones, in
// canonical form.
func drawProgram(t *rapid.T) []openflow.Flow {
	var fs []openflow.Flow
	seen := map[openflow.Key]bool{}
	add := func(f openflow.Flow) {
		if !seen[f.Key()] {
			seen[f.Key()] = true
			fs = append(fs, f)
		}
	}
	for table := range uint8(lastTable + 1) {
		for range 2 + uniform(t, 7, "flows") {
			add(drawFlow(t, table))
		}
		for range uniform(t, 12, "clauses") {
			add(drawClauses(t, table))
		}
		for id := range 3 {
			if uniform(t, 8, "accept") > 0 {
				match := fmt.Sprintf("conj_id=%d", id+1) + pick(t, "", "", ",ip", ",reg0=0x1")
				add(openflow.Flow{Table: table, Priority: drawPriority(t), Match: openflow.ParseMatch(match),
					Actions: openflow.ParseActions(drawActions(t, table, match, 2))})
			}
		}
		match, actions := pick(t, "", "ip", "ipv6"), fmt.Sprintf("output:3,resubmit(,%d)", table+1)
		if match != "" {
			actions = pick(t, actions, fmt.Sprintf("ct(table=%d),output:4", table+1))
		}
		last := openflow.Parse(match, actions)
		last.Table = table
		add(last)
	}
	return fs
}

func drawPriority(t *rapid.T) uint16 { return uint16(1 + uniform(t, 6, "priority")) }

func drawFlow(t *rapid.T, table uint8) openflow.Flow {
	match := drawMatch(t)
	return openflow.Flow{Table: table, Priority: drawPriority(t), Match: openflow.ParseMatch(match),
		Actions: openflow.ParseActions(drawActions(t, table, match, 3)),
		Cookie:  uint64(uniform(t, 3, "cookie"))}
}

// drawClauses draws a soft match, mostly wide and of one priority, so that conjunctions are
// completed at times.
func drawClauses(t *rapid.T, table uint8) openflow.Flow {
	f := openflow.Flow{Table: table, Priority: pick(t, uint16(4), 4, 4, 3, 5)}
	f.Match = openflow.ParseMatch(pick(t, "ip", "in_port=1", "tcp", "ip,nw_src=10.0.0.0/31",
		"ip,nw_src=10.0.0.1", "ip,nw_dst=10.0.0.2/31", "tcp,tp_dst=0x50/0xfff0",
		"reg0=0/0x1", "ip,nw_ttl=255", "dl_src=02:00:00:00:00:01", drawMatch(t)))
	var clauses []string
	for id, size := range []int{2, 2, 3} {
		if k := uniform(t, size+1, "clause"); k > 0 {
			clauses = append(clauses, fmt.Sprintf("conjunction(%d,%d/%d)", id+1, k, size))
		}
	}
	if len(clauses) > 0 {
		f.Actions = openflow.ParseActions(strings.Join(clauses, ","))
	}
	return f
}

// drawMatch puts optional fields together in the order of Open vSwitch.
func drawMatch(t *rapid.T) string {
	word := pick(t, "", "", "ip", "ip", "ip", "ipv6", "arp", "tcp", "tcp", "udp", "icmp", "icmp6",
		"tcp6", "sctp")
	fields := []string{
		maybe(t, "ct_state=+new+trk", "ct_state=+est+trk", "ct_state=-rpl+trk", "ct_state=-trk",
			"ct_state=-inv+trk", "ct_state=+rel+trk", "ct_state=+inv+trk"),
		maybe(t, "ct_zone=1", "ct_zone=0"),
		word,
		maybe(t, "reg0=0x1", "reg0=0/0x1", "reg0=0x2/0x3"),
		maybe(t, "in_port=1", "in_port=2"),
		maybe(t, "vlan_tci=0x0000/0x1fff", "vlan_tci=0x1000/0x1000"),
		maybe(t, "dl_src=02:00:00:00:00:01", "dl_src=00:00:00:00:00:00/01:00:00:00:00:00"),
	}
	switch word {
	case "arp":
		fields = append(fields, maybe(t, "arp_spa=10.0.0.1", "arp_spa=10.0.0.0/31"),
			maybe(t, "arp_op=1", "arp_op=0"), maybe(t, "arp_sha=02:00:00:00:00:01"))
	case "ipv6", "tcp6", "icmp6":
		fields = append(fields,
			maybe(t, "ipv6_src=2001:db8::1", "ipv6_src=2001:db8::/127", "ipv6_src=::/::1"),
			maybe(t, "ipv6_dst=2001:db8::2"))
	case "":
	default:
		fields = append(fields,
			maybe(t, "nw_src=10.0.0.1", "nw_src=10.0.0.0/31", "nw_src=0.0.0.0/0.0.0.1"),
			maybe(t, "nw_dst=10.0.0.2", "nw_dst=10.0.0.2/31"))
	}
	return strings.Join(slices.DeleteFunc(append(fields, drawTransport(t, word)...),
		func(s string) bool { return s == "" }), ",")
}

func drawTransport(t *rapid.T, word string) []string {
	if word == "" || word == "arp" {
		return nil
	}
	frag := maybe(t, "nw_frag=no", "nw_frag=yes", "nw_frag=first", "nw_frag=later",
		"nw_frag=not_later")
	fields := []string{maybe(t, "nw_ttl=255"), frag}
	switch word {
	case "tcp", "udp", "tcp6", "sctp":
		if frag != "nw_frag=later" {
			fields = append(fields, maybe(t, "tp_src=1", "tp_src=0x0/0x1"),
				pick(t, "", "tp_dst=80", "tp_dst=0x50/0xfff0", "tp_dst=0x1/0x1", "tp_dst=0"))
		}
	case "icmp":
		fields = append(fields, pick(t, "", "icmp_type=8", "icmp_type=0"), maybe(t, "icmp_code=0"))
	case "icmp6":
		if rapid.Bool().Draw(t, "nd") {
			return append(fields, "icmp_type=135", "icmp_code=0",
				pick(t, "", "nd_target=2001:db8::1", "nd_target=2001:db8::/127"),
				maybe(t, "nd_sll=02:00:00:00:00:01"))
		}
		fields = append(fields, pick(t, "", "icmp_type=128", "icmp_type=0"), maybe(t, "icmp_code=0"))
	}
	return fields
}

// drawActions draws a list of actions; tables are only left for later ones.
func drawActions(t *rapid.T, table uint8, match string, most int) string {
	var as []string
	for range uniform(t, most+1, "actions") {
		as = append(as, drawAction(t, table, match, most))
	}
	if len(as) == 0 {
		return "drop"
	}
	return strings.Join(as, ",")
}

func drawAction(t *rapid.T, table uint8, match string, most int) string {
	later := int(table) + 1 + uniform(t, 2, "later")
	switch uniform(t, 10, "action") {
	case 0, 1:
		return fmt.Sprintf("output:%d", 1+uniform(t, lastPort, "port"))
	case 2:
		return pick(t, "set_field:0x1->reg0", "set_field:0x2/0x3->reg0", "set_field:0/0x1->reg0",
			"set_field:0->reg0")
	case 3:
		return fmt.Sprintf("push:NXM_NX_REG0[],set_field:0x1/0x1->reg0,resubmit(,%d),pop:NXM_NX_REG0[]",
			later)
	case 4:
		return pick(t, "move:NXM_NX_REG0[0]->NXM_NX_REG0[1]", "move:NXM_NX_REG0[1]->NXM_NX_REG0[0]",
			"ct_clear")
	case 5, 6:
		if isIP(match) {
			return fmt.Sprintf("ct(%stable=%d%s)", pick(t, "", "commit,"), later,
				pick(t, "", ",zone=1", ",zone=NXM_NX_REG0[0..15]"))
		}
	case 7:
		if most > 1 {
			return "clone(" + drawActions(t, table, match, most-1) + ")"
		}
	}
	return fmt.Sprintf("resubmit(,%d)", later)
}

// isIP says whether ct() may stand beside the match.
func isIP(match string) bool {
	return slices.ContainsFunc(strings.Split(match, ","), func(part string) bool {
		return slices.Contains([]string{"ip", "ipv6", "tcp", "tcp6", "udp", "icmp", "icmp6", "sctp"},
			part)
	})
}

var (
	four = []netip.Addr{netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("10.0.0.1"),
		netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}
	six = []netip.Addr{netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8::1"),
		netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::3")}
)

// drawPacket draws a packet of the same universe.
func drawPacket(t *rapid.T) flowtest.Packet {
	mac := func() policy.MAC {
		return pick(t, policy.MAC{2, 0, 0, 0, 0, 1}, policy.MAC{2, 0, 0, 0, 0, 2},
			policy.MAC{0x33, 0x33, 0, 0, 0, 1})
	}
	p := flowtest.Packet{InPort: uint32(1 + uniform(t, 3, "in")), Src: mac(), Dst: mac(),
		VLAN: pick(t, uint16(0), 0, 0, 0x1005, 0x1000),
		EtherType: pick(t, policy.EtherIPv4, policy.EtherIPv4, policy.EtherIPv4, policy.EtherIPv6,
			policy.EtherARP, 0x88b5)}
	switch p.EtherType {
	case policy.EtherARP:
		p.ARP = flowtest.ARP{Op: uint16(uniform(t, 3, "op")), SHA: mac(), THA: mac(),
			SPA: pick(t, four...), TPA: pick(t, four...)}
	case policy.EtherIPv4:
		drawIP(t, &p, four, 1, 6, 6, 17, 132, 47)
	case policy.EtherIPv6:
		drawIP(t, &p, six, 6, 6, 17, 58, 58, 47)
	}
	if p.Proto == 58 && p.Fragment != flowtest.LaterFragment && p.ICMPType == 135 {
		p.ND = flowtest.ND{Target: pick(t, six...), SLL: mac()}
	}
	return p
}

func drawIP(t *rapid.T, p *flowtest.Packet, addrs []netip.Addr, protos ...uint8) {
	port := func() uint16 { return pick[uint16](t, 0, 1, 2, 80, 80, 83) }
	p.IPSrc, p.IPDst = pick(t, addrs...), pick(t, addrs...)
	p.Proto, p.TTL = pick(t, protos...), pick[uint8](t, 64, 255)
	p.Fragment = pick(t, flowtest.Whole, flowtest.Whole, flowtest.FirstFragment,
		flowtest.LaterFragment)
	p.SrcPort, p.DstPort = port(), port()
	p.ICMPType, p.ICMPCode = pick[uint8](t, 0, 8, 128, 135), pick[uint8](t, 0, 0, 1)
}
