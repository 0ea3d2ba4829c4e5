package policydb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policytest"
)

// drawEdit draws one of the edits that people make, of names that are few: many are refused.
func drawEdit(t *rapid.T) edit.Edit {
	name := func(what string, names ...string) string {
		return rapid.SampledFrom(names).Draw(t, what)
	}
	group := name("group", "a/web", "a/db", "b/web", "free", "base")
	instance := name("instance", "a/1", "a/2", "b/1", "b/2", "none")
	host, project := name("host", "h", "x", "y"), name("project", "a", "b", "c")
	number := byte(rapid.IntRange(1, 6).Draw(t, "number"))
	port := policy.Port{Name: fmt.Sprintf("tap%d", number), MAC: policy.MAC{2, 0, 0, 0, 0, number},
		Addresses: policytest.Nets(fmt.Sprintf("10.0.0.%d", number),
			fmt.Sprintf("2001:db8::%d", number))}
	rule := policytest.Rule(name("rule", "ingress tcp 80", "ingress any", "egress udp 53",
		"ingress icmp 8/0"), name("peer", "0.0.0.0/0", "a/web", "b/web", "free", "a/db,10.0.0.0/30"))
	shared := rapid.Bool().Draw(t, "shared")
	return []edit.Edit{edit.AddProject(policy.Project{Name: project}), edit.RemoveProject(project),
		edit.AddGroup(policy.Group{Name: group, Shared: shared}),
		edit.AddGroup(policy.Group{Name: group, ExternalSources: policytest.Nets("192.0.2.0/24")}),
		edit.SetGroup(group, func(g *policy.Group) { g.Shared = shared }), edit.RemoveGroup(group),
		edit.AddRule(group, rule), edit.AddRule(group, rule), edit.RemoveRule(group, rule),
		edit.AddInstance(policy.Instance{Name: instance, Host: host, Ports: []policy.Port{port}}),
		edit.AddInstance(policy.Instance{Name: instance, Host: policy.Nowhere, Ports: []policy.Port{port}}),
		edit.RemoveInstance(instance), edit.Join(instance, group), edit.Join(instance, group),
		edit.Leave(instance, group), edit.AddPort(instance, port), edit.RemovePort(port.Name),
		edit.SetPort(port.Name, func(p *policy.Port) { p.Trusted = shared }),
		edit.Place(instance, host), edit.Migrate(instance, host), edit.Finish(instance),
		edit.Abort(instance), edit.Drain(host, name("to", "h", "x", "y", "")),
	}[rapid.IntRange(0, 22).Draw(t, "edit")]
}

// programsOf are what three hosts make of a policy.
func programsOf(t require.TestingT, p *policy.Policy) map[string]string {
	out := map[string]string{}
	for _, host := range []string{"h", "x", "y"} {
		in := flows.Input{Policy: p, Site: policytest.Site, LastMeter: flows.MaxMeter}
		in.Site.Host = host
		for _, i := range p.Instances {
			for _, port := range i.Ports {
				if n := port.Name[3] - '0'; i.IsLocal(host) {
					in.Bindings = append(in.Bindings, flows.Binding{Port: port.Name,
						OFPort: uint32(n), Zone: uint16(n), Epoch: 1})
				}
			}
		}
		slices.SortFunc(in.Bindings, func(a, b flows.Binding) int {
			return strings.Compare(a.Port, b.Port)
		})
		program, err := flows.Compile(in)
		require.NoError(t, err)
		out[host] = program.String()
	}
	return out
}

// Random sequences of edits through rows are the same policy as through files, and the same bytes
// of flows on each host; what one way refuses the other does, and then nothing has changed.
func TestEditsOfRowsAreEditsOfFiles(t *testing.T) {
	o := server(t)
	writer, reader := attach(t, o.DB), attach(t, o.DB)
	made, refused := 0, map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		start := &policy.Policy{Groups: []*policy.Group{{Name: fmt.Sprint("start", made)}}}
		_, err := writer.Change(bounded(t), by("start"), editing(func(*policy.Policy) (*policy.Policy,
			error) {
			return start, nil
		}))
		require.NoError(t, err)
		files := start
		for range rapid.IntRange(1, 25).Draw(t, "edits") {
			one := drawEdit(t)
			next, refusal := one(files)
			isInvalid := refusal == nil && len(policy.Validate(next)) > 0
			generation, err := writer.Change(bounded(t), by("edit"), editing(one))
			if refusal != nil || isInvalid {
				refused[isInvalid]++
				require.Error(t, err)
				if refusal != nil {
					require.EqualError(t, err, refusal.Error())
				}
				continue
			}
			require.NoError(t, err)
			made++
			text := policyfile.Marshal(next)
			files, _, err = policyfile.Parse([]strictyaml.File{{Name: "p.yaml", Data: text}})
			require.NoError(t, err, "%s", text)
			got, at, err := writer.Policy()
			require.NoError(t, err)
			require.Equal(t, generation, at)
			require.Equal(t, content(files), content(got))
			require.Equal(t, programsOf(t, files), programsOf(t, got))
		}
		_, last, err := writer.Policy()
		require.NoError(t, err)
		await(t, reader, func() bool { _, at, err := reader.Policy(); return err == nil && at == last })
		got, _, err := reader.Policy()
		require.NoError(t, err)
		require.Equal(t, content(files), content(got))
	})
	t.Logf("%d made, %d refused, %d not valid", made, refused[false], refused[true])
	require.Positive(t, made*refused[false]*refused[true])
}

// Three writers whose edits are in each other's way: each is made once or refused, as if one had
// come after the other, also when answers are lost.
func TestConflictingWriters(t *testing.T) {
	o := server(t)
	put(t, attach(t, o.DB), small())
	path, lose := losing(t, strings.TrimPrefix(o.DB, "unix:"))
	clients := []*Client{attach(t, o.DB), attach(t, o.DB), attach(t, "unix:"+path)}
	const each = 30
	var mu sync.Mutex
	order := map[int]edit.Edit{}
	names := []string{"x", "y", "z"}
	var all sync.WaitGroup
	for n, c := range clients {
		changes := make([]Change, each)
		for k := range changes {
			changes[k] = by(fmt.Sprint("writer", n))
		}
		all.Go(func() {
			for k, change := range changes {
				if n == 2 && k%5 == 0 {
					lose()
				}
				name := names[(n+k)%len(names)]
				one := []edit.Edit{edit.AddGroup(policy.Group{Name: name}), edit.RemoveGroup(name),
					edit.Join("web-1", name), edit.Leave("web-1", name),
					edit.AddRule("web", policytest.Rule(fmt.Sprint("ingress tcp ", 1000+n*each+k),
						"0.0.0.0/0"))}[k%5]
				generation, err := c.Change(t.Context(), change, editing(one))
				var refusal *edit.Error
				if err != nil && !errors.As(err, &refusal) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					if order[generation] != nil {
						t.Errorf("generation %d was made twice", generation)
					}
					order[generation] = one
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	c := attach(t, o.DB)
	got, last, err := c.Policy()
	require.NoError(t, err)
	require.Len(t, order, last-1, "each change that was acknowledged is one generation")
	want := Merged(&policy.Policy{}, small())
	for _, generation := range slices.Sorted(maps.Keys(order)) {
		want, err = order[generation](want)
		require.NoError(t, err, "generation %d", generation)
	}
	require.Equal(t, content(want), content(got))
	t.Logf("%d made of %d", len(order), each*len(clients))
}

// bounded is a context that ends when a test should have.
func bounded(t *rapid.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
