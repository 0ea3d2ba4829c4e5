package flows_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// Connections that were opened under one policy are judged by the next, in both directions, with no
// entry flushed: what nothing admits any more stops, everything else goes on. Random policies,
// connections and changes; the epochs move as RevokedPorts says.
func TestRevocationIsExact(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		narrow := drawNarrow(t)
		sw, err := flowtest.New(compileNarrow(t, narrow, in).Flows)
		if err != nil {
			t.Fatal(err)
		}
		opened := openConnections(t, w, in, sw)
		for range 3 {
			next := changed(t, w)
			after := in
			after.Policy = next.Policy
			after.Bindings = slices.Clone(in.Bindings)
			for i := range after.Bindings {
				if slices.Contains(flows.RevokedPorts(in, after), after.Bindings[i].Port) {
					after.Bindings[i].Epoch += 10
				}
			}
			if err := sw.Replace(compileNarrow(t, narrow, after).Flows); err != nil {
				t.Fatal(err)
			}
			for _, c := range opened {
				for _, p := range []spec.Packet{c.reply, c.first, c.reply} {
					if !c.mixed {
						counts[c.agree(t, next, after, sw, p)]++
					}
				}
			}
			w, in = next, after
		}
	})
	t.Logf("packets of connections after changes: %v", counts)
	require.Greater(t, counts["passes"], 500)
	require.Greater(t, counts["stopped"], 500)
}

func compile(t *rapid.T, in flows.Input) *flows.Program {
	p, err := flows.Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// connection is one that the first policy admitted, wholly or at the sender's side only.
type connection struct {
	first, reply spec.Packet
	known        map[string]bool // the ports whose zone has an entry
	// a reply opened a connection of its own at one of the ports: the test follows it no further
	mixed bool
}

func openConnections(t *rapid.T, w spec.World, in flows.Input, sw *flowtest.Switch) []*connection {
	zones := map[uint16]string{}
	for _, b := range in.Bindings {
		zones[b.Zone] = b.Port
	}
	var opened []*connection
	used := map[spec.Tuple]bool{}
	for n := range 60 {
		p, ok := policytest.DrawAimed(t, w)
		if !ok || p.Fragment != spec.Whole || p.ICMPType == 0 && p.Protocol == 1 || p.ICMPType == 129 {
			continue
		}
		if p.SrcPort == 4000 {
			p.SrcPort += uint16(n)
		}
		if used[p.Tuple] || used[policytest.Answer(p.Tuple)] {
			continue
		}
		used[p.Tuple], p.Conntrack = true, nil
		seen := flowtest.FromPolicy(p, in)
		seen.Known = nil
		got, err := sw.Forward(seen)
		if err != nil {
			t.Fatal(err)
		}
		c := &connection{first: p, known: map[string]bool{}}
		for _, commit := range got.Commits {
			c.known[zones[commit.Zone]] = true
		}
		if c.reply, ok = replyTo(w, p); ok && len(c.known) > 0 {
			opened = append(opened, c)
		}
	}
	return opened
}

// replyTo returns the packet that the receiver answers with.
func replyTo(w spec.World, p spec.Packet) (spec.Packet, bool) {
	r := p
	r.Tuple, r.SrcMAC, r.DstMAC = policytest.Answer(p.Tuple), p.DstMAC, p.SrcMAC
	r.From, r.FromUplink = "", true
	for _, i := range w.Policy.Instances {
		if i.Ports[0].MAC == p.DstMAC && i.IsLocal("h") {
			r.From, r.FromUplink = i.Ports[0].Name, false
		}
	}
	return r, r.FromUplink != p.FromUplink || !r.FromUplink
}

// tracked tells the specification what each zone knows of a packet of the connection, and returns
// its side.
func (c *connection) tracked(p *spec.Packet, in flows.Input) spec.Side {
	side := spec.OriginalSide
	if p.Tuple != c.first.Tuple {
		side = spec.ReplySide
	}
	p.Conntrack = map[string]spec.Connection{}
	for _, b := range in.Bindings {
		if c.known[b.Port] {
			p.Conntrack[b.Port] = spec.Connection{Side: side, Original: c.first.Tuple}
		} else if side == spec.ReplySide && p.ICMPType != c.first.ICMPType {
			p.Conntrack[b.Port] = spec.Connection{Side: spec.Invalid} // an echo reply to nobody's request
		}
	}
	return side
}

// agree sends a packet of the connection and holds its fate against the specification, which knows
// of the connection's entries only where they are and who opened it: not of marks.
func (c *connection) agree(t *rapid.T, w spec.World, in flows.Input, sw *flowtest.Switch,
	p spec.Packet) string {
	side := c.tracked(&p, in)
	want := spec.Decide(w, p)
	seen := flowtest.FromPolicy(p, in)
	seen.Known = nil // the tracker's own entries, with their marks
	got, err := sw.Forward(seen)
	if err != nil {
		t.Fatal(err)
	}
	if has, expect := flowtest.Receivers(in, got.Outputs), flowtest.ReceiversOf(want); has != expect {
		t.Fatalf("connection %+v known to %v\npacket %+v\nspecification: %q, %s\nflows: %q\n%s",
			c.first.Tuple, slices.Sorted(maps.Keys(c.known)),
			p, expect, want.Reason, has, strings.Join(got.Trace, "\n"))
	}
	for _, commit := range got.Commits {
		for _, b := range in.Bindings {
			if b.Zone == commit.Zone && !c.known[b.Port] {
				c.known[b.Port], c.mixed = true, side == spec.ReplySide
			}
		}
	}
	if len(got.Outputs) == 0 {
		return "stopped"
	}
	return "passes"
}

// changed returns the world with one thing different: a rule gone or new, a membership gone or new,
// an address or a source gone.
func changed(t *rapid.T, w spec.World) spec.World {
	next := spec.World{Policy: w.Policy.Clone(), Site: w.Site}
	g := next.Policy.Groups[rapid.IntRange(0, len(next.Policy.Groups)-1).Draw(t, "group")]
	i := next.Policy.Instances[rapid.IntRange(0, len(next.Policy.Instances)-1).Draw(t, "instance")]
	names := make([]string, len(next.Policy.Groups))
	for n, each := range next.Policy.Groups {
		names[n] = each.Name
	}
	switch change := rapid.IntRange(0, 6).Draw(t, "change"); {
	case change <= 1 && len(g.Rules) > 0:
		n := rapid.IntRange(0, len(g.Rules)-1).Draw(t, "rule")
		g.Rules = slices.Delete(g.Rules, n, n+1)
	case change == 2:
		g.Rules = append(g.Rules, policytest.DrawRule(t, names))
	case change == 3 && len(i.Groups) > 0:
		i.Groups = i.Groups[1:]
	case change == 4 && !slices.Contains(i.Groups, g.Name):
		i.Groups = append(i.Groups, g.Name)
	case change == 5 && len(g.ExternalSources) > 0:
		g.ExternalSources = g.ExternalSources[1:]
	case change == 6 && len(i.Ports[0].Addresses) > 1:
		i.Ports[0].Addresses = i.Ports[0].Addresses[:1]
	}
	return next
}
