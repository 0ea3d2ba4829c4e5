package edit_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policytest"
)

func fixture() *policy.Policy {
	return &policy.Policy{
		Projects: []*policy.Project{{Name: "a"}, {Name: "empty"}},
		Groups: []*policy.Group{
			{Name: "a/db", Rules: []policy.Rule{policytest.Rule("ingress tcp 3306", "a/web")}},
			{Name: "a/web"}, {Name: "free"}},
		Instances: []*policy.Instance{
			{Name: "a/1", Host: "hv1", Groups: []string{"a/web"}, Ports: []policy.Port{
				{Name: "tap1", MAC: policytest.MAC(1), Addresses: policytest.Nets("10.0.0.1")},
				{Name: "tap2", MAC: policytest.MAC(2)}}},
			{Name: "a/2", Host: "hv2", MigratingTo: "hv1", Ports: []policy.Port{
				{Name: "tap1", MAC: policytest.MAC(3)}}},
			{Name: "b", Host: policy.Nowhere, Ports: []policy.Port{
				{Name: "tap3", MAC: policytest.MAC(4)}}},
		},
	}
}

// Each edit does what it says, and nothing to what it was given.
func TestEdits(t *testing.T) {
	rule := policytest.Rule("ingress tcp 22", "a/web")
	for name, c := range map[string]struct {
		edit edit.Edit
		want []string
	}{
		"a project": {edit.AddProject(policy.Project{Name: "z", Description: "last"}),
			[]string{`project "z": added`, `project "z": description none → last`}},
		"set a project": {edit.SetProject("a", func(p *policy.Project) { p.Description = "first" }),
			[]string{`project "a": description none → first`}},
		"remove a project": {edit.RemoveProject("empty"), []string{`project "empty": removed`}},
		"a group":          {edit.AddGroup(policy.Group{Name: "m"}), []string{`group "m": added`}},
		"share a group": {edit.SetGroup("a/db", func(g *policy.Group) { g.Shared = true }),
			[]string{`group "a/db": shared none → true`}},
		"remove a group": {edit.RemoveGroup("free"), []string{`group "free": removed`}},
		"a rule": {edit.AddRule("a/db", rule),
			[]string{`group "a/db": + ingress tcp 22 from group a/web`}},
		"another rule": {edit.SetRule("a/db", policytest.Rule("ingress tcp 3306", "a/web"), rule),
			[]string{`group "a/db": - ingress tcp 3306 from group a/web`,
				`group "a/db": + ingress tcp 22 from group a/web`}},
		"remove a rule": {edit.RemoveRule("a/db", policytest.Rule("ingress tcp 3306", "a/web")),
			[]string{`group "a/db": - ingress tcp 3306 from group a/web`}},
		"an instance": {edit.AddInstance(policy.Instance{Name: "a/0", Host: "hv1",
			Ports: []policy.Port{{Name: "tap9", MAC: policytest.MAC(9)}}}),
			[]string{`instance "a/0": added`, `instance "a/0": host none → hv1`,
				`instance "a/0": + port tap9`,
				`instance "a/0": port tap9: mac none → 02:00:00:00:00:09`}},
		"remove an instance": {edit.RemoveInstance("b"), []string{`instance "b": removed`}},
		"join":               {edit.Join("a/1", "a/db"), []string{`instance "a/1": + group a/db`}},
		"leave":              {edit.Leave("a/1", "a/web"), []string{`instance "a/1": - group a/web`}},
		"a port": {edit.AddPort("b", policy.Port{Name: "tap0", MAC: policytest.MAC(9)}),
			[]string{`instance "b": + port tap0`, `instance "b": port tap0: mac none → 02:00:00:00:00:09`}},
		"set a port": {edit.SetPort("a/2/tap1", func(p *policy.Port) { p.Trusted = true }),
			[]string{`instance "a/2": port tap1: trusted none → true`}},
		"remove a port": {edit.RemovePort("tap2"), []string{`instance "a/1": - port tap2`}},
		"place":         {edit.Place("b", "hv3"), []string{`instance "b": host none → hv3`}},
		"migrate":       {edit.Migrate("a/1", "hv2"), []string{`instance "a/1": migrating_to none → hv2`}},
		"finish": {edit.Finish("a/2"), []string{`instance "a/2": host hv2 → hv1`,
			`instance "a/2": migrating_to hv1 → none`}},
		"abort": {edit.Abort("a/2"), []string{`instance "a/2": migrating_to hv1 → none`}},
		"drain": {edit.Drain("hv1", "hv3"), []string{`instance "a/1": host hv1 → hv3`,
			`instance "a/2": migrating_to hv1 → none`}},
		"drain a source": {edit.Drain("hv2", ""), []string{`instance "a/2": host hv2 → hv1`,
			`instance "a/2": migrating_to hv1 → none`}},
	} {
		t.Run(name, func(t *testing.T) {
			p := fixture()
			next, err := c.edit(p)
			require.NoError(t, err)
			require.Equal(t, fixture(), p, "what was given is altered")
			var got []string
			for _, d := range edit.Differences(p, next) {
				got = append(got, d.String())
			}
			require.Equal(t, c.want, got)
			require.Empty(t, edit.Differences(next, next))
			require.True(t, isSorted(next), "out of order")
		})
	}
}

