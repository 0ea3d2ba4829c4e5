package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Near is a rule that does not admit what was asked, and what is missing.
type Near struct {
	Named
	Missing string `json:"missing"` // in words

	distance int
}

// maxNearest is how many rules are told of those that are equally near.
const maxNearest = 3

// How far a rule is from admitting: the wrong port of the right protocol and the wrong address are
// each one thing to change.
const (
	farPort     = 2
	farProtocol = 6
	farAddress  = 2
	farFamily   = 3
)

// nearest returns the rules of one direction that come nearest to admitting what is missing, and
// what each of them lacks.
func (x *explainer) nearest(d policy.Direction, at, peer Point, missing Services) []Near {
	var near []Near
	for g, r := range x.rulesOf(at, d) {
		service, farService := lacksService(r, peer.Address.Is6(), missing)
		who, farPeer := x.lacksPeer(r, peer)
		if farService+farPeer == 0 {
			continue // it admits all that is missing of the question: then it would not be missing
		}
		n := Near{Named: x.name(g, r), distance: farService + farPeer}
		n.Missing = strings.Join(slices.DeleteFunc([]string{service, who},
			func(s string) bool { return s == "" }), "; ")
		near = append(near, n)
	}
	slices.SortStableFunc(near, func(a, b Near) int { return a.distance - b.distance })
	end := 0
	for end < len(near) && end < maxNearest && near[end].distance == near[0].distance {
		end++
	}
	return near[:end:end]
}

// lacksService says what of the services a rule does not admit, and how far it is from it.
func lacksService(r *policy.Rule, v6 bool, asked Services) (string, int) {
	admits := admittedBy(*r, v6)
	if len(asked.Intersect(admits)) > 0 {
		return "", 0
	}
	far := farProtocol
	if len(asked) > 0 && len(admits) > 0 &&
		asked[0].first>>protocolShift == admits[0].first>>protocolShift {
		far = farPort
	}
	words := r.ServiceText()
	if len(admits) == 0 {
		return fmt.Sprintf("admits %s, which is not of IPv%d", words, version(v6)), far + farFamily
	}
	return fmt.Sprintf("admits %s, not %s", words, asked), far
}

func version(v6 bool) int {
	if v6 {
		return 6
	}
	return 4
}

// lacksPeer says why an address is of none of the rule's peers, and how far it is from them.
func (x *explainer) lacksPeer(r *policy.Rule, peer Point) (string, int) {
	if x.hasPeer(r, peer.Address) {
		return "", 0
	}
	only := "only " + r.Preposition() + " " + r.PeerText()
	named, isOfFamily := groupsNamed(r), false
	for _, p := range r.Peers {
		isOfFamily = isOfFamily || p.Group != "" || p.CIDR.Addr().Is4() == peer.Address.Is4()
	}
	if is4 := peer.Address.Is4(); !isOfFamily {
		return fmt.Sprintf("only IPv%d (%s), not IPv%d", version(is4), r.PeerText(), version(!is4)),
			farFamily
	}
	if len(named) == 0 {
		return only + ", not " + peer.Place(), farAddress
	}
	if peer.Instance == "" {
		none := " is none of its members"
		if len(r.Peers) > 1 {
			none = " is none of them"
		}
		return only + "; " + peer.Place() + none, farAddress
	}
	groups := peer.local.Instance.Groups
	isNamed := func(name string) bool { return slices.Contains(named, name) }
	if slices.ContainsFunc(groups, isNamed) { // by a link-local address
		return only + ", as a member by its own addresses and not by " + peer.Address.String(), farAddress
	}
	if len(groups) == 0 {
		return only + "; " + peer.Instance + " is in no group", farAddress
	}
	return only + "; " + peer.Instance + " is in " + strings.Join(groups, ", "), farAddress
}

// groupsNamed returns the groups that are peers of a rule, without named networks.
func groupsNamed(r *policy.Rule) (out []string) {
	for _, p := range r.Peers {
		if p.Group != "" && !p.IsNetwork {
			out = append(out, p.Group)
		}
	}
	return out
}

// usesText lists the addresses that a port may use, for a message.
func usesText(p *policy.Port) string {
	var out []string
	for _, u := range p.Uses() {
		text := networkText(u.Prefix)
		if !slices.Contains(out, text) && !isLinkLocal(u.Prefix) {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "no address"
	}
	return strings.Join(out, ", ")
}

// networkText writes a network without its length where it is one address.
func networkText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func isLinkLocal(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }
