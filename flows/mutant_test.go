package flows_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// change is one way of breaking a flow; a nil flow is one that is gone.
type change struct {
	kind string
	flow *openflow.Flow
}

// breaker knows what a flow may be broken into.
type breaker struct {
	next  map[uint8][]flows.TableID
	Ports uint32 // OpenFlow ports are 1 to this
}

func newBreaker(ports uint32) breaker {
	b := breaker{map[uint8][]flows.TableID{}, ports}
	for _, t := range flows.Pipeline() {
		b.next[uint8(t.ID)] = t.Next
	}
	return b
}

// changes lists everything that is done to a flow, under names that are the same for flows of one
// shape.
func (b breaker) changes(f openflow.Flow) []change {
	out := []change{{"gone", nil}}
	with := func(kind string, change1 func(*openflow.Flow)) {
		g := f
		if change1(&g); g != f {
			out = append(out, change{kind, &g})
		}
	}
	if f.Actions.IsDrop() {
		with("passes", func(g *openflow.Flow) { g.Actions = openflow.ParseActions(b.onward(f.Table)) })
	} else {
		with("drops", func(g *openflow.Flow) { g.Actions = openflow.ParseActions("drop") })
		for kind, actions := range b.otherActions(f) {
			with(kind, func(g *openflow.Flow) { g.Actions = openflow.ParseActions(actions) })
		}
	}
	for kind, match := range otherMatches(f.Match.String()) {
		with(kind, func(g *openflow.Flow) { g.Match = openflow.ParseMatch(match) })
	}
	if f.Priority > 0 {
		with("lowest priority", func(g *openflow.Flow) { g.Priority = 1 })
		with("highest priority", func(g *openflow.Flow) { g.Priority = 1000 })
	}
	slices.SortFunc(out, func(a, b change) int { return strings.Compare(a.kind, b.kind) })
	return out
}

// onward is what a table's flows do where they do not drop: all of it at once.
func (b breaker) onward(table uint8) string {
	var as []string
	if table == 32 || table == 52 {
		return "set_field:0x1/0x1->reg0,set_field:0x1->reg3"
	}
	for _, n := range b.next[table] {
		if n != 31 && n != 51 {
			as = append(as, fmt.Sprintf("resubmit(,%d)", n))
		}
	}
	if len(as) == 0 || table == 40 {
		for n := uint32(1); n <= b.Ports; n++ {
			as = append(as, fmt.Sprintf("output:%d", n))
		}
	}
	return strings.Join(as, ",")
}

// otherActions leaves out and alters each action in its turn.
func (b breaker) otherActions(f openflow.Flow) map[string]string {
	out := map[string]string{}
	as := openflow.Split(f.Actions.String())
	for n, a := range as {
		name := verb(a)
		if name != "output" && name != "conjunction" {
			name = fmt.Sprintf("%d: %s", n+1, name)
		}
		if rest := slices.Delete(slices.Clone(as), n, n+1); len(rest) > 0 {
			out["without "+name] = strings.Join(rest, ",")
		}
		for kind, other := range b.otherAction(f.Table, a) {
			rest := slices.Clone(as)
			rest[n] = other
			out[name+kind] = strings.Join(rest, ",")
		}
	}
	if f.Table != 32 && f.Table != 52 && !strings.Contains(f.Actions.String(), "output") &&
		len(b.next[f.Table]) == 0 {
		out["output more"] = f.Actions.String() + ",output:1"
	}
	return out
}

var (
	resubmitTo = regexp.MustCompile(`^resubmit\(,(\d+)\)$`)
	setField   = regexp.MustCompile(`^set_field:(\w+)(/\w+)?->(\w+)$`)
	conjunct   = regexp.MustCompile(`^conjunction\((\d+),(\d)/(\d)\)$`)
)

func (b breaker) otherAction(table uint8, a string) map[string]string {
	out := map[string]string{}
	switch {
	case strings.HasPrefix(a, "output:"):
		n, _ := strconv.Atoi(a[7:])
		out[" elsewhere"] = fmt.Sprintf("output:%d", uint32(n)%b.Ports+1)
	case strings.HasPrefix(a, "move:"):
		if other := strings.NewReplacer("SRC[", "DST[", "DST[",
			"SRC[").Replace(a[:strings.Index(a, "->")]); strings.Contains(a, "CT_NW") ||
			strings.Contains(a, "CT_IPV6") {
			out[" of the other end"] = other + a[strings.Index(a, "->"):]
		}
	case strings.HasPrefix(a, "ct("):
		out[" in another zone"] = strings.Replace(a, "zone=NXM_NX_REG1", "zone=NXM_NX_REG2", 1)
		out[" with another mark"] = strings.Replace(a, "NXM_NX_REG2[]->NXM_NX_CT_MARK",
			"NXM_NX_REG1[]->NXM_NX_CT_MARK", 1)
		out[" with another label"] = strings.Replace(a, "NXM_NX_REG3[]->", "NXM_NX_REG2[]->", 1)
		out[" without commit"] = strings.Replace(a, "ct(commit,", "ct(", 1)
		if at := strings.Index(a, ",exec("); at > 0 {
			out[" without mark and label"] = a[:at] + ")"
		}
	}
	if m := resubmitTo.FindStringSubmatch(a); m != nil {
		for _, n := range b.next[table] {
			if to := strconv.Itoa(int(n)); to != m[1] {
				out[" to "+to] = "resubmit(," + to + ")"
			}
		}
	}
	if m := setField.FindStringSubmatch(a); m != nil {
		out[" other value"] = "set_field:" + flipped(m[1], strings.TrimPrefix(m[2], "/")) + m[2] + "->" +
			m[3]
	}
	if m := conjunct.FindStringSubmatch(a); m != nil {
		id, _ := strconv.Atoi(m[1])
		out[" of another rule"] = fmt.Sprintf("conjunction(%d,%s/%s)", id^1, m[2], m[3])
		if k, _ := strconv.Atoi(m[2]); k > 1 {
			out[" of another part"] = fmt.Sprintf("conjunction(%s,%d/%s)", m[1], k-1, m[3])
		}
	}
	return out
}

