package matrix

import (
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// The answer in words: what is printed, drawn and sent to whoever asks the daemon.

// Answer is a matrix in words, and the rules that are the arrows of its picture.
type Answer struct {
	Ends  []End `json:"ends"`
	Cells []Row `json:"cells"` // those in which anything passes
	// Arrows are of a question about groups.
	Arrows []Arrow `json:"arrows,omitempty"`
}

// Row is a cell in words.
type Row struct {
	From string `json:"from"` // the name of an end
	To   string `json:"to"`
	// Services pass between each address of the one and each of the other: "tcp/80", "any",
	// "tcp/22 (IPv4)" where the other family has it not.
	Services []string `json:"services"`
	// Some pass between some of their addresses, and are not among Services.
	Some []string `json:"of_some,omitempty"`
}

// Ask answers a question about a policy in words. The error is that of [Of].
func Ask(p *policy.Policy, q Question) (*Answer, error) {
	m, err := Of(p, q)
	if err != nil {
		return nil, err
	}
	a := m.inWords()
	if !q.Instances {
		a.Arrows = arrows(p, m, q)
	}
	return a, nil
}

// IsDual says whether an end has addresses of both families.
func (e *End) IsDual() bool {
	has := Counts{e.Addresses.IPv4, e.Addresses.IPv6}
	for _, n := range e.Networks {
		if n.Addr().Is4() {
			has.IPv4++
		} else {
			has.IPv6++
		}
	}
	return has.IPv4 > 0 && has.IPv6 > 0
}

// Words puts the services of both families into words. Where both matter, what one of them alone
// has says so; the ICMP of each is of one alone.
func Words(v4, v6 explain.Services, families bool) []string {
	if !families {
		return nonNil(v4.Union(v6).Words())
	}
	of := func(p policy.Protocol, v6 bool) explain.Services {
		return explain.ServicesOf(policy.Service{Protocol: p, ICMPType: policy.AnyICMP,
			ICMPCode: policy.AnyICMP}, v6)
	}
	plain := v4.Intersect(v6).Union(v4.Intersect(of(policy.ICMP, false))).
		Union(v6.Intersect(of(policy.ICMPv6, true)))
	out := nonNil(plain.Words())
	for _, only := range []struct {
		services explain.Services
		family   string
	}{{v4.Minus(plain), " (IPv4)"}, {v6.Minus(plain), " (IPv6)"}} {
		for _, word := range only.services.Words() {
			out = append(out, word+only.family)
		}
	}
	return out
}

func nonNil(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}
