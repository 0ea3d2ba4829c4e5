package lint

import (
	"math"
	"net/netip"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// What is open to the world: to all public addresses of a family.

// addresses is a set of them.
type addresses = *netipx.IPSet

// notPublic are those that nobody has on the public network (IANA's registries of special
// addresses): networks that leave them out are the world, too.
var notPublic = [...]string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8",
	"169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001:db8::/32", "2002::/16"}

// publicAddresses returns the public addresses by family.
func publicAddresses() (out [2]addresses) {
	for family, all := range [...]string{v4: "0.0.0.0/0", v6: "2000::/3"} {
		var b netipx.IPSetBuilder
		b.AddPrefix(netip.MustParsePrefix(all))
		for _, n := range notPublic {
			b.RemovePrefix(netip.MustParsePrefix(n))
		}
		out[family], _ = b.IPSet() // an error is of a network that is none
	}
	return out
}

// isWorld says whether networks hold all public addresses of a family.
func (c *checker) isWorld(nets []netip.Prefix, family int) bool {
	share := 0.0
	for _, n := range nets {
		if n.Addr().Is6() == (family == v6) {
			share += 1 / math.Exp2(float64(n.Bits()))
		}
	}
	// more than half of IPv4 is public, and nearly an eighth of IPv6
	if share < 0.1 {
		return false
	}
	var b netipx.IPSetBuilder
	b.AddSet(c.public[family])
	b.RemoveSet(setOf(nets))
	rest, err := b.IPSet()
	return err == nil && len(rest.Ranges()) == 0
}

// probe is a service that is not meant for the world.
type probe struct {
	id      string
	service explain.Services
	words   string
}

// probes are those of each port.
func probes() []probe {
	return []probe{
		{WorldSSH, port(policy.TCP, 22), "log in by SSH"},
		{WorldRDP, port(policy.TCP, 3389).Union(port(policy.UDP, 3389)),
			"open a remote desktop (RDP)"},
	}
}

// world finds in a group what is open to the world.
func (c *checker) world(group int) {
	var whole, others []*rule
	for n := range c.rules[group] {
		switch r := &c.rules[group][n]; {
		case r.Direction != policy.Ingress:
		case r.isAny:
			whole = append(whole, r)
		default:
			others = append(others, r)
		}
	}
	if at, who := c.open(whole); at != nil {
		c.atRule(at, WorldAny, "%s may reach every service of the members of group %q; "+
			"write a rule for each service that is meant", who, c.policy.Groups[group].Name)
	}
	for _, p := range probes() {
		var of []*rule
		for _, r := range others {
			if r.admits(p.service) {
				of = append(of, r)
			}
		}
		if at, who := c.open(of); at != nil {
			c.atRule(at, p.id, "%s may try to %s at the members of group %q; name the networks "+
				"or the group that administrators come from", who, p.words,
				c.policy.Groups[group].Name)
		}
	}
}

// open says who, if rules admit the world together, and at which rule to say so.
func (c *checker) open(rules []*rule) (at *rule, who string) {
	var reach []netip.Prefix
	for _, r := range rules {
		reach = append(reach, r.reach...)
	}
	for family, name := range familyNames {
		if !c.isWorld(reach, family) {
			continue
		}
		if at == nil {
			at, who = c.widest(rules, family), "every address of "+name
			continue
		}
		who = "every address"
	}
	return at, who
}

// widest returns the rule that admits a family's world by itself, else the first that has to do
// with it.
func (c *checker) widest(rules []*rule, family int) *rule {
	var first *rule
	for _, r := range rules {
		if r.isWorld[family] {
			return r
		}
		if first == nil && hasFamily(r.reach, family) {
			first = r
		}
	}
	return first
}
