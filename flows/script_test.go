package flows_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// The stories that are written as text, told to the specification and to the fake switch: both do
// what they say.
func TestStoriesAsText(t *testing.T) {
	for _, folder := range []string{"basics", "revocation"} {
		scripts, err := policytest.Scripts(folder)
		require.NoError(t, err)
		require.Greater(t, len(scripts), 2, folder)
		for _, s := range scripts {
			t.Run(folder+"/"+s.Name, func(t *testing.T) {
				teller := newStoryRunner(t)
				for _, step := range s.Steps {
					teller.run(step)
				}
				require.Greater(t, teller.arrived, 1)
				require.Greater(t, teller.stopped, 1, "a story in which nothing is denied can hardly fail")
			})
		}
	}
}

// storyRunner tells one story.
type storyRunner struct {
	t                *testing.T
	sw               *flowtest.Switch
	in               flows.Input
	zones            map[string]flows.Binding // of the ports that were there before
	opened           map[string][]*connection
	from             map[*connection]policytest.Step
	last             uint16 // source port
	arrived, stopped int    // packets
}

func newStoryRunner(t *testing.T) *storyRunner {
	sw, err := flowtest.New(nil)
	require.NoError(t, err)
	return &storyRunner{t: t, sw: sw, zones: map[string]flows.Binding{}, last: 40000,
		opened: map[string][]*connection{}, from: map[*connection]policytest.Step{}}
}

func (w *storyRunner) run(s policytest.Step) {
	switch s.Kind {
	case policytest.SetsPolicy:
		w.setPolicy(s.Policy)
	case policytest.Arrives, policytest.IsDenied:
		for _, c := range w.begin(s) {
			w.send(s, c, c.first, s.Kind == policytest.Arrives)
		}
	case policytest.Opens:
		w.opened[s.Connection] = w.begin(s)
		for _, c := range w.opened[s.Connection] {
			w.from[c] = s
			w.send(s, c, c.first, true)
			w.send(s, c, c.reply, true)
		}
	case policytest.GoesOn, policytest.IsCut:
		require.NotEmpty(w.t, w.opened[s.Connection], "line %d: it was not opened", s.Line)
		for _, c := range w.opened[s.Connection] {
			way := w.from[c]
			way.Line = s.Line
			for _, p := range []spec.Packet{c.reply, c.first, c.reply} {
				w.send(way, c, p, s.Kind == policytest.GoesOn)
			}
		}
	}
}

// setPolicy has a policy in force: who loses a permission gets another epoch.
func (w *storyRunner) setPolicy(text string) {
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(text)}})
	require.NoError(w.t, err)
	next := flowtest.Bound(p, policytest.ScriptSite())
	for n, b := range next.Bindings {
		if known, ok := w.zones[b.Port]; ok {
			next.Bindings[n] = known
		}
	}
	if w.in.Policy != nil {
		next.Uplinks = w.in.Uplinks
		for n, b := range next.Bindings {
			if slices.Contains(flows.RevokedPorts(w.in, next), b.Port) {
				next.Bindings[n].Epoch += 10
			}
		}
	}
	for _, b := range next.Bindings {
		w.zones[b.Port] = b
	}
	program, err := flows.Compile(next)
	require.NoError(w.t, err)
	require.NoError(w.t, w.sw.Replace(program.Flows))
	w.in = next
}

// party is a host of a story.
type party struct {
	port      string // "" = beyond the uplink
	mac       policy.MAC
	addresses []netip.Addr
}

// party finds a host by its name.
func (w *storyRunner) party(name string) party {
	for _, o := range policytest.Outsiders() {
		if o.Name == name {
			out := party{mac: policy.MAC{2, 0xee, 0, 0, 0, o.Number}}
			for _, a := range o.Addresses {
				out.addresses = append(out.addresses, policytest.Addr(a))
			}
			return out
		}
	}
	n := slices.IndexFunc(w.in.Policy.Instances,
		func(i *policy.Instance) bool { return i.Name == name })
	require.GreaterOrEqual(w.t, n, 0, "there is no host %s", name)
	port := &w.in.Policy.Instances[n].Ports[0]
	out := party{port: port.Name, mac: port.MAC}
	for _, a := range port.Addresses {
		out.addresses = append(out.addresses, a.Addr())
	}
	return out
}

// address is the party's of a family.
func (p party) address(v6 bool) netip.Addr {
	n := slices.IndexFunc(p.addresses, func(a netip.Addr) bool { return a.Is6() == v6 })
	return p.addresses[n]
}

// begin makes a connection of each family.
func (w *storyRunner) begin(s policytest.Step) (out []*connection) {
	from, to, claimed := w.party(s.From), w.party(s.To), w.party(s.From)
	if s.As != "" {
		claimed = w.party(s.As)
	}
	for _, v6 := range []bool{false, true} {
		w.last++
		first := spec.Packet{From: from.port, FromUplink: from.port == "", SrcMAC: from.mac,
			DstMAC: to.mac, EtherType: policy.EtherIPv4, HopLimit: 64,
			Tuple: spec.Tuple{Src: claimed.address(v6), Dst: to.address(v6),
				Protocol: uint8(s.Service.Protocol), SrcPort: w.last, DstPort: s.Service.Port}}
		if v6 {
			first.EtherType = policy.EtherIPv6
		}
		if s.Service.IsPing {
			first.Protocol, first.ICMPType, first.SrcPort = uint8(policy.ICMP), 8, 0
			if v6 {
				first.Protocol, first.ICMPType = uint8(policy.ICMPv6), 128
			}
		}
		reply := first
		reply.From, reply.FromUplink = to.port, to.port == ""
		reply.SrcMAC, reply.DstMAC, reply.Tuple = to.mac, from.mac, policytest.Answer(first.Tuple)
		out = append(out, &connection{first: first, reply: reply, known: map[string]bool{}})
	}
	return out
}

// send sends a packet of a connection and holds its fate against the story and the specification.
func (w *storyRunner) send(s policytest.Step, c *connection, p spec.Packet, arrives bool) {
	c.tracked(&p, w.in)
	seen := flowtest.FromPolicy(p, w.in)
	seen.Known = nil // the tracker's own entries
	want := spec.Decide(spec.World{Policy: w.in.Policy, Site: w.in.Site}, p)
	got, err := w.sw.Forward(seen)
	require.NoError(w.t, err)
	to := s.To
	if p.Tuple != c.first.Tuple {
		to = s.From
	}
	receiver := ""
	if w.stopped++; arrives {
		if receiver = w.party(to).port; receiver == "" {
			receiver = w.in.Uplinks[0].Name
		}
		w.stopped--
		w.arrived++
	}
	require.Equal(w.t, receiver, flowtest.ReceiversOf(want), "line %d, to %s: the specification: %s",
		s.Line, to, want.Reason)
	require.Equal(w.t, receiver, flowtest.Receivers(w.in, got.Outputs), "line %d, to %s: the flows\n%s",
		s.Line, to, strings.Join(got.Trace, "\n"))
	for _, commit := range got.Commits {
		for _, b := range w.in.Bindings {
			c.known[b.Port] = c.known[b.Port] || b.Zone == commit.Zone
		}
	}
}
