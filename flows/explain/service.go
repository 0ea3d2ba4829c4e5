package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// ServicesOf returns the service as a set of one family. Neighbour discovery is in none: no rule is
// asked about it.
func ServicesOf(s policy.Service, v6 bool) Services {
	if s.Protocol.HasPorts() && s.Ports.First == 0 {
		return Services{whole(s.Protocol)}
	}
	asked := admittedBy(policy.Rule{Protocol: s.Protocol, Ports: []policy.PortRange{s.Ports},
		ICMPType: s.ICMPType, ICMPCode: s.ICMPCode}, v6)
	if v6 {
		return asked.Minus(Services{discovery})
	}
	return asked
}

// Services is a set of services of one IP family, as sorted spans that neither meet nor overlap.
// The zero Services is empty.
type Services []span

// span is a run of services, both ends included: the protocol in the bits from 16 on, below it the
// port, or the ICMP type and code. A protocol that has neither is every value of its lower bits.
type span struct{ first, last uint32 }

const protocolShift = 16

// everything is each service of each protocol, and discovery what RFC 4861 says in ICMPv6.
var (
	everything = span{0, 256<<protocolShift - 1}
	discovery  = span{icmpValue(policy.ICMPv6, policy.RouterSolicitation, 0),
		icmpValue(policy.ICMPv6, policy.Redirect, 0xff)}
)

func whole(p policy.Protocol) span {
	return span{uint32(p) << protocolShift, uint32(p)<<protocolShift | 0xffff}
}

func icmpValue(p policy.Protocol, kind, code uint8) uint32 {
	return uint32(p)<<protocolShift | uint32(kind)<<8 | uint32(code)
}

// admittedBy returns what a rule admits of a family, as [Rule.fits] does for whole datagrams.
func admittedBy(r policy.Rule, v6 bool) Services {
	switch {
	case r.Protocol == policy.AnyProtocol:
		return Services{everything}
	case r.Protocol == policy.ICMP && v6, r.Protocol == policy.ICMPv6 && !v6:
		return nil
	case r.Protocol.HasPorts():
		base := uint32(r.Protocol) << protocolShift
		var out Services
		for _, ports := range policy.UnionOfPorts(r.Ports) {
			out = append(out, span{base | uint32(ports.First), base | uint32(ports.Last)})
		}
		return out
	case !r.Protocol.HasTypes() || r.ICMPType == policy.AnyICMP:
		return Services{whole(r.Protocol)}
	case r.ICMPCode == policy.AnyICMP:
		return Services{{icmpValue(r.Protocol, uint8(r.ICMPType), 0),
			icmpValue(r.Protocol, uint8(r.ICMPType), 0xff)}}
	}
	v := icmpValue(r.Protocol, uint8(r.ICMPType), uint8(r.ICMPCode))
	return Services{{v, v}}
}

// Union returns what is in either.
func (s Services) Union(o Services) Services {
	out := make(Services, 0, len(s)+len(o))
	for len(s)+len(o) > 0 {
		if len(s) == 0 || len(o) > 0 && o[0].first < s[0].first {
			s, o = o, s
		}
		p := s[0]
		s = s[1:]
		if n := len(out); n > 0 && p.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, p.last)
			continue
		}
		out = append(out, p)
	}
	return out
}

// Minus returns what is in s and not in o.
func (s Services) Minus(o Services) Services {
	var out Services
	if len(s) > 0 {
		o = o[sort.Search(len(o), func(n int) bool { return o[n].last >= s[0].first }):]
	}
	for _, p := range s {
		first := p.first
		for len(o) > 0 && o[0].last < first {
			o = o[1:]
		}
		for _, q := range o {
			if q.first > p.last {
				break
			}
			if q.first > first {
				out = append(out, span{first, q.first - 1})
			}
			first = q.last + 1
		}
		if first <= p.last {
			out = append(out, span{first, p.last})
		}
	}
	return out
}

// Intersect returns what is in both.
func (s Services) Intersect(o Services) Services { return s.Minus(s.Minus(o)) }

// Contains says whether the service of a connection is in the set.
func (s Services) Contains(t spec.Tuple) bool {
	v := uint32(t.Protocol) << protocolShift
	switch p := policy.Protocol(t.Protocol); {
	case p.HasPorts():
		v |= uint32(t.DstPort)
	case p == policy.ICMP && t.Src.Is4(), p == policy.ICMPv6 && t.Src.Is6():
		v = icmpValue(p, t.ICMPType, t.ICMPCode)
	}
	return slices.ContainsFunc(s, func(p span) bool { return p.first <= v && v <= p.last })
}

// Sample returns the first service of a set that is not empty, between two addresses. Its source
// port is no port of DHCP.
func (s Services) Sample(src, dst netip.Addr) spec.Tuple {
	v := s[0].first
	t := spec.Tuple{Src: src, Dst: dst, Protocol: uint8(v >> protocolShift)}
	switch p := policy.Protocol(t.Protocol); {
	case p.HasPorts():
		t.SrcPort, t.DstPort = clientPort, uint16(v)
	case p.HasTypes():
		t.ICMPType, t.ICMPCode = uint8(v>>8), uint8(v)
	}
	return t
}

// clientPort is where the invented connections come from.
const clientPort = 40000

