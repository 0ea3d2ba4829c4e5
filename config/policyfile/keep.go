package policyfile

import (
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// keep takes groups and instances from an older fragment of the same file where they are equal, positions included, so that who knew
// them finds them unchanged without looking at them.
func (f *Fragment) Keep(old *Fragment) {
	before := make(map[policy.Position]int, len(old.groups))
	for n, g := range old.groups {
		before[g.At] = n
	}
	for n, g := range f.groups {
		if at, ok := before[g.At]; ok && equalGroup(g.Group, old.groups[at].Group) {
			f.groups[n].Group = old.groups[at].Group
		}
	}
	clear(before)
	for n, i := range old.instances {
		before[i.At] = n
	}
	for n, i := range f.instances {
		if at, ok := before[i.At]; ok && equalInstance(i, old.instances[at]) {
			f.instances[n] = old.instances[at]
		}
	}
}

func equalGroup(a, b *policy.Group) bool {
	return a.Name == b.Name && a.Description == b.Description && a.At == b.At &&
		slices.Equal(a.ExternalSources, b.ExternalSources) && slices.Equal(a.Rules, b.Rules)
}

func equalInstance(a, b *policy.Instance) bool {
	return a.Name == b.Name && a.Host == b.Host && a.At == b.At && slices.Equal(a.Groups, b.Groups) &&
		slices.EqualFunc(a.Ports, b.Ports, equalPort)
}

func equalPort(a, b policy.Port) bool {
	return a.Name == b.Name && a.MAC == b.MAC && a.Type == b.Type && a.HostDevice == b.HostDevice && a.Trusted == b.Trusted && a.Limits == b.Limits && a.LogDenied == b.LogDenied && a.At == b.At &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Allowed, b.Allowed) && slices.Equal(a.EtherTypes, b.EtherTypes)
}
