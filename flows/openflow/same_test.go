package openflow_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/go-openvswitch/ovs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// requireSame encodes a delta ourselves and has ovs-ofctl send it, and compares the flow mods.
func requireSame(t testing.TB, r *recorder, d openflow.Delta) {
	ours := append(encode(t, openflow.DeleteStrict, d.Delete), encode(t, openflow.Add, d.Add)...)

	var text strings.Builder
	for _, f := range d.Delete {
		fmt.Fprintf(&text, "delete_strict %s\n", f.Key().AppendText(nil))
	}
	for _, f := range d.Add {
		fmt.Fprintf(&text, "add %s\n", f)
	}
	file := filepath.Join(t.(interface{ TempDir() string }).TempDir(), "flows")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "--bundle", "add-flows",
		r.target, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	theirs := r.mods()

	require.Len(t, ours, d.Len())
	require.Len(t, theirs, d.Len())
	for i, f := range slices.Concat(d.Delete, d.Add) {
		require.Equal(t, fmt.Sprintf("%x", inOrder(theirs[i])), fmt.Sprintf("%x", inOrder(ours[i])), "%s",
			f)
	}
}

func encode(t testing.TB, command uint8, list []openflow.Flow) (mods [][]byte) {
	for _, f := range list {
		mod, err := openflow.AppendFlowMod(nil, 0, command, f)
		require.NoError(t, err)
		mods = append(mods, mod)
	}
	return mods
}

// matchAt is where the match of a flow mod begins.
const matchAt = 48

// inOrder sorts the fields of a flow mod's match, and takes pairs of registers apart: ovs-ofctl has
// an order of its own, and joins two registers to one field of 64 bits (OpenFlow 1.5, section
// 7.2.3.10). To the switch it is the same.
func inOrder(mod []byte) []byte {
	end := matchAt + int(binary.BigEndian.Uint16(mod[matchAt+2:]))
	var fields []string
	for at := matchAt + 4; at < end; {
		next := at + 4 + int(mod[at+3])
		if binary.BigEndian.Uint16(mod[at:]) == 0x8001 {
			fields = append(fields, registers(mod[at:next])...)
		} else {
			fields = append(fields, string(mod[at:next]))
		}
		at = next
	}
	slices.Sort(fields)
	return slices.Concat(mod[:2], mod[4:matchAt+2], []byte(strings.Join(fields, "")),
		mod[end+(matchAt-end)&7:])
}

// registers are the halves of a pair of which something is matched.
func registers(pair []byte) (out []string) {
	number, value, mask := 2*(pair[2]>>1), pair[4:12], bytes.Repeat([]byte{0xff}, 8)
	if pair[2]&1 == 1 {
		mask = pair[12:20]
	}
	for half := range byte(2) {
		v, m := value[4*half:4*half+4], mask[4*half:4*half+4]
		switch header := []byte{0, 1, (number + half) << 1, 4}; binary.BigEndian.Uint32(m) {
		case 0:
		case 1<<32 - 1:
			out = append(out, string(slices.Concat(header, v)))
		default:
			header[2], header[3] = header[2]|1, 8 // a mask follows
			out = append(out, string(slices.Concat(header, v, m)))
		}
	}
	return out
}

