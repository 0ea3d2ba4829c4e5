package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// InForce is what the switch is known to run, as JSON of the API: all that its flows are compiled from.
type InForce struct {
	Version   string      `json:"version"`
	Digest    string      `json:"digest"`    // of the policy in the files; rules that the switch refuses are left out of Policy
	Revision  uint32      `json:"revision"`  // the highest epoch so far
	Policy    string      `json:"policy"`    // as a policy file
	Positions Positions   `json:"positions"` // where that was read, which the text of Policy does not tell
	Site      SiteJSON    `json:"site"`
	Bindings  []BoundPort `json:"bindings"`
	Uplinks   []BoundPort `json:"uplinks"`
	LastMeter uint32      `json:"last_meter"` // the highest meter that the switch has
	InnerTags bool        `json:"inner_tags"` // the switch reads VLAN headers behind the first
}

// Positions are file:line:column of all groups, rules, instances and ports, in the order of the policy.
type Positions struct {
	Groups    []string   `json:"groups"`
	Rules     [][]string `json:"rules"` // by group
	Instances []string   `json:"instances"`
	Ports     [][]string `json:"ports"` // by instance
}

// SiteJSON is a [policy.Site].
type SiteJSON struct {
	Host        string       `json:"host"`
	Gateways    []netip.Addr `json:"gateways"`
	DHCPServers []netip.Addr `json:"dhcp_servers"`
	Limits      LimitsJSON   `json:"limits"`
	// OutsideFragments is of all ports together that have no limit of fragments of their own.
	OutsideFragments policy.Limit `json:"outside_fragments_per_second"`
	// UplinkSources is written "routed" or "strict".
	UplinkSources policy.UplinkSources `json:"uplink_sources"`
	LogDenied     bool                 `json:"log_denied"`
}

// LimitsJSON are [policy.Limits], 0 = none.
type LimitsJSON struct {
	Connections    policy.Limit `json:"connections"`
	NewConnections policy.Limit `json:"new_connections_per_second"`
	ARPNDDHCP      policy.Limit `json:"arp_nd_dhcp_per_second"`
	Fragments      policy.Limit `json:"fragments_per_second"`
}

// BoundPort is a [flows.Binding] or a [flows.Uplink]; an uplink has neither zone nor epoch.
type BoundPort struct {
	Port   string `json:"port"`
	OFPort uint32 `json:"ofport"`
	Zone   uint16 `json:"zone,omitempty"`
	Epoch  uint32 `json:"epoch,omitempty"`
}

// inForce answers inForcePath.
func (srv Server) inForce(w http.ResponseWriter, _ *http.Request) {
	s := srv.Agent.Snapshot()
	if s.Running.Policy == nil {
		http.Error(w, orElse(s.Error, "nothing is programmed yet"), http.StatusServiceUnavailable)
		return
	}
	answer(w, http.StatusOK, inForceOf(s))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func inForceOf(s *agent.Snapshot) InForce {
	in := s.Running
	in.Policy = policy.Spelled(in.Policy)
	out := InForce{Version: Version, Digest: s.Policy.Digest, Revision: s.Revision, Policy: string(policyfile.Marshal(in.Policy)),
		Positions: positionsOf(in.Policy), Site: siteJSON(in.Site), LastMeter: in.LastMeter, InnerTags: in.InnerTags, Bindings: []BoundPort{}, Uplinks: []BoundPort{}}
	for _, b := range in.Bindings {
		out.Bindings = append(out.Bindings, BoundPort(b))
	}
	for _, u := range in.Uplinks {
		out.Uplinks = append(out.Uplinks, BoundPort{Port: u.Name, OFPort: u.OFPort})
	}
	return out
}

func siteJSON(s policy.Site) SiteJSON {
	return SiteJSON{Host: s.Host, Gateways: s.Gateways, DHCPServers: s.DHCPServers, Limits: LimitsJSON(s.Limits), LogDenied: s.LogDenied, OutsideFragments: s.OutsideFragments,
		UplinkSources: s.UplinkSources}
}

func (s SiteJSON) site() policy.Site {
	return policy.Site{Host: s.Host, Gateways: s.Gateways, DHCPServers: s.DHCPServers, Limits: policy.Limits(s.Limits), LogDenied: s.LogDenied, OutsideFragments: s.OutsideFragments,
		UplinkSources: s.UplinkSources}
}

// ChangedSettings names the settings, sorted, that two sites differ in.
func ChangedSettings(before, after policy.Site) []string {
	was, is := settingsOf(before), settingsOf(after)
	var out []string
	for key, value := range is {
		if !bytes.Equal(value, was[key]) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// settingsOf returns each setting as JSON.
func settingsOf(s policy.Site) map[string]json.RawMessage {
	j := siteJSON(s)
	j.Gateways, j.DHCPServers = append([]netip.Addr{}, j.Gateways...), append([]netip.Addr{}, j.DHCPServers...) // nil is empty
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // of numbers, texts and lists
	}
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err) // it was just written
	}
	return out
}

