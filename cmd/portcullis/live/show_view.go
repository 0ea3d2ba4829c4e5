package live

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// How instances, groups and rules are described. show.go asks for it. The JSON is of its own:
// fields are added, never renamed.

// ruleView is a rule of a group.
type ruleView struct {
	Group    string  `json:"group"`
	Rule     string  `json:"rule"` // in words
	At       string  `json:"at,omitempty"`
	Admitted *uint64 `json:"admitted,omitempty"` // packets, on this host; nil = not known
}

// instanceView is an instance.
type instanceView struct {
	Name   string     `json:"name"`
	Host   string     `json:"host,omitempty"`
	At     string     `json:"at,omitempty"`
	Groups []string   `json:"groups"`
	Ports  []portView `json:"ports"`
	Rules  []ruleView `json:"rules,omitempty"`       // of its groups
	Refers []ruleView `json:"referred_by,omitempty"` // whose peer it is
}

// portView is a port; state and since are of local ones.
type portView struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
	Trusted   bool     `json:"trusted,omitempty"`
	State     string   `json:"state,omitempty"`
	Reason    string   `json:"reason,omitempty"`
}

// groupView is a group.
type groupView struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	At          string     `json:"at,omitempty"`
	Members     []string   `json:"members"`
	External    []string   `json:"external_sources,omitempty"`
	Rules       []ruleView `json:"rules"`
	Refers      []ruleView `json:"referred_by"` // rules whose peer it is
}

// view is a rule of a group as it is told.
func (w world) view(g *policy.Group, r policy.Rule) ruleView {
	v := ruleView{Group: g.Name, Rule: r.String(), At: r.At.String()}
	if n, ok := w.admitted[[2]string{v.Group, v.Rule}]; ok {
		v.Admitted = &n
	}
	return v
}

// filterRules are the rules for which ok holds.
func (w world) filterRules(ok func(*policy.Group, policy.Rule) bool) (out []ruleView) {
	for _, g := range w.policy.Groups {
		for _, r := range g.Rules {
			if ok(g, r) {
				out = append(out, w.view(g, r))
			}
		}
	}
	return out
}

// isPeerOf says whether a rule's peers name one of the groups, or a network, other than all
// addresses, with one of the addresses.
func isPeerOf(r policy.Rule, groups []string, addresses []netip.Prefix) bool {
	return slices.ContainsFunc(r.Peers, func(p policy.Peer) bool {
		if p.Group != "" {
			return slices.Contains(groups, p.Group)
		}
		return p.CIDR.Bits() > 0 && slices.ContainsFunc(addresses,
			func(a netip.Prefix) bool { return p.CIDR.Overlaps(a) })
	})
}

// instanceOf is an instance without its rules.
func (w world) instanceOf(i *policy.Instance) instanceView {
	v := instanceView{Name: i.Name, Host: i.Host, At: i.At.String(), Groups: i.Groups}
	for _, p := range i.Ports {
		port := portView{Name: p.Name, MAC: p.MAC.String(), Trusted: p.Trusted}
		for _, a := range p.Addresses {
			port.Addresses = append(port.Addresses, addressText(a))
		}
		if s := w.port(p.Name); s != nil && i.IsLocal(w.status.Host) {
			port.State, port.Reason = string(s.State), s.Reason
		}
		v.Ports = append(v.Ports, port)
	}
	return v
}

func addressText(a netip.Prefix) string {
	if a.IsSingleIP() {
		return a.Addr().String()
	}
	return a.String()
}

// port is how a local port stands; nil = nobody says.
func (w world) port(name string) *api.PortStatus {
	if w.status == nil {
		return nil
	}
	for i := range w.status.Ports {
		if w.status.Ports[i].Name == name {
			return &w.status.Ports[i]
		}
	}
	return nil
}