// everything has a rule, a port or a setting for each kind of flow.
const everything = `
groups:
  - name: web
    external_sources: [198.51.100.128/25]
    rules:
      - {direction: ingress, protocol: tcp, ports: 80-443, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: 22, group: web}
      - {direction: ingress, protocol: sctp, ports: 5000-5003, cidr: "2001:db8::/32"}
      - {direction: ingress, protocol: icmp, icmp_type: 8, icmp_code: 0, cidr: 192.0.2.0/24}
      - {direction: ingress, protocol: icmpv6, icmp_type: 128, group: db}
      - {direction: egress, protocol: udp, ports: 53, cidr: 203.0.113.1/32}
      - {direction: egress, protocol: any, group: db}
  - name: db
    rules:
      - {direction: ingress, protocol: tcp, ports: 3306, group: web}
      - {direction: ingress, protocol: any, group: db}
      - {direction: ingress, protocol: gre, cidr: 192.0.2.7/32}
      - {direction: egress, protocol: tcp, ports: 1-65535, cidr: "::/0"}
instances:
  - name: web-1
    groups: [web]
    ports:
      - {name: tap1, mac: "02:00:00:00:00:01", addresses: [203.0.113.11, "2001:db8::11"], ethertypes: [0x88cc],
         allowed_addresses: [{address: 203.0.113.200/30}, {address: 203.0.113.99, mac: "00:00:5e:00:01:05"}, {address: "2001:db8:1::/64"}]}
  - name: web-2
    groups: [web, db]
    ports: [{name: tap2, mac: "02:00:00:00:00:02", addresses: [203.0.113.12]}]
  - name: db-1
    groups: [db]
    ports: [{name: tap3, mac: "02:00:00:00:00:03", addresses: ["2001:db8::13"]}]
  - name: router
    ports: [{name: tap4, mac: "02:00:00:00:00:04", addresses: [203.0.113.1], trusted: true}]
`

// compiled is the program of everything, on a switch with meters, and limits for all.
func compiled(t testing.TB) []openflow.Flow {
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(everything)}})
	require.NoError(t, err)
	in := flows.Input{Policy: p, LastMeter: flows.MaxMeter,
		Uplinks: []flows.Uplink{{Name: "eth1", OFPort: 1}, {Name: "eth2", OFPort: 65279}},
		Site: policy.Site{Host: "h",
			Gateways:    []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("fe80::1")},
			DHCPServers: []netip.Addr{netip.MustParseAddr("203.0.113.2")}, LogDenied: true,
			Limits:           policy.Limits{Connections: 5, NewConnections: 6, ARPNDDHCP: 7, Fragments: 8},
			OutsideFragments: 9}}
	for n := range uint16(4) {
		in.Bindings = append(in.Bindings,
			flows.Binding{Port: fmt.Sprintf("tap%d", n+1), OFPort: uint32(n + 10), Zone: n + 1,
				Epoch: 1 << 31})
	}
	program, err := flows.Compile(in)
	require.NoError(t, err)
	return program.Flows
}

// A program of every kind of flow is what ovs-ofctl makes of it, added and deleted, and it uses all
// that we know.
func TestProgramIsWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	r, program := newRecorder(t), compiled(t)
	require.Greater(t, len(program), 300)
	requireSame(t, r, openflow.Delta{Delete: program, Add: program})
	requireSame(t, r, openflow.Delta{Add: []openflow.Flow{
		{Actions: openflow.ParseActions("drop")},
		{Table: 254, Priority: 65535, Match: openflow.ParseMatch("in_port=LOCAL"),
			Actions: openflow.ParseActions("resubmit(,254)"), Cookie: 1<<64 - 1},
		{Match: openflow.ParseMatch("ip,nw_frag=first"),
			Actions: openflow.ParseActions("CONTROLLER:65535")},
		{Match: openflow.ParseMatch("ipv6,nw_frag=yes"),
			Actions: openflow.ParseActions("move:NXM_NX_REG1[3..4]->NXM_NX_REG3[30..31]")},
		{Match: openflow.ParseMatch("ip"),
			Actions: openflow.ParseActions(
				"ct(commit,table=254,zone=NXM_NX_REG1[16..31]),move:NXM_NX_REG1[5]->NXM_NX_REG2[31]")},
		{Match: openflow.ParseMatch("ip,nw_src=128.0.0.0/1,nw_dst=10.0.0.0/31,nw_frag=not_later"),
			Actions: openflow.ParseActions("set_field:0x80000000/0xc0000000->reg0")},
		{Match: openflow.ParseMatch(
			"ct_state=+new+est+rel+rpl-inv-trk,tcp6,ipv6_src=::/1,ipv6_dst=::1,tp_src=0xff00/0xff00"),
			Actions: openflow.ParseActions("push:NXM_NX_CT_LABEL[],pop:NXM_NX_CT_LABEL[]")},
	}})
}