func positionsOf(p *policy.Policy) Positions {
	var out Positions
	for _, g := range p.Groups {
		rules := make([]string, len(g.Rules))
		for i, r := range g.Rules {
			rules[i] = r.At.String()
		}
		out.Groups, out.Rules = append(out.Groups, g.At.String()), append(out.Rules, rules)
	}
	for _, i := range p.Instances {
		ports := make([]string, len(i.Ports))
		for n, port := range i.Ports {
			ports[n] = port.At.String()
		}
		out.Instances, out.Ports = append(out.Instances, i.At.String()), append(out.Ports, ports)
	}
	return out
}

// positionOf reads what [policy.Position.String] wrote; the zero Position if it is none.
func positionOf(text string) policy.Position {
	var p policy.Position
	rest, column, ok1 := cutLast(text)
	file, line, ok2 := cutLast(rest)
	if !ok1 || !ok2 {
		return p
	}
	p.Line, _ = strconv.Atoi(line)
	p.Column, _ = strconv.Atoi(column)
	p.File = file
	return p
}

func cutLast(s string) (before, after string, ok bool) {
	n := strings.LastIndexByte(s, ':')
	if n < 0 {
		return s, "", false
	}
	return s[:n], s[n+1:], true
}

// errTorn says that the parts of an answer do not fit each other.
var errTorn = errors.New("the daemon's policy and its positions do not fit")

// Input returns what the flows are compiled from.
func (f *InForce) Input() (flows.Input, error) {
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "the policy in force", Data: []byte(f.Policy)}})
	if err != nil {
		return flows.Input{}, fmt.Errorf("read the policy in force: %w", err)
	}
	if err := f.Positions.restore(p); err != nil {
		return flows.Input{}, err
	}
	in := flows.Input{Policy: p, Site: f.Site.site(), LastMeter: f.LastMeter, InnerTags: f.InnerTags}
	for _, b := range f.Bindings {
		in.Bindings = append(in.Bindings, flows.Binding(b))
	}
	for _, u := range f.Uplinks {
		in.Uplinks = append(in.Uplinks, flows.Uplink{Name: u.Port, OFPort: u.OFPort})
	}
	return in, nil
}

// restore puts the positions into a policy that nobody else has yet.
func (o Positions) restore(p *policy.Policy) error {
	if len(o.Groups) != len(p.Groups) || len(o.Rules) != len(p.Groups) || len(o.Instances) != len(p.Instances) || len(o.Ports) != len(p.Instances) {
		return errTorn
	}
	for i, g := range p.Groups {
		if g.At = positionOf(o.Groups[i]); len(o.Rules[i]) != len(g.Rules) {
			return errTorn
		}
		for n := range g.Rules {
			g.Rules[n].At = positionOf(o.Rules[i][n])
		}
	}
	for i, instance := range p.Instances {
		if instance.At = positionOf(o.Instances[i]); len(o.Ports[i]) != len(instance.Ports) {
			return errTorn
		}
		for n := range instance.Ports {
			instance.Ports[n].At = positionOf(o.Ports[i][n])
		}
	}
	return nil
}

// InForce returns what the switch is known to run.
func (c *Client) InForce(ctx context.Context) (*InForce, error) {
	out := &InForce{}
	if _, err := c.ask(ctx, inForcePath, url.Values{}, out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
