package flows_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

func TestProgramIsWellFormed(t *testing.T) {
	p, err := flows.Compile(flowtest.Seed())
	require.NoError(t, err)
	require.NoError(t, flowtest.Lint(p.Flows, oppositeRules...))
	for _, f := range p.Flows {
		require.Equal(t, uint64(flows.Owner), f.Cookie>>48)
		for _, never := range []string{"NORMAL", "FLOOD", "ALL", "IN_PORT", "CONTROLLER"} {
			require.NotContains(t, strings.ToUpper(f.Actions.String()), never)
		}
	}
}

// The order in which a policy is written, or ports are found, changes nothing; neither do
// descriptions.
func TestSameInputSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		want := compile(t, in).String()
		shuffled := in
		shuffled.Policy = in.Policy.Clone()
		shuffled.Policy.Groups = rapid.Permutation(shuffled.Policy.Groups).Draw(t, "groups")
		shuffled.Policy.Instances = rapid.Permutation(shuffled.Policy.Instances).Draw(t, "instances")
		shuffled.Bindings = rapid.Permutation(in.Bindings).Draw(t, "bindings")
		for i, g := range shuffled.Policy.Groups {
			g.Description, g.At = "changed", policy.Position{File: "other", Line: i}
			g.Rules = rapid.Permutation(g.Rules).Draw(t, "rules")
			for j := range g.Rules {
				g.Rules[j].Description = "changed"
			}
		}
		if got := compile(t, shuffled).String(); got != want {
			t.Fatalf("%s\n---\n%s", want, got)
		}
	})
}

// What Diff says turns any flows into the wanted ones, and nothing is left to do then.
func TestDiffTurnsOneIntoTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := policytest.DrawWorld(t), policytest.DrawWorld(t)
		have, want := compile(t, flowtest.Bound(a.Policy, a.Site)).Flows,
			compile(t, flowtest.Bound(b.Policy, b.Site)).Flows
		have = slices.Clone(have)
		for range rapid.IntRange(0, 3).Draw(t, "edits") { // by hand: the cookie stays
			have[rapid.IntRange(0, len(have)-1).Draw(t, "flow")].Actions = openflow.ParseActions("output:7")
		}
		held := map[openflow.Key]openflow.Flow{}
		for _, f := range have {
			held[f.Key()] = f
		}
		d := openflow.Diff(want, have)
		for _, f := range d.Delete {
			delete(held, f.Key())
		}
		for _, f := range d.Add {
			held[f.Key()] = f
		}
		if len(held) != len(want) {
			t.Fatalf("%d flows, want %d", len(held), len(want))
		}
		for _, f := range want {
			if held[f.Key()] != f {
				t.Fatalf("%s\nis %s", f, held[f.Key()])
			}
		}
		if again := openflow.Diff(want, want); !again.Empty() {
			t.Fatalf("a program differs from itself: %v", again)
		}
	})
}

// A binding that is of no use is that of a port which is left out; of two that want the same the
// first by name has it.
func TestBindingsThatAreNone(t *testing.T) {
	cases := []struct {
		name   string
		change func(*flows.Input)
		want   string
	}{
		{"no OpenFlow port", func(in *flows.Input) { in.Bindings[0].OFPort = 0 },
			"port tap-web-1: left out: OpenFlow port 0, zone 1, epoch 1: none may be 0"},
		{"no zone", func(in *flows.Input) { in.Bindings[0].Zone = 0 },
			"port tap-web-1: left out: OpenFlow port 1, zone 0, epoch 1: none may be 0"},
		{"no epoch", func(in *flows.Input) { in.Bindings[0].Epoch = 0 },
			"port tap-web-1: left out: OpenFlow port 1, zone 1, epoch 0: none may be 0"},
		{"no port's number", func(in *flows.Input) { in.Bindings[0].OFPort = 0xff00 },
			"port tap-web-1: left out: OpenFlow port 65280: that of a port is at most 65279"},
		{"shared zone", func(in *flows.Input) { in.Bindings[0].Zone = in.Bindings[1].Zone },
			"port tap-web-1: left out: port tap-db-1 has its zone 2, too"},
		{"shared OpenFlow port", func(in *flows.Input) { in.Bindings[0].OFPort = in.Bindings[1].OFPort },
			"port tap-web-1: left out: port tap-db-1 has its OpenFlow port 2, too"},
		{"the uplink's port", func(in *flows.Input) { in.Bindings[0].OFPort = in.Uplinks[0].OFPort },
			"port tap-web-1: left out: port eth1 has its OpenFlow port 6, too"},
		{"twice", func(in *flows.Input) {
			in.Bindings = append(in.Bindings,
				flows.Binding{Port: "tap-web-1", OFPort: 70, Zone: 70, Epoch: 1})
		}, "port tap-web-1: left out: it is bound twice"},
		{"a stranger", func(in *flows.Input) { in.Bindings[0].Port = "tap-nobody" },
			"port tap-nobody: left out: no instance of this host has it"},
		{"of another host", func(in *flows.Input) { in.Bindings[0].Port = "tap-web-2" },
			"port tap-web-2: left out: no instance of this host has it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := flowtest.Seed()
			c.change(&in)
			p, err := flows.Compile(in)
			require.NoError(t, err)
			require.Len(t, p.LeftOut, 1)
			require.Equal(t, c.want, p.LeftOut[0].String())
			require.Contains(t, p.String(), "# "+c.want+"\n")
			require.NotContains(t, p.String(), "in_port=1,", "nothing enters by it")
			in.Bindings = slices.DeleteFunc(in.Bindings,
				func(b flows.Binding) bool { return b.Port == p.LeftOut[0].Port })
			rest, err := flows.Compile(in)
			require.NoError(t, err)
			require.Empty(t, rest.LeftOut)
			require.Equal(t, rest.Flows, p.Flows, "all else is in the program")
		})
	}
}

