package explain

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// The plain definitions, by walks over all that there is: what looks up must find the same.

// plainly is an explainer for which all of the world matters for each frame.
func plainly(w spec.World) *explainer {
	x := Read(w).explainer()
	x.around = func(Hop) spec.World { return w }
	return x
}

// plainPeers asks about each pair as a single question does.
func plainPeers(w spec.World, end End, d policy.Direction, s Asked) []Reach {
	var out []Reach
	for p := range plainly(w).pointsIn(end) {
		r := plainReach(plainly(w), p, d, s)
		if n := slices.IndexFunc(out, r.isLike); n >= 0 {
			out[n].Points = append(out[n].Points, p)
			continue
		}
		out = append(out, r)
	}
	return out
}

func plainReach(x *explainer, at Point, d policy.Direction, s Asked) Reach {
	r := Reach{Direction: d.String(), Points: []Point{at}, Outside: x.outside(at, d, s),
		Instances: []Reached{}, Open: x.isOpen(at, d)}
	for peer := range x.everyPoint {
		if peer.Address.Is4() != at.Address.Is4() || len(s.Of(at.Address.Is6())) == 0 {
			continue
		}
		from, to := at, peer
		if d == policy.Ingress {
			from, to = peer, at
		}
		route := x.route(from, to, s)
		if route.Verdict == Denied {
			continue
		}
		ours, theirs := route.Egress, route.Ingress
		if d == policy.Ingress {
			ours, theirs = theirs, ours
		}
		found := Reached{Peers: []Point{peer}, Services: route.Services,
			Rules: judgedRules(ours, route.Services), Theirs: judgedRules(theirs, route.Services)}
		if n := slices.IndexFunc(r.Instances, found.isLike); n >= 0 {
			r.Instances[n].Peers = append(r.Instances[n].Peers, peer)
			continue
		}
		r.Instances = append(r.Instances, found)
	}
	return r
}

func judgedRules(j *Judgement, s Services) []Named {
	if j == nil {
		return nil
	}
	return namedOf(j.Rules, s)
}

// The part of a world that is looked at gives the answers of the whole, word by word.
func TestAnswersNeedNoWalk(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		r := Read(w)
		names := append(r.Names(), "10.0.0.8", "192.0.2.1", "2001:db8::3", "224.0.0.1", "p0@10.0.0.9",
			"255.255.255.255", "fe80::ff:fe00:1", "10.0.0.254")
		end := func() End {
			e, err := r.FindEnd(rapid.SampledFrom(names).Draw(t, "end"))
			if err != nil {
				e, err = r.FindEnd("198.51.100.1")
			}
			require.NoError(t, err)
			return e
		}
		from, to := end(), end()
		s := policy.Service{ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
			Protocol: rapid.SampledFrom(policytest.Protocols).Draw(t, "protocol")}
		if port := rapid.SampledFrom(policytest.Ports).Draw(t, "port"); s.Protocol.HasPorts() && port > 60 {
			s.Ports = policy.PortRange{First: port, Last: port}
		}
		got := r.Explain(from, to, Ask(s))
		require.Equal(t, jsonOf(t, plainly(w).explain(from, to, Ask(s))), jsonOf(t, got))
		met[got.Verdict.String()]++
		d := rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "asked about")
		peers := slices.Collect(r.Peers(to, d, Ask(s)))
		require.Equal(t, jsonOf(t, plainPeers(w, to, d, Ask(s))), jsonOf(t, peers))
		for _, p := range peers {
			met["peers"] += len(p.Instances)
		}
		c := rapid.SampledFrom(Conversations()).Draw(t, "conversation")
		got = r.Converse(c, from, to)
		require.Equal(t, jsonOf(t, plainly(w).converse(c, from, to)), jsonOf(t, got), c.Word)
		for _, e := range got.Exchanges {
			met["frames"] += len(e.Steps)
		}
	})
	t.Log(met)
	for _, what := range []string{"denied", "admitted", "partly", "peers", "frames"} {
		require.Positive(t, met[what], what)
	}
}

func jsonOf(t require.TestingT, answer any) string {
	text, err := json.MarshalIndent(answer, "", " ")
	require.NoError(t, err)
	return string(text)
}

// What the index finds is what a walk over all ports finds, in the same order.
func TestIndexFindsWhatAWalkFinds(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		x := NewIndex(w.Policy)
		for name, networks := range w.Policy.Members() {
			require.True(t, setOf(networks...).Equal(x.members(name)), name)
		}
		require.Nil(t, x.members("nobody"))
		for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.0.7", "2001:db8::3",
			"2001:db8::5", "fe80::ff:fe00:2", "fe80::9", "198.51.100.1"} {
			addr := netip.MustParseAddr(a)
			got := x.using(addr)
			require.Equal(t, walk(w.Policy, func(u policy.Use) bool { return u.Prefix.Contains(addr) }), got, a)
			shared += max(0, len(got)-1)
		}
		for _, m := range []policy.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 3}, {0, 0, 0x5e, 0, 1, 5}} {
			want := walk(w.Policy, func(u policy.Use) bool { return u.MAC == m })
			for n, i := range w.Policy.Instances { // a port without addresses has a MAC, too
				if at := (portAt{int32(n), 0}); i.Ports[0].MAC == m && !slices.Contains(want, at) {
					want = append(want, at)
				}
			}
			slices.SortFunc(want, portAt.compare)
			require.Equal(t, want, x.having(m), m)
		}
	})
	require.Positive(t, shared)
}

func walk(p *policy.Policy, is func(policy.Use) bool) []portAt {
	var out []portAt
	for n, i := range p.Instances {
		for nth := range i.Ports {
			if slices.ContainsFunc(i.Ports[nth].Uses(), is) {
				out = append(out, portAt{int32(n), int32(nth)})
			}
		}
	}
	return out
}
