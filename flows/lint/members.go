package lint

import "github.com/portcullis/portcullis/flows/policy"

// Who is in which group, and what comes of it.

// use is how a group is used.
type use struct {
	instances int  // that are in it
	isPeer    bool // of a rule
	stands    bool // for an address or a network
}

// uses looks through the policy once.
func (c *checker) uses() map[string]*use {
	out := make(map[string]*use, len(c.policy.Groups))
	for _, g := range c.policy.Groups {
		out[g.Name] = &use{stands: len(g.ExternalSources) > 0}
	}
	for _, i := range c.policy.Instances {
		has := false
		for n := range i.Ports {
			has = has || len(i.Ports[n].Addresses)+len(i.Ports[n].Allowed) > 0
		}
		for _, name := range i.Groups {
			if u := out[name]; u != nil {
				u.instances++
				u.stands = u.stands || has
			}
		}
	}
	for _, rules := range c.rules {
		for _, r := range rules {
			for _, name := range append(r.networks[:len(r.networks):len(r.networks)], r.groups...) {
				if u := out[name]; u != nil {
					u.isPeer = true
				}
			}
		}
	}
	return out
}

// unused finds groups of which nothing comes.
func (c *checker) unused(uses map[string]*use) {
	for n, g := range c.policy.Groups {
		switch u := uses[g.Name]; {
		case u.instances > 0 || g.IsNetwork:
		case !u.isPeer:
			c.atGroup(n, UnusedGroup, "no instance is in group %q, and no rule names it; "+
				"put instances into it, or remove it", g.Name)
		case len(g.Rules) > 0:
			c.atGroup(n, UnusedGroup, "no instance is in group %q, so that its rules are "+
				"nobody's; put instances into it, or remove its rules", g.Name)
		}
	}
}

// unusedNetworks finds named networks that no rule names.
func (c *checker) unusedNetworks(uses map[string]*use) {
	for n, g := range c.policy.Groups {
		if g.IsNetwork && !uses[g.Name].isPeer {
			c.atGroup(n, UnusedNetwork, "no rule names the network %q; write its name where a "+
				"rule means it, or remove it", g.Name)
		}
	}
}

// emptyPeers finds rules whose groups stand for nobody.
func (c *checker) emptyPeers(uses map[string]*use) {
	for _, rules := range c.rules {
		for n := range rules {
			for _, name := range rules[n].groups {
				if u := uses[name]; u != nil && !u.stands {
					c.atRule(&rules[n], EmptyPeer, "group %q has no member with an address and no "+
						"external_sources, so that the rule admits nobody of it; put instances "+
						"into it, or remove the rule", name)
				}
			}
		}
	}
}

// withoutGroup finds instances of which no rule speaks. A trusted port needs none.
func (c *checker) withoutGroup() {
	for n, i := range c.policy.Instances {
		if len(i.Groups) > 0 {
			continue
		}
		for p := range i.Ports {
			if !i.Ports[p].Trusted {
				c.atInstance(n, NoGroup, "instance %q is in no group: nobody can open a "+
					"connection to it, and it can open any; put it into a group", i.Name)
				break
			}
		}
	}
}

// class are the instances that are in the same groups.
type class struct {
	rules   []*rule
	example [2]*policy.Instance // the first that has an address of the family
}

// byGroups returns the classes, in the order of the policy.
func (c *checker) byGroups() []*class {
	if c.classes != nil {
		return c.classes
	}
	index := make(map[string]int, len(c.policy.Groups))
	for n, g := range c.policy.Groups {
		index[g.Name] = n
	}
	known := map[string]*class{}
	var key []byte
	for _, i := range c.policy.Instances {
		key = key[:0]
		for _, g := range i.Groups {
			key = append(append(key, g...), 0)
		}
		k := known[string(key)]
		if k == nil {
			k = &class{}
			for _, g := range i.Groups {
				for n := range c.rules[index[g]] {
					k.rules = append(k.rules, &c.rules[index[g]][n])
				}
			}
			known[string(key)] = k
			c.classes = append(c.classes, k)
		}
		k.note(i)
	}
	return c.classes
}

// note remembers an instance as the example of its families.
func (k *class) note(i *policy.Instance) {
	if k.example[v4] != nil && k.example[v6] != nil {
		return
	}
	for n := range i.Ports {
		if i.Ports[n].Trusted {
			continue
		}
		for _, a := range i.Ports[n].Addresses {
			family := v4
			if a.Addr().Is6() {
				family = v6
			}
			if k.example[family] == nil {
				k.example[family] = i
			}
		}
	}
}