// flipped returns a number with the lowest bit of its mask flipped.
func flipped(value, mask string) string {
	v, _ := strconv.ParseUint(value, 0, 32)
	m, err := strconv.ParseUint(mask, 0, 32)
	if err != nil {
		m = 1
	}
	if v ^= m & -m; v == 0 && mask != "" {
		return "0"
	}
	return "0x" + strconv.FormatUint(v, 16)
}

// verb names an action without what differs from flow to flow.
func verb(a string) string {
	switch {
	case strings.HasPrefix(a, "set_field:"):
		return "set " + a[strings.Index(a, "->")+2:]
	case strings.HasPrefix(a, "ct("):
		return "ct"
	case strings.HasPrefix(a, "resubmit"), strings.HasPrefix(a, "push:"), strings.HasPrefix(a, "pop:"),
		strings.HasPrefix(a, "move:"):
		return a
	}
	name, _, _ := strings.Cut(a, ":")
	name, _, _ = strings.Cut(name, "(")
	return name
}

// otherMatches leaves out, widens and alters each field in its turn.
func otherMatches(match string) map[string]string {
	out := map[string]string{}
	if match == "" {
		return out
	}
	fields := strings.Split(match, ",")
	for n, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		out["without "+name] = strings.Join(slices.Delete(slices.Clone(fields), n, n+1), ",")
		for kind, other := range otherValues(name, value) {
			rest := slices.Clone(fields)
			rest[n] = name + "=" + other
			out[kind] = strings.Join(rest, ",")
		}
		if general := map[string]string{"tcp": "ip", "udp": "ip", "icmp": "ip", "sctp": "ip",
			"tcp6": "ipv6", "udp6": "ipv6", "icmp6": "ipv6", "sctp6": "ipv6"}[name]; general != "" {
			rest := slices.Clone(fields)
			rest[n] = general
			out[general+" instead of "+name] = strings.Join(rest, ",")
		}
	}
	return out
}

// otherValues returns the values that are near, and masks that are wider.
func otherValues(name, value string) map[string]string {
	base, mask, masked := strings.Cut(value, "/")
	other := name + " other"
	switch name {
	case "ct_state":
		return otherStates(value)
	case "nw_frag":
		return map[string]string{other: map[string]string{"no": "later", "later": "no"}[value]}
	case "nw_src", "nw_dst", "arp_spa", "arp_tpa", "ipv6_src", "ipv6_dst", "nd_target":
		return otherNetworks(name, value)
	case "dl_src", "dl_dst", "arp_sha", "nd_sll", "nd_tll":
		return otherMACs(name, base, mask)
	case "reg0", "vlan_tci", "tp_src", "tp_dst":
		out := map[string]string{other: flipped(base, mask)}
		if masked {
			out[other] += "/" + mask
			if m, _ := strconv.ParseUint(mask, 0, 32); m&(m-1) != 0 {
				v, _ := strconv.ParseUint(base, 0, 32)
				m &= m - 1
				out[name+" wider"] = fmt.Sprintf("0x%x/0x%x", v&m, m)
			}
		} else if name == "tp_src" || name == "tp_dst" {
			v, _ := strconv.ParseUint(base, 0, 32)
			out[other] = strconv.FormatUint(v^1, 10)
			out[name+" wider"] = fmt.Sprintf("0x%x/0xfffe", v&^1)
		}
		return out
	case "reg1", "reg4", "dl_vlan", "ct_mark", "in_port", "conj_id", "nw_ttl", "icmp_type",
		"icmp_code", "nw_proto", "arp_op", "dl_type":
		v, _ := strconv.ParseUint(base, 0, 32)
		if v++; name == "nw_ttl" {
			v = 254
		}
		if strings.HasPrefix(base, "0x") {
			return map[string]string{other: fmt.Sprintf("0x%x", v)}
		}
		return map[string]string{other: strconv.FormatUint(v, 10)}
	}
	return nil
}