// MarshalText returns the words of [Services.String].
func (s Services) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String lists the services as rules write them: "tcp 80, tcp 443, icmp type 8". The empty set is
// "nothing", the full one "any".
func (s Services) String() string {
	if len(s) == 0 {
		return "nothing"
	}
	if len(s) == 1 && s[0] == everything {
		return "any"
	}
	if left := (Services{everything}).Minus(s); len(left) <= 2 && left.protocols() < 3 &&
		s.protocols() > 250 {
		return "any but " + left.String()
	}
	var out []string
	for _, p := range s {
		out = append(out, p.words()...)
	}
	return strings.Join(out, ", ")
}

// protocols counts the protocols that have a part in the set.
func (s Services) protocols() int {
	n, last := 0, -1
	for _, p := range s {
		from, to := max(last+1, int(p.first>>protocolShift)), int(p.last>>protocolShift)
		n, last = n+max(0, to-from+1), max(last, to)
	}
	return n
}

// words cuts a span at the borders of protocols.
func (p span) words() []string {
	var out []string
	for n := p.first >> protocolShift; n <= p.last>>protocolShift; n++ {
		w := whole(policy.Protocol(n))
		part := span{max(p.first, w.first), min(p.last, w.last)}
		switch name := policy.Protocol(n).String(); {
		case part == w && isNumber(name):
			out = append(out, "protocol "+name)
		case part == w:
			out = append(out, name)
		case policy.Protocol(n).HasTypes():
			out = append(out, part.types(name)...)
		default:
			out = append(out, name+" "+policy.PortRange{First: uint16(part.first),
				Last: uint16(part.last)}.String())
		}
	}
	return out
}

func isNumber(name string) bool { return name[0] >= '0' && name[0] <= '9' }

// types cuts a span of one ICMP protocol at the borders of types.
func (p span) types(name string) []string {
	var out []string
	for first := p.first; first <= p.last; {
		last := min(p.last, first|0xff)
		kind, low, high := uint8(first>>8), uint8(first), uint8(last)
		switch {
		case low == 0 && high == 0xff && p.last >= last+0x100: // several whole types
			last = (p.last+1)&^0xff - 1
			out = append(out, fmt.Sprintf("%s types %d-%d", name, kind, uint8(last>>8)))
		case low == 0 && high == 0xff:
			out = append(out, fmt.Sprintf("%s type %d", name, kind))
		case low == high:
			out = append(out, fmt.Sprintf("%s type %d code %d", name, kind, low))
		default:
			out = append(out, fmt.Sprintf("%s type %d codes %d-%d", name, kind, low, high))
		}
		first = last + 1
	}
	return out
}

// Reading services back from the words of [Services.String]: for whoever has an answer as JSON.
// Invariant: what was written is read as the same set.

const anyBut = "any but "

// UnmarshalText reads the words of [Services.String].
func (s *Services) UnmarshalText(text []byte) error {
	words := string(text)
	*s = nil
	switch {
	case words == "nothing":
		return nil
	case words == "any":
		*s = Services{everything}
		return nil
	}
	rest, but := strings.CutPrefix(words, anyBut)
	var all, out Services
	for item := range strings.SplitSeq(rest, ", ") {
		p, err := readSpan(item)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	out = all.Union(nil)
	if *s = out; but {
		*s = (Services{everything}).Minus(out)
	}
	return nil
}

// readSpan reads one part: "tcp 80-443", "icmp type 8 code 0", "protocol 99", "esp".
func readSpan(item string) (span, error) {
	fields := strings.Fields(item)
	if len(fields) > 1 && fields[0] == "protocol" {
		fields = fields[1:]
	}
	if len(fields) == 0 {
		return span{}, fmt.Errorf("services %q: a part is empty", item)
	}
	p, ok := policy.ParseProtocol(fields[0])
	if !ok || p >= policy.AnyProtocol {
		return span{}, fmt.Errorf("services %q: %q is no protocol", item, fields[0])
	}
	all := whole(p)
	low, high := uint64(all.first&0xffff), uint64(all.last&0xffff)
	var err error
	switch rest := fields[1:]; len(rest) {
	case 0:
	case 1:
		low, high, err = readRange(rest[0])
	case 2: // type 8, types 3-4
		low, high, err = readRange(rest[1])
		low, high = low<<8, high<<8|0xff
	case 4: // type 8 code 0, type 3 codes 1-2
		var kind, last uint64
		if kind, last, err = readRange(rest[1]); err == nil && kind == last {
			low, high, err = readRange(rest[3])
			low, high = kind<<8|low, kind<<8|high
		}
	default:
		err = fmt.Errorf("too many words")
	}
	if err != nil || low > high || high > 0xffff {
		return span{}, fmt.Errorf("services %q: want words such as tcp 80-443 or icmp type 8", item)
	}
	return span{all.first | uint32(low), all.first | uint32(high)}, nil
}

// readRange reads "80" or "80-443".
func readRange(text string) (low, high uint64, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	if low, err = strconv.ParseUint(first, 10, 16); err == nil {
		high, err = strconv.ParseUint(last, 10, 16)
	}
	return low, high, err
}

// UnmarshalText reads the word of [Outcome.String].
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, one := range []Outcome{Denied, Partly, Admitted} {
		if one.String() == string(text) {
			*o = one
			return nil
		}
	}
	return fmt.Errorf("%q is no verdict: want denied, partly or admitted", text)
}
