package plan

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// How a plan is made: the policy in force and the one in question are compared, by what the change
// touches. Invariant: the flows that are counted are those that the daemon would send.

// Running is what a daemon has in force.
type Running struct {
	Input    flows.Input    // what its flows are compiled from
	Index    *explain.Index // of the same policy
	Revision uint32         // the highest epoch so far
	Bridge   string
	Uplinks  []string // as its settings name them
	Notes    []string // what is not in force, in words
}

// Proposal is what would be in force: a policy, and the settings of a daemon that is started with
// them.
type Proposal struct {
	Policy    *policy.Policy
	Site      policy.Site
	HostGiven bool // somebody has set the name of the host
	Bridge    string
	Uplinks   []string
	// why ports of this host would not be taken, by name
	Barred map[string]string
	// and those that would not be if they were new: their devices are the host's own
	Devices map[string]string
	// settings of the site that are not those that the daemon was started with, by their keys
	Changed []string
	Flows   Listing
}

// ErrOver says that nobody waits for a plan any more.
var ErrOver = errors.New("it took too long to find out who gains and who loses access")

// Maker makes plans. It keeps the program that it compared last, so that the next plan costs what
// differs. The zero Maker is ready; it must not be used by two goroutines at once.
type Maker struct{ compiler flows.Compiler }

// Make says what would change if a proposal took the place of what runs. Connections are not
// listed: see [Plan.Cuts]. It returns what would be compiled, too. It gives up with [ErrOver] when
// over says that it is over.
func (m *Maker) Make(r Running, p Proposal, over func() bool) (*Plan, flows.Input, error) {
	out := &Plan{Notes: slices.Clone(r.Notes), Cut: []string{}, Leave: []explain.PortRef{}, Connections: []CutConnection{}}
	p.Policy = policy.Share(r.Input.Policy, p.Policy)
	access, isWhole := r.Index.CompareAccessUntil(explain.NewIndex(p.Policy), over)
	if !isWhole {
		return nil, flows.Input{}, ErrOver
	}
	out.Access = &access
	after := r.Input
	after.Policy, after.Site = p.Policy, p.Site
	after.Uplinks = out.restarted(r, p)
	if lost := flows.RevokedPorts(r.Input, after); len(lost) > 0 {
		out.Cut = lost
	}
	after.Bindings = out.rebound(after, r.Revision+1, p.refused(r.Input))
	out.leaving(r.Input, after)
	if r.Input.Site.Host != after.Site.Host {
		out.Unbound(after)
		if !p.HostGiven && len(locals(after)) == 0 {
			out.Notes = append(out.Notes,
				"as nobody has set host, a start takes no port away, and changes nothing: see "+
					"'portcullis status' then")
		}
	}
	if err := m.compile(out, r.Input, after, p.Flows); err != nil {
		return nil, after, err
	}
	out.Finish()
	return out, after, nil
}

// compile counts the flows that come and go.
func (m *Maker) compile(out *Plan, before, after flows.Input, l Listing) error {
	if _, err := m.compiler.Update(before); err != nil {
		return err
	}
	delta, err := m.compiler.Update(after)
	if err != nil {
		return err
	}
	out.LeftOut(m.compiler.LeftOut())
	out.Added = l.List(delta.Add, after, &m.compiler)
	if l != NoFlows {
		if _, err := m.compiler.Update(before); err != nil { // who knows what goes
			return err
		}
	}
	out.Removed = l.List(delta.Delete, before, &m.compiler)
	return nil
}

// restarted notes which settings are not those that the daemon was started with, and returns the
// uplinks that it would have with them. What follows is about a daemon that is started with them.
func (out *Plan) restarted(r Running, p Proposal) (uplinks []flows.Uplink) {
	changed := slices.Clone(p.Changed)
	if r.Bridge != p.Bridge {
		changed = append(changed, "bridge")
	}
	if !sameWords(r.Uplinks, p.Uplinks) {
		changed = append(changed, "uplinks")
	}
	for _, u := range r.Input.Uplinks {
		if slices.Contains(p.Uplinks, u.Name) {
			uplinks = append(uplinks, u)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		out.Notes = append(out.Notes,
			"the settings are not those that the daemon was started with ("+listWords(changed)+
				"): they are in force when it is restarted, and then all of this is")
	}
	for _, name := range p.Uplinks {
		if !slices.Contains(r.Uplinks, name) {
			out.Notes = append(out.Notes,
				"the uplink "+name+" is new: the flows that it would add are not counted")
		}
	}
	return uplinks
}

// refused returns why ports of this host would not be taken, by name. The device of a port that has
// been taken is not looked at again.
func (p Proposal) refused(before flows.Input) map[string]string {
	out, bound := map[string]string{}, boundPorts(before)
	for name, reason := range p.Devices {
		if !bound[name] {
			out[name] = reason
		}
	}
	maps.Copy(out, p.Barred)
	return out
}

// rebound gives the ports that lose something the next epoch, as the daemon would, and leaves out
// those that are gone or refused.
func (out *Plan) rebound(after flows.Input, epoch uint32,
	refused map[string]string) []flows.Binding {
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		out.Notes = append(out.Notes, "the port is not taken: "+refused[name])
	}
	stays := map[string]bool{}
	for _, l := range locals(after) {
		stays[l.port.Name] = refused[l.port.Name] == ""
	}
	var bindings []flows.Binding
	for _, b := range after.Bindings {
		if slices.Contains(out.Cut, b.Port) {
			b.Epoch = epoch
		}
		if stays[b.Port] {
			bindings = append(bindings, b)
		}
	}
	return bindings
}

// leaving notes the ports that come off the bridge though the policy leaves them where they are.
func (out *Plan) leaving(before, after flows.Input) {
	had, has := boundPorts(before), boundPorts(after)
	was := map[string]*policy.Instance{}
	for _, l := range locals(before) {
		if had[l.port.Name] && !has[l.port.Name] {
			was[l.port.Name] = l.instance
		}
	}
	if len(was) == 0 {
		return
	}
	for _, i := range after.Policy.Instances {
		for _, p := range i.Ports {
			if old := was[p.Name]; old != nil && old.Host == i.Host {
				out.Leave = append(out.Leave, explain.PortRef{Instance: i.Name, Port: p.Name})
			}
		}
	}
	slices.SortFunc(out.Leave, func(x, y explain.PortRef) int {
		return cmp.Or(cmp.Compare(x.Instance, y.Instance), cmp.Compare(x.Port, y.Port))
	})
}

// Against says what turns flows that are held into the program of an input, which is all that is
// known without a daemon.
func Against(in flows.Input, held []openflow.Flow, l Listing) (*Plan, error) {
	out := &Plan{Cut: []string{}, Leave: []explain.PortRef{}, Connections: []CutConnection{}}
	var program flows.Compiler
	if _, err := program.Update(in); err != nil {
		return nil, err
	}
	out.Unbound(in)
	out.LeftOut(program.LeftOut())
	delta := openflow.Diff(program.Program().Flows, held)
	out.Added, out.Removed = l.List(delta.Add, in, &program), l.List(delta.Delete, in, &program)
	out.Finish()
	return out, nil
}
