package matrix_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// Each cell is held against the specification: all that it says passes for each pair passes for
// each pair, and what it says passes for some passes for one.

// place is an address at a port, or outside.
type place struct {
	instance *policy.Instance
	address  netip.Addr
	mac      policy.MAC
}

func placesOf(i *policy.Instance) []place {
	var out []place
	for _, n := range i.Ports[0].Networks() {
		a := n.Masked().Addr()
		p := place{i, a, i.Ports[0].MAC}
		uses := i.Ports[0].Uses()
		if !slices.Contains(uses, policy.Use{MAC: p.mac, Prefix: n}) {
			for _, u := range uses {
				if u.Prefix == n {
					p.mac = u.MAC
				}
			}
		}
		if !slices.ContainsFunc(out, func(o place) bool { return o.address == a }) {
			out = append(out, p)
		}
	}
	return out
}

// passes asks the specification about the first packet of a connection.
func passes(w spec.World, a, b place, t spec.Tuple) bool {
	t.Src, t.Dst = a.address, b.address
	p := spec.Packet{SrcMAC: a.mac, DstMAC: b.mac, EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: t, FromUplink: a.instance == nil}
	if a.address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	if a.instance != nil {
		p.From = a.instance.Ports[0].Name
	}
	d := spec.Decide(w, p)
	if b.instance == nil {
		return d.Uplink
	}
	return slices.Contains(d.Ports, b.instance.Ports[0].Name)
}

// drawWorld draws a world of one host, in which each address is one.
func drawWorld(t *rapid.T) spec.World {
	w := policytest.DrawWorld(t)
	w.Site.UplinkSources = policy.RoutedSources
	for _, i := range w.Policy.Instances {
		i.Host = ""
		i.Ports[0].Allowed = slices.DeleteFunc(i.Ports[0].Allowed, func(a policy.AllowedAddress) bool {
			return !a.Prefix.IsSingleIP() || a.Prefix.Addr().IsLinkLocalUnicast()
		})
	}
	return w
}

// drawTuple draws a service that a rule is about, or nearly; not one of neighbour discovery, of
// which no rule is asked.
func drawTuple(t *rapid.T, w spec.World, v6 bool) spec.Tuple {
	out := spec.Tuple{Protocol: uint8(rapid.SampledFrom(policytest.Protocols[1:]).Draw(t, "protocol")),
		Src: netip.IPv4Unspecified()}
	if v6 {
		out.Src = netip.IPv6Unspecified()
	}
	g := rapid.SampledFrom(w.Policy.Groups).Draw(t, "group")
	if len(g.Rules) > 0 && rapid.IntRange(0, 9).Draw(t, "aim") > 0 {
		r := rapid.SampledFrom(g.Rules).Draw(t, "rule")
		policytest.DrawServiceNear(t, &out, r)
	}
	out.SrcPort = 0
	if p := policy.Protocol(out.Protocol); p.HasPorts() {
		out.SrcPort, out.DstPort = 4000, max(1, out.DstPort)
	} else if p == policy.ICMPv6 && out.ICMPType >= 133 && out.ICMPType <= 137 {
		out.ICMPType = 128
	}
	return out
}

// verdicts says whether a service passes between each pair of places, and between any.
type verdicts struct{ pairs, passing int }

func (v *verdicts) ask(w spec.World, from, to []place, t spec.Tuple) {
	for _, a := range from {
		for _, b := range to {
			if a.address.Is4() != b.address.Is4() || a.address.Is4() != t.Src.Is4() ||
				a.instance == b.instance {
				continue
			}
			v.pairs++
			if passes(w, a, b, t) {
				v.passing++
			}
		}
	}
}

// requireCell holds a cell against the verdicts about one service.
func requireCell(t *rapid.T, c matrix.Cell, v verdicts, tuple spec.Tuple, what string) {
	all, some := c.IPv4, c.Some4
	if tuple.Src.Is6() {
		all, some = c.IPv6, c.Some6
	}
	require.Equal(t, v.pairs > 0 && v.passing == v.pairs, all.Contains(tuple), "%s: all: %v of %v",
		what, v, tuple)
	require.Equal(t, v.passing > 0, some.Contains(tuple), "%s: some: %v of %v", what, v, tuple)
}

func TestInstancesAgreeWithTheSpecification(t *testing.T) {
	said := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m, err := matrix.Of(w.Policy, matrix.Question{Instances: true})
		require.NoError(t, err)
		for _, v6 := range []bool{false, true} {
			tuple := drawTuple(t, w, v6)
			for a, from := range w.Policy.Instances {
				for b, to := range w.Policy.Instances {
					var v verdicts
					v.ask(w, placesOf(from), placesOf(to), tuple)
					requireCell(t, m.Cell(a, b), v, tuple, from.Name+" to "+to.Name)
					said += v.passing
				}
			}
		}
	})
	require.NotZero(t, said)
}

// alone is a world in which each group's members as peers are as they were, but instances have the
// rules of a line alone: of one group and those that all its members are in. Whose egress was
// closed has it closed.
func alone(w spec.World, groups func(*policy.Instance) []string) spec.World {
	p := w.Policy.Clone()
	closing := map[string]bool{}
	members := w.Policy.Members()
	for _, g := range p.Groups {
		g.ExternalSources = members[g.Name]
		closing[g.Name] = slices.ContainsFunc(g.Rules,
			func(r policy.Rule) bool { return r.Direction == policy.Egress })
	}
	p.Groups = append(p.Groups, &policy.Group{Name: "closing",
		Rules: []policy.Rule{policytest.Rule("egress tcp 1", "192.0.2.255/32")}})
	for n, i := range p.Instances {
		i.Groups = slices.Clone(groups(w.Policy.Instances[n]))
		if slices.ContainsFunc(w.Policy.Instances[n].Groups,
			func(g string) bool { return closing[g] }) {
			i.Groups = append(i.Groups, "closing")
		}
	}
	return spec.World{Policy: p, Site: w.Site}
}