func otherStates(value string) map[string]string {
	out := map[string]string{}
	flags := regexp.MustCompile(`[+-]\w+`).FindAllString(value, -1)
	for n, f := range flags {
		rest := slices.Clone(flags)
		rest[n] = map[byte]string{'+': "-", '-': "+"}[f[0]] + f[1:]
		out["ct_state "+rest[n]] = strings.Join(rest, "")
		if len(flags) > 1 && f != "+trk" {
			out["ct_state without "+f] = strings.Join(slices.Delete(rest, n, n+1), "")
		}
	}
	return out
}

// otherNetworks flips the last bit that the mask asks for, and takes it out of the mask.
func otherNetworks(name, value string) map[string]string {
	addr, mask := addrAndMask(value)
	last, bit := lastBit(value)
	other, wider := slices.Clone(addr), slices.Clone(mask)
	other[last] ^= bit
	wider[last] &^= bit
	out := map[string]string{name + " other": networkText(other, mask)}
	if slices.Max(wider) > 0 {
		out[name+" wider"] = networkText(addr, wider)
	}
	return out
}

// lastBit returns the last bit that the mask of an address asks for, and the number of its byte.
func lastBit(value string) (last int, bit byte) {
	_, mask := addrAndMask(value)
	for last = len(mask) - 1; mask[last] == 0; {
		last--
	}
	return last, mask[last] & -mask[last]
}

// addrAndMask reads an address with its mask, which may be a length, an address, or left out.
func addrAndMask(value string) (addr, mask []byte) {
	text, maskText, masked := strings.Cut(value, "/")
	addr = netip.MustParseAddr(text).AsSlice()
	if m, err := netip.ParseAddr(maskText); err == nil {
		return addr, m.AsSlice()
	}
	bits := len(addr) * 8
	if masked {
		bits, _ = strconv.Atoi(maskText)
	}
	return addr, net.CIDRMask(bits, len(addr)*8)
}

// networkText writes an address and its mask as Open vSwitch prints them.
func networkText(addr, mask []byte) string {
	masked := make([]byte, len(addr))
	for n := range addr {
		masked[n] = addr[n] & mask[n]
	}
	a, _ := netip.AddrFromSlice(masked)
	ones, bits := net.IPMask(mask).Size()
	switch {
	case bits == 0:
		m, _ := netip.AddrFromSlice(mask)
		return a.String() + "/" + m.String()
	case ones == bits:
		return a.String()
	}
	return fmt.Sprintf("%s/%d", a, ones)
}

func otherMACs(name, base, mask string) map[string]string {
	if mask != "" {
		other := map[string]string{"01:00:00:00:00:00": "00:00:00:00:00:00",
			"00:00:00:00:00:00": "01:00:00:00:00:00"}[base]
		return map[string]string{name + " other": other + "/" + mask}
	}
	last, _ := strconv.ParseUint(base[15:], 16, 8)
	other := fmt.Sprintf("%s%02x", base[:15], last^1)
	out := map[string]string{name + " other": other}
	if name == "dl_src" || name == "dl_dst" || name == "arp_sha" {
		out[name+" wider"] = fmt.Sprintf("%s%02x/ff:ff:ff:ff:ff:fe", base[:15], last&^1)
	}
	return out
}

// shape is what flows of one purpose have in common: table, band of priority, fields with the
// values that are no data, and actions.
func shape(f openflow.Flow) string {
	band := strconv.Itoa(int(f.Priority))
	if (f.Table == 20 || f.Table == 21) && f.Priority >= 200 && f.Priority < 900 {
		band = []string{"ask", "ask about own"}[f.Priority%2]
	}
	rules := f.Table == 32 || f.Table == 52
	var fields []string
	for _, field := range strings.Split(f.Match.String(), ",") {
		name, value, hasValue := strings.Cut(field, "=")
		switch {
		case name == "ct_state", name == "nw_frag", name == "reg0", name == "arp_op",
			name == "icmp_type" && !rules, f.Table == 13 && strings.HasPrefix(name, "tp_"):
			name = name + "=" + value
		case !hasValue && rules && name != "":
			name = "protocol"
		case strings.Contains(value, "01:00:00:00:00:00"), name == "nd_sll" &&
			value == "00:00:00:00:00:00", name == "nd_tll" && value == "00:00:00:00:00:00":
			name += "=" + value
		}
		fields = append(fields, name)
	}
	var verbs []string
	for _, a := range openflow.Split(f.Actions.String()) {
		if v := verb(a); !slices.Contains(verbs, v) && !strings.HasPrefix(v, "move:") &&
			!strings.HasPrefix(v, "p") {
			verbs = append(verbs, v)
		}
	}
	return fmt.Sprintf("%d %s %s -> %s", f.Table, band, strings.Join(fields, ","),
		strings.Join(verbs, " "))
}
