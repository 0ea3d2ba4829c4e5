package lint

import (
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// What the rules of all groups of an instance leave out together: the other IP family, and name
// servers.

// families finds rules that admit all of one family where a member has the other, too, and no rule
// of its groups admits some of the same to a network of that.
func (c *checker) families() {
	found := map[*rule]bool{}
	for _, k := range c.byGroups() {
		for _, r := range k.rules {
			for family := range familyNames {
				other := 1 - family
				if found[r] || k.example[other] == nil || !c.isOnly(r, family) ||
					slices.ContainsFunc(k.rules, func(o *rule) bool { return o.answers(r, other) }) {
					continue
				}
				found[r] = true
				c.atRule(r, OneFamily, "the rule is about every address of %s and none of %s, "+
					"and %q has an address of that; write it for %s, too", familyNames[family],
					familyNames[other], k.example[other].Name, wholeOf[other])
			}
		}
	}
}

// isOnly says whether a rule is about the world of one family, about nobody else, and about
// services that the other family has, too.
func (c *checker) isOnly(r *rule, family int) bool {
	other := 1 - family
	return len(r.groups) == 0 && !hasFamily(r.nets, other) && len(r.services[other]) > 0 &&
		r.isWorld[family]
}

// answers says whether a rule admits some of what another does, to or from networks of a family.
func (r *rule) answers(o *rule, family int) bool {
	return r.Direction == o.Direction && hasFamily(r.reach, family) &&
		len(r.services[family].Intersect(o.services[family])) > 0
}

// names are the services that ask for names: DNS, and DNS over TLS.
func names() explain.Services {
	return port(policy.UDP, 53).Union(port(policy.TCP, 53)).Union(port(policy.TCP, 853))
}

// withoutDNS finds rules that open egress to the world for instances whose rules admit no name
// server.
func (c *checker) withoutDNS() {
	found, asks := map[*rule]bool{}, names()
	for _, k := range c.byGroups() {
		example := k.example[v4]
		if example == nil {
			example = k.example[v6]
		}
		if example == nil || slices.ContainsFunc(k.rules, func(r *rule) bool {
			return r.Direction == policy.Egress && r.admits(asks)
		}) {
			continue
		}
		at := slices.IndexFunc(k.rules, func(r *rule) bool {
			return r.Direction == policy.Egress && r.hasPorts() &&
				(r.isWorld[v4] || r.isWorld[v6])
		})
		if at >= 0 && !found[k.rules[at]] {
			found[k.rules[at]] = true
			c.atRule(k.rules[at], EgressWithoutDNS, "%q may open these connections to the "+
				"world, and ask no name server: egress rules close all that none admits; "+
				"add egress udp 53 to the name servers", example.Name)
		}
	}
}

// hasPorts says whether a rule is about connections that people open by name.
func (r *rule) hasPorts() bool {
	return r.admits(explain.ServicesOf(policy.Service{Protocol: policy.TCP}, false)) ||
		r.admits(explain.ServicesOf(policy.Service{Protocol: policy.UDP}, false))
}
