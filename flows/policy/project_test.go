package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// projects is a policy of two projects, of which b shares one of its groups.
func projects() *policy.Policy {
	return &policy.Policy{
		Projects: []*policy.Project{{Name: "a"}, {Name: "b"}},
		Groups: []*policy.Group{
			{Name: "a/web", Rules: []policy.Rule{policytest.Rule("egress tcp 3306", "b/db")}},
			{Name: "b/db", Shared: true}, {Name: "b/secret"}, {Name: "base", Shared: true},
			{Name: "c/free"}},
		Instances: []*policy.Instance{
			{Name: "a/1", Groups: []string{"a/web"}, Ports: []policy.Port{{Name: "tap1",
				MAC: policytest.MAC(1), Addresses: policytest.Nets("10.0.0.1")}}},
			{Name: "b/1", Groups: []string{"b/db"}, Ports: []policy.Port{{Name: "tap2",
				MAC: policytest.MAC(2), Addresses: policytest.Nets("10.0.0.2")}}},
		},
	}
}

// Who may name whose groups, and who learns what of whom: an operator all, somebody of a project
// nothing of others.
func TestProjectsAreKeptApart(t *testing.T) {
	require.Empty(t, policy.Validate(projects()))
	for name, c := range map[string]struct {
		change         func(p *policy.Policy)
		operator, told string
	}{
		"not shared": {func(p *policy.Policy) { p.Groups[1].Shared = false },
			`group "a/web": rules[0].group: the group "b/db" is of the project "b", which does not share it`,
			`group "a/web": rules[0].group: there is no group "b/db" here`},
		"member of another's": {func(p *policy.Policy) { p.Instances[0].Groups = []string{"b/db"} },
			`instance "a/1": groups[0]: the group "b/db" is of the project "b"; an instance is in groups`,
			`there is no group "b/db" here`},
		"member of nobody's": {func(p *policy.Policy) { p.Instances[0].Groups = []string{"base"} },
			`the group "base" is no project's`, `there is no group "base" here`},
		"a prefix that is no project": {func(p *policy.Policy) {
			p.Groups[0].Rules[0] = policytest.Rule("egress tcp 1", "c/free")
		}, `the group "c/free" is no project's`, `there is no group "c/free" here`},
		"a hint": {func(p *policy.Policy) {
			p.Groups[0].Rules[0] = policytest.Rule("egress tcp 1", "b/secrets")
		}, `did you mean "b/secret"?`, `group "a/web": rules[0].group: there is no group "b/secrets" here`},
		"the MAC of another": {func(p *policy.Policy) {
			p.Instances[1].Ports[0].MAC = policytest.MAC(1)
		}, `instance "b/1": ports[0].mac: 02:00:00:00:00:01 is the MAC of the port "tap1" already`,
			`instance "a/1": ports[0].mac: 02:00:00:00:00:01 is taken`},
		"the address of another": {func(p *policy.Policy) {
			p.Instances[1].Ports[0].Addresses = policytest.Nets("10.0.0.1")
		}, `10.0.0.1 belongs to the port "tap1" already`,
			`instance "a/1": ports[0].addresses[0]: 10.0.0.1 is taken`},
		"the interface of another": {func(p *policy.Policy) { p.Instances[1].Ports[0].Name = "tap1" },
			`the port "tap1" is on this host twice`,
			`instance "a/1": ports[0].name: the interface "tap1" is taken`},
		"the allowed MAC is another's": {func(p *policy.Policy) {
			p.Instances[0].Ports[0].Allowed = []policy.AllowedAddress{{
				Prefix: policytest.Nets("10.0.0.9")[0], MAC: policytest.MAC(2)}}
		}, `02:00:00:00:00:02 is the own MAC of the port "tap2"`,
			`instance "a/1": ports[0].allowed_addresses[0]: 02:00:00:00:00:02 is taken`},
		"what is nothing of a's": {func(p *policy.Policy) { p.Groups[2].Name = "b/" },
			`group "b/": name: is "b/": what follows the project "b" must not be empty`,
			`project "a": name: the policy of somebody else`},
		"a slash": {func(p *policy.Policy) { p.Projects[0].Name = "a/b" },
			`project "a/b": name: is "a/b"; the name of a project has no slash`, ""},
		"twice": {func(p *policy.Policy) { p.Projects[1].Name = "a" },
			`project "a": name: the project "a" is defined twice`, ""},
		"a shared network": {func(p *policy.Policy) {
			p.Groups[3].IsNetwork = true
		}, `group "base": shared: a named network is everybody's`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := projects()
			c.change(p)
			problems := policy.Validate(p)
			require.NotEmpty(t, problems)
			require.Contains(t, problems[0].String(), c.operator)
			if told := problems[0].ToldTo("a"); c.told != "" {
				require.Contains(t, told.String(), c.told)
				require.NotContains(t, told.String(), `"b"`)
				require.NotContains(t, told.String(), "tap2")
			}
		})
	}
}

// A mistake of one's own is told as it is.
func TestAProjectIsToldOfItsOwnMistakes(t *testing.T) {
	p := projects()
	p.Instances[0].Ports = append(p.Instances[0].Ports, policy.Port{Name: "tap3",
		MAC: policytest.MAC(1)})
	problems := policy.Validate(p)
	require.Len(t, problems, 1)
	require.Equal(t, problems[0].String(), problems[0].ToldTo("a").String())
	require.Contains(t, problems[0].Text, `the MAC of the port "tap1" already`)
	require.Equal(t, "a", p.ProjectOf("a/web"))
	require.Empty(t, p.ProjectOf("c/free"))
}
