// The peers of a rule, and named networks. Called by rule.go and reader.go.

package policyfile

import (
	"net/netip"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// networkPeers reads cidr of a rule: a network, the name of one, or a list of both.
func (r *reader) networkPeers(n strictyaml.Node) []policy.Peer {
	return r.peers(n, "cidr", func(n strictyaml.Node) (policy.Peer, bool) {
		if word, _ := n.Word(); policy.IsNetworkName(word) {
			name, ok := r.text(n)
			return policy.Peer{Group: name, IsNetwork: true}, ok
		}
		p, ok := readNetwork(n)
		return policy.Peer{CIDR: p}, ok
	})
}

// groupPeers reads group of a rule: a group, or a list of them.
func (r *reader) groupPeers(n strictyaml.Node) []policy.Peer {
	return r.peers(n, "group", func(n strictyaml.Node) (policy.Peer, bool) {
		name := r.name(n)
		return policy.Peer{Group: name}, name != ""
	})
}

// peers reads the peers that one key of a rule has. One that another covers is warned of.
func (r *reader) peers(n strictyaml.Node, key string,
	read func(strictyaml.Node) (policy.Peer, bool)) []policy.Peer {
	var out []policy.Peer
	var at []strictyaml.Node
	seen := once[policy.Peer]{}
	for _, item := range n.Items() {
		if p, ok := read(item); ok && seen.first(p, item) {
			if n.IsList() {
				r.noteEntry(item, key, len(out))
			}
			out, at = append(out, p), append(at, item)
		}
	}
	if union := policy.UnionOfPeers(out); len(union) < len(out) && len(out) <= policy.MaxRuleItems {
		warnOfCovered(out, at)
	}
	return out
}

func warnOfCovered(list []policy.Peer, at []strictyaml.Node) {
	for n, p := range list {
		for _, q := range list {
			if p != q && q.Covers(p) {
				at[n].Warnf("%s is within %s, which is in this list, too", p, q)
				break
			}
		}
	}
}

// warnOfFamily warns of networks that an ICMP of the other IP version is admitted from, which there
// is none. That no peer can match is an error.
func warnOfFamily(n strictyaml.Node, r *policy.Rule) {
	if !r.Protocol.HasTypes() {
		return
	}
	var other []netip.Prefix
	for _, p := range r.Peers {
		if p.CIDR.IsValid() && p.CIDR.Addr().Is4() != (r.Protocol == policy.ICMP) {
			other = append(other, p.CIDR)
		}
	}
	if len(other) < len(r.Peers) {
		for _, p := range other {
			n.Warnf("%s is of the other IP version than %s: nobody of it is admitted", p, r.Protocol)
		}
	}
}

// namedNetwork reads one entry of networks.
func (r *reader) namedNetwork(name string, n strictyaml.Node) *policy.Group {
	out := &policy.Group{Name: name, IsNetwork: true, At: n.Location().Pos}
	r.note(n, "name")
	seen := once[netip.Prefix]{}
	for _, item := range n.Value().Items() {
		if p, ok := readNetwork(item); ok && seen.first(p, item) {
			r.noteEntry(item, "external_sources", len(out.ExternalSources))
			out.ExternalSources = append(out.ExternalSources, p)
		}
	}
	return out
}
