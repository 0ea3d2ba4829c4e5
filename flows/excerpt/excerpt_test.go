package excerpt_test

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
)

const fleet = `
projects: [{name: acme}]
networks: {office: [198.51.100.0/24]}
groups:
  - {name: acme/web, rules: [{direction: ingress, protocol: tcp, ports: 1, group: acme/web}]}
  - name: db
    rules: [{direction: ingress, protocol: tcp, ports: 3306, group: web}]
  - name: web
    rules: [{direction: ingress, protocol: tcp, ports: 80, cidr: office}]
instances:
  - {name: acme/vm, host: hv1, groups: [acme/web], ports: [{name: tap9, mac: 02:00:00:00:00:09}]}
  - {name: db-1, host: hv1, groups: [db], ports: [{name: tap1, mac: 02:00:00:00:00:01}]}
  - {name: web-1, host: hv2, migrating_to: hv3, groups: [web],
     ports: [{name: tap1, mac: 02:00:00:00:00:02}, {name: tap3, mac: 02:00:00:00:00:03}]}
`

func parsed(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policyfile.ParsePart(strictyaml.File{Name: "fleet.yaml", Data: []byte(text)})
	require.NoError(t, err)
	return p
}

// names are those of all objects of a part.
func names(p *policy.Policy) []string {
	out := []string{}
	for _, one := range p.Projects {
		out = append(out, one.Name)
	}
	for _, g := range p.Groups {
		out = append(out, g.Name)
	}
	for _, i := range p.Instances {
		out = append(out, i.Name)
	}
	return out
}

// A part holds what is asked for, and nothing else: not by a name that is the beginning of another,
// and not where nothing has the name.
func TestWhatIsAskedFor(t *testing.T) {
	p := parsed(t, fleet)
	ofWeb := strconv.FormatUint(uint64(flows.RuleIDs(p)[flows.RuleKey("web", p.Groups[3].Rules[0])]), 10)
	for _, one := range []struct {
		asked excerpt.Asked
		want  []string
	}{
		{excerpt.Asked{}, names(p)},
		{excerpt.Asked{Groups: []string{"web"}}, []string{"web"}},
		{excerpt.Asked{Groups: []string{"office", "db"}}, []string{"office", "db"}},
		{excerpt.Asked{Around: []string{"web"}}, []string{"db", "web", "web-1"}},
		{excerpt.Asked{Around: []string{"office"}}, []string{"office", "web"}},
		{excerpt.Asked{Rules: []string{ofWeb}}, []string{"web"}},
		{excerpt.Asked{Projects: []string{"acme"}}, []string{"acme", "acme/web", "acme/vm"}},
		{excerpt.Asked{Instances: []string{"web-1", "db-1"}}, []string{"db-1", "web-1"}},
		{excerpt.Asked{Ports: []string{"tap1"}}, []string{"db-1", "web-1"}},
		{excerpt.Asked{Ports: []string{"web-1/tap1"}}, []string{"web-1"}},
		{excerpt.Asked{Hosts: []string{"hv1"}}, []string{"acme/vm", "db-1"}},
		{excerpt.Asked{Hosts: []string{"hv3"}}, []string{"web-1"}},
		{excerpt.Asked{Kinds: []string{excerpt.AllGroups}}, []string{"office", "acme/web", "db", "web"}},
		{excerpt.Asked{Kinds: []string{excerpt.AllInstances}}, []string{"acme/vm", "db-1", "web-1"}},
		{excerpt.Asked{Groups: []string{"we"}, Instances: []string{"web"}, Ports: []string{"tap"},
			Hosts: []string{""}, Projects: []string{""}, Rules: []string{"0"}}, []string{}},
	} {
		got := excerpt.Of(p, 7, one.asked)
		assert.Equal(t, one.want, names(got.Policy), "%+v", one.asked)
		assert.Equal(t, 7, got.Generation)
	}
	assert.Equal(t, map[string]int{"acme/web": 1, "db": 1, "web": 1},
		excerpt.Of(p, 7, excerpt.Asked{Kinds: []string{excerpt.AllGroups}}).Members)
}

// Of two rules of one hash the later one has another ID. It has it in a part, too, in which the
// earlier one was not asked for.
func TestRulesKeepTheirIDs(t *testing.T) {
	hashed := map[uint32]string{}
	rule := func() policy.Rule {
		return parsed(t, fleet).Groups[3].Rules[0]
	}()
	var first, second string
	for n := 0; second == ""; n++ {
		name := fmt.Sprintf("g%06d", n)
		h := fnv.New32a()
		h.Write([]byte(flows.RuleKey(name, rule)))
		if first = hashed[h.Sum32()]; first != "" {
			second = name
		}
		hashed[h.Sum32()] = name
	}
	p := &policy.Policy{Groups: []*policy.Group{{Name: "aside", Rules: []policy.Rule{rule}},
		{Name: first, Rules: []policy.Rule{rule}}, {Name: second, Rules: []policy.Rule{rule}}}}
	whole := flows.RuleIDs(p)
	key := flows.RuleKey(second, rule)
	require.Equal(t, whole[flows.RuleKey(first, rule)]+1, whole[key], "they have one hash")
	for _, asked := range []excerpt.Asked{{Groups: []string{second}}, {Around: []string{second}},
		{Rules: []string{strconv.FormatUint(uint64(whole[key]), 10)}}} {
		got := excerpt.Of(p, 1, asked).Policy
		assert.Equal(t, []string{first, second}, names(got))
		assert.Equal(t, whole[key], flows.RuleIDs(got)[key])
	}
	assert.Equal(t, []string{first}, names(excerpt.Of(p, 1, excerpt.Asked{Groups: []string{first}}).Policy))
}
