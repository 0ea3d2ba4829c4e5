package policyfile

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// withoutPositions takes away what a policy says about its files.
func withoutPositions(p *policy.Policy) *policy.Policy {
	out := p.Clone()
	for _, project := range out.Projects {
		project.At = policy.Position{}
	}
	for _, g := range out.Groups {
		g.At = policy.Position{}
		for r := range g.Rules {
			g.Rules[r].At = policy.Position{}
		}
	}
	for _, n := range out.Instances {
		n.At = policy.Position{}
		for p := range n.Ports {
			n.Ports[p].At = policy.Position{}
		}
	}
	return out
}

// requireNormal checks that an accepted policy survives being written and read.
func requireNormal(t require.TestingT, p *policy.Policy) {
	text := Marshal(p)
	again, warnings, err := Parse([]strictyaml.File{{Name: "again.yaml", Data: text}})
	require.NoError(t, err, "%s", text)
	for _, w := range warnings {
		require.NotContains(t, w.Message, "twice", "%s", text)
		require.NotContains(t, w.Message, "host bits", "%s", text)
	}
	require.Equal(t, withoutPositions(p), withoutPositions(again), "%s", text)
}

var anyName = rapid.OneOf(
	rapid.SampledFrom([]string{"web", "yes", "null", "~", "1", "0x1", "1e3", "a: b", "- a", "# a",
		"[a]", "{a}", "&a", "*a", "!a", "%a", "@a", "'", `"`, `\`,
		"a #b", "?", "a:", ":a", "true", "ä", "😀", "a\u00a0b", "02:00:00:00:00:01", "---", "...",
		".inf", "<<", "=", "|", ">", ","}),
	rapid.StringMatching(`[!-~]([ -~]{0,20}[!-~])?`),
)

func drawPolicy(t *rapid.T) *policy.Policy {
	p := &policy.Policy{Groups: []*policy.Group{{Name: "offices", IsNetwork: true,
		ExternalSources: []netip.Prefix{drawNetwork(t)}}}}
	// a name of a project that no other name begins with: what projects may not is in package policy
	for _, name := range rapid.SliceOfNDistinct(anyName, 0, 2, rapid.ID[string]).Draw(t, "projects") {
		if name = name + "\u00b7p"; policy.BadProjectName(name) == "" {
			p.Projects = append(p.Projects, &policy.Project{Name: name,
				Description: rapid.OneOf(rapid.Just(""), anyName).Draw(t, "what")})
		}
	}
	names := rapid.SliceOfNDistinct(anyName, 1, 4, rapid.ID[string]).Draw(t, "groups")
	for _, name := range names {
		g := &policy.Group{Name: name, Shared: rapid.Bool().Draw(t, "shared"), Description: rapid.OneOf(rapid.Just(""), anyName).Draw(t,
			"description")}
		if rapid.Bool().Draw(t, "sources") {
			g.ExternalSources = []netip.Prefix{drawNetwork(t)}
		}
		rules := rapid.SliceOfNDistinct(rapid.Custom(
			func(t *rapid.T) policy.Rule { return drawRule(t, names) }), 0, 4,
			func(r policy.Rule) string { r.Description = ""; return r.String() }).Draw(t, "rules")
		if len(rules) > 0 { // no rules are nil, as the parser has it
			g.Rules = rules
		}
		p.Groups = append(p.Groups, g)
	}
	for i, name := range rapid.SliceOfNDistinct(anyName, 0, 4, rapid.ID[string]).Draw(t,
		"instances") {
		n := &policy.Instance{Name: name, Host: rapid.SampledFrom([]string{"", "h1", "7"}).Draw(t,
			"host")}
		if n.Host != "" {
			n.MigratingTo = rapid.SampledFrom([]string{"", "h2", "yes"}).Draw(t, "migrating_to")
		}
		if rapid.Bool().Draw(t, "member") {
			n.Groups = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 2,
				rapid.ID[string]).Filter(func(g []string) bool { return true }).Draw(t, "of")[:1]
		}
		for j := range rapid.IntRange(0, 2).Draw(t, "ports") {
			n.Ports = append(n.Ports, drawPort(t, byte(i), byte(j)))
		}
		p.Instances = append(p.Instances, n)
	}
	return p
}

func drawNetwork(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "is4") {
		a := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))
		return netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
	}
	a := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))
	a[0] = 0x20 // not IPv4-mapped
	return netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
}

func drawRule(t *rapid.T, groups []string) policy.Rule {
	r := policy.Rule{ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	r.Direction = rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t,
		"direction")
	r.Protocol = policy.Protocol(rapid.OneOf(rapid.IntRange(0, 256),
		rapid.SampledFrom([]int{1, 6, 17, 58, 132, 256})).Draw(t, "protocol"))
	if r.Protocol.HasPorts() {
		r.Ports = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) policy.PortRange {
			a, b := rapid.Uint16Range(1, 65535).Draw(t, "first"),
				rapid.Uint16Range(1, 65535).Draw(t, "last")
			return policy.PortRange{First: min(a, b), Last: max(a, b)}
		}), 1, 4, rapid.ID).Draw(t, "ports")
	}
	if r.Protocol.HasTypes() {
		if r.ICMPType = rapid.Int16Range(-1, 255).Draw(t, "type"); r.ICMPType >= 0 {
			r.ICMPCode = rapid.Int16Range(-1, 255).Draw(t, "code")
		}
	}
	for _, p := range rapid.SliceOfNDistinct(rapid.Custom(drawNetwork), 0, 3,
		rapid.ID).Draw(t, "networks") {
		if is4 := p.Addr().Is4(); (r.Protocol != policy.ICMP || is4) &&
			(r.Protocol != policy.ICMPv6 || !is4) {
			r.Peers = append(r.Peers, policy.Peer{CIDR: p})
		}
	}
	if rapid.Bool().Draw(t, "named network") {
		r.Peers = append(r.Peers, policy.Peer{Group: "offices", IsNetwork: true})
	}
	if len(r.Peers) == 0 || rapid.Bool().Draw(t, "group") {
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 1,
			min(3, len(groups)), rapid.ID).Draw(t, "groups") {
			r.Peers = append(r.Peers, policy.Peer{Group: name})
		}
	}
	r.Description = rapid.OneOf(rapid.Just(""), anyName).Draw(t, "description")
	return r
}

// drawPort makes ports that differ in all that must differ.
func drawPort(t *rapid.T, i, j byte) policy.Port {
	p := policy.Port{Name: fmt.Sprintf("tap%d.%d", i, j), MAC: policy.MAC{2, 0, 0, 0, i, j}}
	if rapid.Bool().Draw(t, "addresses") {
		p.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, i, j, 0}),
			rapid.IntRange(24, 32).Draw(t, "bits"))}
	}
	if rapid.Bool().Draw(t, "v6") {
		p.Addresses = append(p.Addresses, netip.PrefixFrom(
			netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, i, j}),
			rapid.IntRange(48, 128).Draw(t, "bits6")))
	}
	if rapid.Bool().Draw(t, "allowed") {
		p.Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("192.0.2.0/28")},
			{Prefix: netip.MustParsePrefix("2001:db8::/128"), MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}}}
	}
	p.Type = rapid.SampledFrom([]policy.PortType{policy.ExistingDevice,
		policy.InternalDevice}).Draw(t, "type")
	if p.Type == policy.ExistingDevice {
		p.IfaceID = rapid.SampledFrom([]string{"", fmt.Sprintf("id %d/%d", i, j),
			fmt.Sprintf("6f1b7a52-6d19-4c8b-9f4e-3f0b6a0d%02x%02x", i, j)}).Draw(t, "iface_id")
		if p.IfaceID != "" && rapid.Bool().Draw(t, "any interface") {
			p.Name = p.IfaceID
		}
	}
	p.HostDevice = p.Type == policy.ExistingDevice && rapid.Bool().Draw(t, "host_device")
	p.Trusted = rapid.Bool().Draw(t, "trusted")
	if rapid.Bool().Draw(t, "ethertypes") {
		p.EtherTypes = []uint16{0x88cc, 0x0600, 0xffff}
	}
	if !p.Trusted {
		limit := rapid.SampledFrom([]policy.Limit{0, 1, policy.MaxLimit, policy.Unlimited})
		p.LogDenied = policy.Choice(rapid.IntRange(0, int(policy.No)).Draw(t, "log_denied"))
		p.Limits = policy.Limits{Connections: limit.Draw(t, "connections"),
			NewConnections: limit.Draw(t, "new"), ARPNDDHCP: limit.Draw(t, "arp"),
			Fragments: limit.Draw(t, "fragments")}
	}
	return p
}

func TestMarshalThenParseIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		text := Marshal(p)
		got, _, err := Parse([]strictyaml.File{{Name: "p.yaml", Data: text}})
		require.NoError(t, err, "%s", text)
		require.Equal(t, withoutPositions(p), withoutPositions(got), "%s", text)
	})
}

// The JSON form of a policy has the keys and words of policy files.
func TestJSONIsAPolicyFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		var back policy.Policy
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, p, &back, "%s", text)
		require.Empty(t, policy.Validate(&back))
		got, _, err := Parse([]strictyaml.File{{Name: "p.json", Data: text}})
		require.NoError(t, err, "%s", text)
		require.Equal(t, withoutPositions(p), withoutPositions(got), "%s", text)
	})
}

// TestMutations damages a valid file in many ways: it is refused with locations in the file, or is
// a valid policy.
func TestMutations(t *testing.T) {
	data, err := os.ReadFile(referencePolicy)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) { requireAnswer(t, configtest.Mutated(t, string(data))) })
}

// requireAnswer checks what holds for any input at all.
func requireAnswer(t require.TestingT, text string) {
	p, warnings, err := parseOne(text)
	for _, w := range warnings {
		require.NotZero(t, w.At.Line)
		require.NotContains(t, w.String(), "\n")
	}
	if err == nil {
		require.Empty(t, policy.Validate(p), "what is not valid was accepted")
		requireNormal(t, p)
		return
	}
	require.Nil(t, p)
	list, ok := err.(strictyaml.Errors)
	require.True(t, ok && len(list) > 0)
	last := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
	for _, e := range list {
		require.Equal(t, "p.yaml", e.At.File)
		require.True(t, e.At.Line > 0 && e.At.Line <= last && e.At.Column > 0, "%v", e)
		require.NotEmpty(t, e.Message)
		require.NotContains(t, e.Error(), "\n")
		require.NotContains(t, e.Error(), "\x1b")
	}
}