// instance describes one instance.
func (w world) instance(name string) (described, error) {
	var names []string
	for _, i := range w.policy.Instances {
		if names = append(names, i.Name); i.Name != name {
			continue
		}
		v := w.instanceOf(i)
		var own []netip.Prefix
		for _, p := range i.Ports {
			own = append(own, p.Addresses...)
		}
		v.Rules = w.filterRules(func(g *policy.Group, _ policy.Rule) bool {
			return slices.Contains(i.Groups, g.Name)
		})
		v.Refers = w.filterRules(func(_ *policy.Group, r policy.Rule) bool {
			return isPeerOf(r, i.Groups, own)
		})
		facts := []term.Fact{{Label: "instance", Text: name + w.hostText(i.Host)},
			{Label: "groups", Text: orNone(i.Groups)}, {Label: "at", Text: w.places.short(v.At)}}
		return described{term.Sheet{Facts: facts, Grids: []term.Grid{w.portGrid(v.Ports),
			w.ruleGrid("its rules", v.Rules), w.ruleGrid("rules about it", v.Refers)}}, v}, nil
	}
	return described{}, fmt.Errorf("there is no instance %q%s", name,
		wording.DidYouMean(name, names))
}

func (w world) hostText(host string) string {
	switch {
	case host == "":
		return ", on every host"
	case host == w.host:
		return ", on " + host + ", this host"
	}
	return ", on " + host
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// group describes one group.
func (w world) group(name string) (described, error) {
	var names []string
	for _, g := range w.policy.Groups {
		if names = append(names, g.Name); g.Name != name {
			continue
		}
		v := groupView{Name: name, Description: g.Description, At: g.At.String(),
			Members: []string{}}
		members := term.Grid{Of: "members", Hint: "--all", Empty: "no instance is in it",
			Columns: instanceColumns}
		for _, i := range w.members[name] {
			v.Members = append(v.Members, i.Name)
			members.Rows = append(members.Rows, w.instanceRow(w.instanceOf(i)))
		}
		for _, n := range g.ExternalSources {
			v.External = append(v.External, addressText(n))
		}
		v.Rules = w.filterRules(func(other *policy.Group, _ policy.Rule) bool { return other == g })
		v.Refers = w.filterRules(func(_ *policy.Group, r policy.Rule) bool { return r.Names(name) })
		facts := []term.Fact{{Label: "group", Text: name}}
		if g.Description != "" {
			facts = append(facts, term.Fact{Label: "description", Text: g.Description})
		}
		if len(v.External) > 0 {
			facts = append(facts, term.Fact{Label: "sources", Text: orNone(v.External)})
		}
		facts = append(facts, term.Fact{Label: "at", Text: w.places.short(v.At)})
		return described{term.Sheet{Facts: facts, Grids: []term.Grid{members,
			w.ruleGrid("its rules", v.Rules), w.ruleGrid("rules about it", v.Refers)}}, v}, nil
	}
	return described{}, fmt.Errorf("there is no group %q%s", name, wording.DidYouMean(name, names))
}

// ruleGrid is a table of rules.
func (w world) ruleGrid(title string, rules []ruleView) term.Grid {
	g := term.Grid{Of: "rules", Hint: "--all", Empty: title + ": none", Columns: []term.Column{
		{Title: strings.ToUpper(title), Flex: true}, {Title: "ADMITTED", Right: true, IfAny: true},
		{Title: "AT", Drop: 1, Flex: true, IfAny: true}}}
	for _, r := range rules {
		g.Rows = append(g.Rows, term.Row{Cells: []string{r.Group + ": " + r.Rule,
			admittedText(r.Admitted), w.places.short(r.At)}})
	}
	return g
}

func admittedText(n *uint64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatUint(*n, 10)
}

// portGrid is a table of an instance's ports.
func (w world) portGrid(ports []portView) term.Grid {
	g := term.Grid{Of: "ports", Hint: "--all", Empty: "it has no port", Columns: []term.Column{
		{Title: "PORT"}, {Title: "STATE", IfAny: true}, {Title: "ADDRESSES", Flex: true},
		{Title: "MAC", Drop: 4}, {Title: "CONNECTIONS", Right: true, Drop: 2, IfAny: true},
		{Title: "DENIED/S", Right: true, Drop: 1, IfAny: true},
		{Title: "SINCE", Drop: 3, IfAny: true}, {Title: "REASON", Flex: true, IfAny: true}}}
	for _, p := range ports {
		live, denied := traffic(w.counts, p.Name)
		since := ""
		if s := w.port(p.Name); s != nil && p.State != "" {
			since = term.Ago(s.Since, time.Now())
		}
		g.Rows = append(g.Rows, term.Row{Cells: []string{p.Name, p.State,
			strings.Join(p.Addresses, " "), p.MAC, live, denied, since, p.Reason}})
	}
	return g
}

// instanceColumns are those of a table of instances.
var instanceColumns = []term.Column{{Title: "INSTANCE"}, {Title: "HOST", Drop: 2, IfAny: true},
	{Title: "GROUPS", Flex: true, Drop: 3, IfAny: true}, {Title: "ADDRESSES", Flex: true, IfAny: true},
	{Title: "PORTS", Flex: true, Drop: 1, IfAny: true}, {Title: "STATE", IfAny: true}}

func (w world) instanceRow(v instanceView) term.Row {
	var names, addresses, states []string
	for _, p := range v.Ports {
		names, addresses = append(names, p.Name), append(addresses, p.Addresses...)
		if p.State != "" && !slices.Contains(states, p.State) {
			states = append(states, p.State)
		}
	}
	return term.Row{Cells: []string{v.Name, v.Host, strings.Join(v.Groups, " "),
		strings.Join(addresses, " "), strings.Join(names, " "), strings.Join(states, " ")}}
}

// instances lists all instances.
func (w world) instances() described {
	g := term.Grid{Of: "instances", Hint: "--all", Columns: instanceColumns, Empty: "no instances"}
	views := []instanceView{}
	for _, i := range w.policy.Instances {
		v := w.instanceOf(i)
		views = append(views, v)
		g.Rows = append(g.Rows, w.instanceRow(v))
	}
	return described{term.Sheet{Grids: []term.Grid{g}}, map[string]any{"instances": views}}
}

// groups lists all groups, and by how many rules each is named.
func (w world) groups() described {
	g := term.Grid{Of: "groups", Hint: "--all", Empty: "no groups", Columns: []term.Column{
		{Title: "GROUP"}, {Title: "INSTANCES", Right: true}, {Title: "RULES", Right: true},
		{Title: "NAMED BY", Right: true}, {Title: "DESCRIPTION", Flex: true, Drop: 1, IfAny: true},
		{Title: "AT", Drop: 2, Flex: true, IfAny: true}}}
	named := map[string]int{}
	for _, group := range w.policy.Groups {
		for _, r := range group.Rules {
			for _, p := range r.Peers {
				named[p.Group]++
			}
		}
	}
	type row struct {
		Name      string `json:"name"`
		Instances int    `json:"instances"`
		Rules     int    `json:"rules"`
		NamedBy   int    `json:"named_by"`
		At        string `json:"at,omitempty"`
	}
	rows := []row{}
	for _, group := range w.policy.Groups {
		r := row{group.Name, len(w.members[group.Name]), len(group.Rules), named[group.Name],
			group.At.String()}
		rows = append(rows, r)
		g.Rows = append(g.Rows, term.Row{Cells: []string{r.Name, strconv.Itoa(r.Instances),
			strconv.Itoa(r.Rules), strconv.Itoa(r.NamedBy), group.Description,
			w.places.short(r.At)}})
	}
	return described{term.Sheet{Grids: []term.Grid{g}}, map[string]any{"groups": rows}}
}

// rules lists all rules.
func (w world) rules() described {
	views := w.filterRules(func(*policy.Group, policy.Rule) bool { return true })
	return described{term.Sheet{Grids: []term.Grid{w.ruleGrid("rule", views)}},
		map[string]any{"rules": views}}
}