// What is known here is what the pipeline has, no less and no more.
func TestFieldsAreThoseOfThePipeline(t *testing.T) {
	used := map[openflow.Field]bool{}
	for _, f := range compiled(t) {
		for o := range f.Match.Fields() {
			used[o.Field] = true
		}
		noteFields(used, f.Actions)
	}
	for _, table := range flows.Pipeline() {
		for _, f := range append(table.Matches, table.Writes...) {
			used[f] = true
		}
		if table.Pages != "" {
			used[openflow.Reg4] = true
		}
	}
	for f := openflow.ConjID; f <= openflow.SCTPDst; f++ {
		require.True(t, used[f], "no flow has %s", f)
	}
}

// noteFields notes what actions name.
func noteFields(used map[openflow.Field]bool, as openflow.Actions) {
	for a := range as.All() {
		switch a := a.(type) {
		case openflow.SetField:
			used[a.Field] = true
		case openflow.Move:
			used[a.From.Field], used[a.To.Field] = true, true
		case openflow.Push:
			used[a.Field] = true
		case openflow.Pop:
			used[a.Field] = true
		case openflow.Track:
			used[a.Zone.Field] = true
			noteFields(used, a.Exec)
		}
	}
}

// Text and bytes of a program say the same: each flow is read again as what it is.
func TestTextIsReadAgain(t *testing.T) {
	for _, f := range compiled(t) {
		require.False(t, f.Match.IsForeign() || f.Actions.IsForeign(), f.String())
		again := openflow.Parse(f.Match.String(), f.Actions.String())
		require.Equal(t, f.Match, again.Match, f.String())
		require.Equal(t, f.Actions, again.Actions, f.String())
		var fields []openflow.OXM
		for o := range f.Match.Fields() {
			fields = append(fields, o)
		}
		slices.Reverse(fields)
		m, err := openflow.NewMatch(fields...)
		require.NoError(t, err)
		require.Equal(t, f.Match, m, "whatever the order in which fields are named")
		require.Equal(t, f.Actions, openflow.NewActions(slices.Collect(f.Actions.All())...), f.String())
	}
}

// What is no action, or holds something that is none, is not read as less than it says.
func TestWhatIsNoAction(t *testing.T) {
	const zone = "ct(zone=NXM_NX_REG1[0..15]"
	for text, isAction := range map[string]bool{zone + ")": true, zone + ",exec(ct_clear))": true,
		zone + ",exec(nothing))": false, zone + ",exec(ct_clear,nothing))": false,
		zone + ",exec(ct_clear)": false, zone + ",ct_clear))": false, "nothing": false, "": false,
		"resubmit(,254)": true, "resubmit(,255)": false, "resubmit(,256)": false,
		"conjunction(4294967295,2/255)": true, "conjunction(4294967296,1/2)": false,
		"conjunction(1,0/2)": false, "conjunction(1,3/2)": false, "conjunction(1,1/256)": false,
		"CONTROLLER:65535": true, "CONTROLLER:65536": false, "meter:4294967295": true,
		"meter:4294967296": false, "output:LOCAL": false, "output:CONTROLLER": false,
		"push:NXM_NX_REG9[]": false, "pop:NXM_NX_REG9[]": false, "set_field:1->nothing": false,
		"set_field:0x1/0x3->reg0": true, "set_field:x->reg0": false, "set_field:0x1/x->reg0": false,
		"output:65279": true, "output:65280": false, "output:0": false, "output:x": false,
		"move:NXM_NX_REG1[0..3]->NXM_NX_REG2[0..4]": false} {
		_, ok := openflow.ParseAction(text)
		require.Equal(t, isAction, ok, text)
	}
}

