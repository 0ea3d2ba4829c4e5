package explain

import (
	"strconv"

	"github.com/portcullis/portcullis/flows/policy"
)

// Words lists the services in the words that commands take: "tcp/80", "udp/5000-5999", "icmp/8",
// "esp", "protocol/99". Every port of a protocol is its name alone. The empty set has no words, the
// full one is "any"; neighbour discovery, about which no rule is asked, makes no difference.
func (s Services) Words() []string {
	asked := Services{everything}.Minus(Services{discovery})
	mine := s.Minus(Services{discovery})
	left := asked.Minus(mine)
	if len(left) == 0 {
		return []string{"any"}
	}
	if len(left) <= 2 && left.protocols() < 3 && mine.protocols() > 250 {
		words := left.Words()
		words[0] = "any but " + words[0]
		return words
	}
	if len((Services{whole(policy.ICMPv6)}).Minus(Services{discovery}).Minus(mine)) == 0 {
		mine = mine.Union(Services{discovery})
	}
	var out []string
	for _, p := range mine {
		out = append(out, p.short()...)
	}
	return out
}

// short cuts a span at the borders of protocols.
func (p span) short() []string {
	var out []string
	for n := p.first >> protocolShift; n <= p.last>>protocolShift; n++ {
		w := whole(policy.Protocol(n))
		part := span{max(p.first, w.first), min(p.last, w.last)}
		name := policy.Protocol(n).String()
		if isNumber(name) {
			name = "protocol/" + name
		}
		switch from := max(part.first, w.first+1); {
		case part.last == w.last && part.first <= w.first+1:
			out = append(out, name)
		case policy.Protocol(n).HasTypes():
			out = append(out, part.shortTypes(name)...)
		default:
			out = append(out, name+"/"+policy.PortRange{First: uint16(from),
				Last: uint16(part.last)}.String())
		}
	}
	return out
}

// shortTypes cuts a span of one ICMP protocol at the borders of types.
func (p span) shortTypes(name string) []string {
	var out []string
	for first := p.first; first <= p.last; {
		last := min(p.last, first|0xff)
		word := name + "/" + strconv.Itoa(int(uint8(first>>8)))
		switch low, high := uint8(first), uint8(last); {
		case low == 0 && high == 0xff:
		case low == high:
			word += "/" + strconv.Itoa(int(low))
		default:
			word += "/" + strconv.Itoa(int(low)) + "-" + strconv.Itoa(int(high))
		}
		out, first = append(out, word), last+1
	}
	return out
}