func TestGroupsAgreeWithTheSpecification(t *testing.T) {
	said := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m, err := matrix.Of(w.Policy, matrix.Question{})
		require.NoError(t, err)
		for _, v6 := range []bool{false, true} {
			tuple := drawTuple(t, w, v6)
			for a, from := range m.Ends {
				for b, to := range m.Ends {
					if from.Kind != matrix.Group || to.Kind != matrix.Group {
						continue
					}
					v := askGroups(w, from, to, tuple)
					said += v.passing
					requireCell(t, m.Cell(a, b), v, tuple, from.Name+" to "+to.Name)
				}
			}
		}
	})
	require.NotZero(t, said)
}

func isIn(e matrix.End, i *policy.Instance) bool {
	return slices.Contains(i.Groups, e.Name) || e.Name == matrix.NoGroup && len(i.Groups) == 0
}

// askGroups asks about each pair of members. A sender and a receiver have the rules of different
// lines, so each pair is a world.
func askGroups(w spec.World, from, to matrix.End, tuple spec.Tuple) (v verdicts) {
	for n, a := range w.Policy.Instances {
		for nth, b := range w.Policy.Instances {
			if a == b || !isIn(from, a) || !isIn(to, b) {
				continue
			}
			asked := alone(w, func(i *policy.Instance) []string {
				switch i {
				case a:
					return from.Groups
				case b:
					return to.Groups
				}
				return nil
			})
			v.ask(asked, placesOf(asked.Policy.Instances[n]), placesOf(asked.Policy.Instances[nth]),
				tuple)
		}
	}
	return v
}

// probes are addresses of a network that are in no smaller one that anybody names, and no
// instance's.
func probes(w spec.World, e matrix.End) []place {
	var named []netip.Prefix
	for _, g := range w.Policy.Groups {
		named = append(named, g.ExternalSources...)
		for _, r := range g.Rules {
			for _, p := range r.Peers {
				named = append(named, p.CIDR)
			}
		}
	}
	var out []place
	for _, p := range append(policytest.Nets("198.51.100.77", "2001:dba::77", "10.0.0.77",
		"192.0.2.77", "2001:db8::77", "fe80::77"), slices.Concat(policytest.Outside,
		policytest.Hosts4, policytest.Hosts6)...) {
		a := p.Addr()
		for _, n := range e.Networks {
			smaller := func(o netip.Prefix) bool { return o.Contains(a) && o.Bits() > n.Bits() }
			if n.Contains(a) && !slices.ContainsFunc(named, smaller) && !isInstances(w, a) {
				out = append(out, place{nil, a, policy.MAC{2, 9, 9, 9, 9, 9}})
			}
		}
	}
	return out
}

func isInstances(w spec.World, a netip.Addr) bool {
	return slices.ContainsFunc(w.Policy.Instances, func(i *policy.Instance) bool {
		return slices.ContainsFunc(i.Ports[0].Uses(),
			func(u policy.Use) bool { return u.Prefix.Contains(a) })
	})
}

func TestNetworksAgreeWithTheSpecification(t *testing.T) {
	said := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m, err := matrix.Of(w.Policy, matrix.Question{Instances: true})
		require.NoError(t, err)
		tuple := drawTuple(t, w, rapid.Bool().Draw(t, "IPv6"))
		for n, e := range m.Ends {
			ofFamily := func(p netip.Prefix) bool { return p.Addr().Is4() == tuple.Src.Is4() }
			e.Networks = slices.DeleteFunc(slices.Clone(e.Networks),
				func(p netip.Prefix) bool { return !ofFamily(p) })
			if e.Kind != matrix.Network || len(e.Networks) != 1 {
				continue
			}
			for at, i := range w.Policy.Instances {
				for what, places := range map[string][2][]place{
					"in":  {probes(w, e), placesOf(i)},
					"out": {placesOf(i), probes(w, e)}} {
					c := m.Cell(n, at)
					if what == "out" {
						c = m.Cell(at, n)
					}
					var v verdicts
					if v.ask(w, places[0], places[1], tuple); v.pairs > 0 {
						requireCell(t, c, v, tuple, fmt.Sprint(what, " ", e.Name, " ", i.Name))
					}
					said += v.passing
				}
			}
		}
	})
	require.NotZero(t, said)
}

func TestServicesNarrowTheQuestion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		s := policy.Service{Protocol: policy.TCP, Ports: policy.PortRange{First: 80, Last: 80},
			ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
		asked := [2]explain.Services{explain.ServicesOf(s, false), explain.ServicesOf(s, true)}
		whole, err := matrix.Of(w.Policy, matrix.Question{})
		require.NoError(t, err)
		m, err := matrix.Of(w.Policy, matrix.Question{Services: &asked})
		require.NoError(t, err)
		for a := range m.Ends {
			for b := range m.Ends {
				require.Equal(t, whole.Cell(a, b).Some4.Intersect(asked[0]), m.Cell(a, b).Some4)
				require.Equal(t, whole.Cell(a, b).IPv6.Intersect(asked[1]), m.Cell(a, b).IPv6)
			}
		}
	})
}