func isSorted(p *policy.Policy) bool {
	for n := range len(p.Instances) - 1 {
		if p.Instances[n].Name >= p.Instances[n+1].Name {
			return false
		}
	}
	for n := range len(p.Groups) - 1 {
		if p.Groups[n].Name >= p.Groups[n+1].Name {
			return false
		}
	}
	return true
}

// What is refused says which object, why, and what would be right; and is told apart by its cause.
func TestEditsAreRefused(t *testing.T) {
	port := policy.Port{Name: "tap1", MAC: policytest.MAC(9)}
	for want, c := range map[string]struct {
		edit  edit.Edit
		cause error
	}{
		`group "a/wbe": there is none of this name; did you mean "a/web"?`: {
			edit.RemoveGroup("a/wbe"), edit.ErrNotThere},
		`group "a/web": 1 rule names it; remove first: "ingress tcp 3306 from group a/web" of group "a/db"`: {
			edit.RemoveGroup("a/web"), edit.ErrNeeded},
		`group "a/db": 1 instance is in it; take out first: a/1`: {
			edit.All(edit.Join("a/1", "a/db"), edit.RemoveGroup("a/db")), edit.ErrNeeded},
		`project "a": it is not empty; remove first: group "a/db", group "a/web", instance "a/1", instance "a/2"`: {
			edit.RemoveProject("a"), edit.ErrNeeded},
		`group "free": there is one of this name already; change it with set, or choose another name`: {
			edit.AddGroup(policy.Group{Name: "free"}), edit.ErrThere},
		`group "a/db": it has this rule already: ingress tcp 3306 from group a/web`: {
			edit.AddRule("a/db", policytest.Rule("ingress tcp 3306", "a/web")), edit.ErrThere},
		`group "a/db": it has no rule "ingress tcp 3307 from group a/web"; did you mean "ingress tcp 3306 from group a/web"?`: {
			edit.RemoveRule("a/db", policytest.Rule("ingress tcp 3307", "a/web")), edit.ErrNotThere},
		`instance "new": it needs a port: an instance of a database is its ports`: {
			edit.AddInstance(policy.Instance{Name: "new"}), edit.ErrNeeded},
		`instance "a/1": it is in the group "a/web" already`: {
			edit.Join("a/1", "a/web"), edit.ErrThere},
		`instance "a/1": it is not in the group "free"; it is in a/web`: {
			edit.Leave("a/1", "free"), edit.ErrNotThere},
		`port "tap1": there are several of this name; write one of a/1/tap1, a/2/tap1`: {
			edit.RemovePort("tap1"), edit.ErrNotThere},
		`port "a/2/tap1": it is the only one of the instance "a/2"; remove that`: {
			edit.RemovePort("a/2/tap1"), edit.ErrNeeded},
		`port "tap1": the instance "a/1" has one of this name already`: {
			edit.AddPort("a/1", port), edit.ErrThere},
		`instance "a/1": it is on the host "hv1" already`: {edit.Place("a/1", "hv1"), edit.ErrThere},
		`instance "a/2": it is moving from "hv2" to "hv1"; finish or abort that move first`: {
			edit.Place("a/2", "hv3"), edit.ErrNeeded},
		`instance "b": it is on no host yet; place it: move it without --live`: {
			edit.Migrate("b", "hv1"), edit.ErrNotThere},
		`instance "a/1": it is not moving: it is on "hv1"`: {edit.Finish("a/1"), edit.ErrNotThere},
		`host "hv9": no instance is on it`:                 {edit.Drain("hv9", ""), edit.ErrNotThere},
	} {
		_, err := c.edit(fixture())
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, c.cause)
	}
	require.EqualError(t, edit.CheckEmpty(fixture(), "hv1"),
		`host "hv1": 2 instances are on it: a/1, a/2; move them first: drain`)
	require.NoError(t, edit.CheckEmpty(fixture(), "hv9"))
}

// A difference names every field: none can change unseen.
func TestDifferencesSeeEveryField(t *testing.T) {
	full := policy.Port{Name: "tap1", IfaceID: "x", MAC: policytest.MAC(7),
		Addresses: policytest.Nets("10.0.0.7"), Allowed: []policy.AllowedAddress{
			{Prefix: policytest.Nets("10.0.0.8")[0], MAC: policytest.MAC(8)}},
		Type: policy.InternalDevice, HostDevice: true, Trusted: true, EtherTypes: []uint16{0x88cc},
		Limits: policy.Limits{Connections: 5}, LogDenied: policy.Yes}
	text, err := json.Marshal(full)
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(text, &keys))
	p := fixture()
	next, err := edit.SetPort("a/1/tap1", func(q *policy.Port) { *q = full })(p)
	require.NoError(t, err)
	// all keys but the name; an address and its replacement are two lines
	require.Len(t, edit.Differences(p, next), len(keys)-1+1)
}
