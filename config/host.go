// Whether a policy seems to know this host by another name. Called for each policy that is loaded;
// it only warns.

package config

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// mostHosts is how many hosts are named where one is not found.
const mostHosts = 10

// HostWarning says that a policy seems to know this host by another name: it has instances and none
// of them is here, or it names no instance of this host but some of one that is called alike. "" =
// there is no doubt. A host that has no instances yet is one of the first kind, so it is no error.
func (s Settings) HostWarning(p *policy.Policy) string {
	anyLocal := false
	for _, i := range p.Instances {
		if i.Host == s.Host {
			return ""
		}
		anyLocal = anyLocal || i.Host == ""
	}
	hosts := hostsOf(p)
	near, isNear := nearestHost(s.Host, hosts)
	var hint string
	if isNear {
		hint = "; is it " + wording.Quote(near) + "? Then write that as host in the settings"
	}
	switch {
	case len(hosts) == 0 || anyLocal && (!isNear || !isAlike(near, s.Host)):
		return ""
	case anyLocal:
		return "only instances without a host are on this host, which is " + wording.Quote(s.Host) +
			hint
	}
	return "no instance is on this host, which is " + wording.Quote(s.Host) +
		": the policy names " + hostList(hosts) + hint
}

// hostsOf returns the hosts that a policy names, sorted.
func hostsOf(p *policy.Policy) (hosts []string) {
	seen := map[string]bool{}
	for _, i := range p.Instances {
		if i.Host != "" && !seen[i.Host] {
			seen[i.Host] = true
			hosts = append(hosts, i.Host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// hostList lists hosts.
func hostList(hosts []string) string {
	more := ""
	if n := len(hosts) - mostHosts; n > 0 {
		hosts, more = hosts[:mostHosts], " and "+wording.Count(n, "other")
	}
	quoted := make([]string, len(hosts))
	for n, h := range hosts {
		quoted[n] = wording.Quote(h)
	}
	return strings.Join(quoted, ", ") + more
}

// nearestHost returns the host that was probably meant: one that differs in the domain or in case
// only, else the nearest word of those with the same digits, as hv2 is no slip of hv1.
func nearestHost(host string, hosts []string) (string, bool) {
	for _, h := range hosts {
		if isAlike(h, host) {
			return h, true
		}
	}
	return wording.Nearest(host, slices.DeleteFunc(slices.Clone(hosts),
		func(h string) bool { return digits(h) != digits(host) }))
}

// digits are those of a word.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// isAlike says whether two names differ at most in case and in that one of them has a domain.
func isAlike(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || strings.HasPrefix(b, a+".")
}