// Values of every size and mask are what ovs-ofctl makes of them.
func TestValuesAreWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	r := newRecorder(t)
	rapid.Check(t, func(rt *rapid.T) {
		list := make([]openflow.Flow, 200)
		for i := range list {
			list[i] = drawFlow(rt)
		}
		requireSame(t, r, openflow.Delta{Add: list})
	})
}

func drawFlow(t *rapid.T) openflow.Flow {
	number := func(bits int) uint64 { return rapid.Uint64Max(1<<bits-1).Draw(t, "number") }
	masked := func(f openflow.Field, bits int) openflow.OXM {
		if mask := number(bits); mask != 0 && rapid.Bool().Draw(t, "masked") {
			return openflow.Masked(f, number(bits)&mask, mask)
		}
		return openflow.Number(f, number(bits))
	}
	network := func(f openflow.Field, size int) openflow.OXM {
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
		return openflow.Network(f, netip.PrefixFrom(a, rapid.IntRange(1, 8*size-1).Draw(t, "length")))
	}
	mac := func(f openflow.Field) openflow.OXM {
		return openflow.MAC(f, [6]byte(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "MAC")))
	}
	register := func() openflow.Field { return openflow.Reg0 + openflow.Field(number(2)) }
	f := openflow.Flow{Table: uint8(number(7)), Priority: uint16(number(16)),
		Cookie: rapid.Uint64().Draw(t, "cookie")}
	fields := []openflow.OXM{masked(openflow.CTMark, 32), masked(register(), 32),
		openflow.Number(openflow.InPort, 1+number(15)),
		mac(openflow.EthSrc), mac(openflow.EthDst)}
	fields = slices.DeleteFunc(fields,
		func(openflow.OXM) bool { return rapid.Bool().Draw(t, "without") })
	switch number(2) {
	case 0:
		fields = append(fields, openflow.Protocol(ovs.ProtocolIPv4), network(openflow.IPv4Src, 4),
			network(openflow.IPv4Dst, 4),
			openflow.Number(openflow.TTL, number(8)))
	case 1:
		fields = append(fields, openflow.Protocol(ovs.ProtocolIPv6), network(openflow.IPv6Src, 16),
			network(openflow.IPv6Dst, 16))
	case 2:
		ports := rapid.SampledFrom([]struct {
			p        ovs.Protocol
			src, dst openflow.Field
		}{{"tcp", openflow.TCPSrc, openflow.TCPDst}, {"udp", openflow.UDPSrc, openflow.UDPDst},
			{"sctp", openflow.SCTPSrc, openflow.SCTPDst},
			{"tcp6", openflow.TCPSrc, openflow.TCPDst}, {"udp6", openflow.UDPSrc, openflow.UDPDst},
			{"sctp6", openflow.SCTPSrc, openflow.SCTPDst},
		}).Draw(t, "protocol")
		fields = append(fields, openflow.Protocol(ports.p), masked(ports.src, 16), masked(ports.dst, 16))
	case 3:
		fields = append(fields, openflow.Protocol(ovs.ProtocolARP),
			openflow.Number(openflow.ARPOp, 1+number(1)),
			network(openflow.ARPSPA, 4), network(openflow.ARPTPA, 4), mac(openflow.ARPSHA))
	}
	var err error
	f.Match, err = openflow.NewMatch(fields...)
	require.NoError(t, err)
	f.Actions = openflow.NewActions(openflow.SetField{OXM: masked(register(), 32)},
		openflow.Resubmit{Table: uint8(number(7))},
		openflow.Output{Port: uint32(1 + number(15))})
	if rapid.Bool().Draw(t, "clauses") {
		n := 2 + number(5)
		f.Actions = openflow.NewActions(openflow.Conjunction{ID: uint32(number(32)),
			Clause: uint8(1 + number(8)%n), Of: uint8(n)},
			openflow.Conjunction{ID: uint32(number(32)), Clause: 1, Of: 2})
	}
	again := openflow.Parse(f.Match.String(), f.Actions.String())
	require.Equal(t, f.Match, again.Match, f.String())
	require.Equal(t, f.Actions, again.Actions, f.String())
	return f
}