// A port that the switch does not have (yet) has no flow, but its addresses are members.
func TestUnboundPortIsAMember(t *testing.T) {
	in := flowtest.Seed()
	in.Bindings = in.Bindings[1:] // web-1
	p, err := flows.Compile(in)
	require.NoError(t, err)
	require.NotContains(t, p.String(), "dl_src=02:00:00:00:00:11")
	require.NotContains(t, p.String(), "dl_dst=02:00:00:00:00:11")
	require.Contains(t, p.String(), "nw_src=203.0.113.11", "the backend admits it")
}

// One more member changes one flow for each direction that names the group, and no other flow.
func TestMemberTouchesItsOwnFlows(t *testing.T) {
	in := cloud(20, 2_000, 10, 2)
	before, err := flows.Compile(in)
	require.NoError(t, err)
	in.Policy.Instances = append(in.Policy.Instances,
		&policy.Instance{Name: "new", Host: "elsewhere", Groups: []string{"g3"},
			Ports: []policy.Port{
				{Name: "new", MAC: policy.MAC{2, 9}, Addresses: policytest.Nets("192.0.2.77")}}})
	after, err := flows.Compile(in)
	require.NoError(t, err)
	d := openflow.Diff(after.Flows, before.Flows)
	require.Empty(t, d.Delete)
	require.Len(t, d.Add, 2)
}

func TestRuleIDs(t *testing.T) {
	in := flowtest.Seed()
	ids := flows.RuleIDs(in.Policy)
	seen := map[uint32]bool{}
	for _, id := range ids {
		require.GreaterOrEqual(t, id, uint32(16))
		require.False(t, seen[id])
		seen[id] = true
	}
	in.Policy.Groups[1].Rules = in.Policy.Groups[1].Rules[1:]
	for key, id := range flows.RuleIDs(in.Policy) {
		require.Equal(t, ids[key], id, "a rule keeps its id when others go")
	}
}

func TestRevokedPorts(t *testing.T) {
	cases := []struct {
		name   string
		change func(*policy.Policy)
		want   []string
	}{
		{"nothing", func(*policy.Policy) {}, nil},
		{"rule gone", func(p *policy.Policy) { p.Groups[0].Rules = p.Groups[0].Rules[1:] },
			[]string{"tap-web-1"}},
		{"rule added", func(p *policy.Policy) {
			p.Groups[0].Rules = append(p.Groups[0].Rules, policytest.Rule("ingress tcp 443", "0.0.0.0/0"))
		}, nil},
		{"first egress rule", func(p *policy.Policy) {
			p.Groups[0].Rules = append(p.Groups[0].Rules, policytest.Rule("egress tcp 443", "0.0.0.0/0"))
		}, []string{"tap-web-1"}},
		{"last egress rule gone", func(p *policy.Policy) {
			p.Groups[1].Rules = slices.DeleteFunc(p.Groups[1].Rules,
				func(r policy.Rule) bool { return r.Direction == policy.Egress })
		}, nil},
		{"membership gone", func(p *policy.Policy) { p.Instances[2].Groups = nil },
			[]string{"tap-db-1", "tap-db-2", "tap-mgmt-1"}},
		{"member elsewhere gone",
			func(p *policy.Policy) { p.Instances = slices.Delete(p.Instances, 1, 2) },
			[]string{"tap-db-1", "tap-db-2"}},
		{"member added", func(p *policy.Policy) { p.Instances[5].Groups = []string{"frontend"} }, nil},
		{"external source gone", func(p *policy.Policy) { p.Groups[1].ExternalSources = nil },
			[]string{"tap-db-1", "tap-db-2", "tap-mgmt-1"}},
		{"the same from another group", func(p *policy.Policy) {
			p.Groups[2].Rules = append(p.Groups[2].Rules, p.Groups[0].Rules...)
			p.Instances[0].Groups = []string{"management"}
		}, []string{"tap-db-1", "tap-db-2"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before, after := flowtest.Seed(), flowtest.Seed()
			c.change(after.Policy)
			require.Equal(t, c.want, flows.RevokedPorts(before, after))
		})
	}
}
