package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// This file answers what a policy would change, and asks for it. A policy in question is sent as it
// was read, because a daemon cannot read each file that its user can; the daemon's own files it
// reads itself, because what did not change in them costs nothing.

// maxPlan bounds the body of a question: several times what 50,000 instances take.
const maxPlan = 256 << 20

// PlanQuestion is what would be in force. The zero question is about the daemon's own files and
// settings.
type PlanQuestion struct {
	Policy   *policy.Policy `json:"policy,omitempty"`   // null = the daemon's files, as they are now
	Name     string         `json:"name,omitempty"`     // of the policy, for words
	Settings *PlanSettings  `json:"settings,omitempty"` // null = those that the daemon runs with
	Flows    plan.Listing   `json:"flows"`              // list at most so many; 0 = none, -1 = all
}

// PlanSettings are settings that a daemon would be started with.
type PlanSettings struct {
	Bridge    string      `json:"bridge"`
	HostGiven bool        `json:"host_given"` // somebody has set the name of the host
	Uplinks   []string    `json:"uplinks"`
	Site      policy.Site `json:"site"`
}

// SettingsOf are the settings that a plan depends on.
func SettingsOf(s config.Settings) *PlanSettings {
	return &PlanSettings{Bridge: s.Bridge, HostGiven: s.HostGiven, Uplinks: s.Uplinks, Site: s.Site()}
}

// settings returns them as those that judge ports.
func (s PlanSettings) settings() config.Settings {
	return config.Settings{Bridge: s.Bridge, Host: s.Site.Host, HostGiven: s.HostGiven,
		Uplinks: s.Uplinks, Gateways: s.Site.Gateways, DHCPServers: s.Site.DHCPServers,
		UplinkSources: s.Site.UplinkSources, Limits: s.Site.Limits,
		OutsideFragments: s.Site.OutsideFragments, LogDenied: s.Site.LogDenied}
}

// Plan is what would change.
type Plan struct {
	Version string `json:"version"` // [Version]
	plan.Plan
}

// plan answers planPath.
func (a *answers) plan(w http.ResponseWriter, req *http.Request) {
	leave, problem := a.planning.acquire(req.Context())
	if problem != nil {
		refuse(w, problem)
		return
	}
	defer leave()
	q, problem := readPlanQuestion(w, req)
	if problem != nil {
		refuse(w, problem)
		return
	}
	out, problem := a.makePlan(req.Context(), q)
	if problem != nil {
		refuse(w, problem)
		return
	}
	answer(w, http.StatusOK, Plan{Version, *out})
}

func readPlanQuestion(w http.ResponseWriter, req *http.Request) (PlanQuestion, *Problem) {
	var q PlanQuestion
	body := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxPlan))
	body.DisallowUnknownFields()
	err := body.Decode(&q)
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return q, problemf(http.StatusRequestEntityTooLarge, "the question is longer than %d bytes",
			tooLong.Limit)
	}
	if err != nil {
		return q, problemf(http.StatusBadRequest, "the question cannot be read: %v", err).
			or(`want JSON such as {"policy": {"groups": […], "instances": […]}}, as GET ` + inForcePath +
				" has it; {} is about the daemon's own files")
	}
	if q.Policy == nil {
		return q, nil
	}
	if problems := policy.Validate(q.Policy); len(problems) > 0 {
		return q, problemf(http.StatusUnprocessableEntity, "the policy is not valid: %s (and %d more)",
			problems[0], len(problems)-1)
	}
	return q, nil
}

// makePlan makes a plan of what the daemon has in force now.
func (a *answers) makePlan(ctx context.Context, q PlanQuestion) (*plan.Plan, *Problem) {
	s, problem := a.current(ctx, &q)
	if problem != nil {
		return nil, problem
	}
	index, problem := a.currentIndex(s)
	if problem != nil {
		return nil, problem
	}
	r := running(s)
	r.Index, r.Input.Policy = index, index.Policy()
	if q.Settings == nil {
		q.Settings = &PlanSettings{Bridge: r.Bridge, HostGiven: true, Uplinks: r.Uplinks,
			Site: r.Input.Site}
	}
	proposal, err := a.proposal(r, q)
	if err != nil {
		return nil, problemf(http.StatusInternalServerError, "%v", err)
	}
	out, after, err := a.planner().Make(r, proposal, func() bool { return ctx.Err() != nil })
	if errors.Is(err, plan.ErrOver) {
		return nil, problemf(http.StatusServiceUnavailable, "%v", err).
			or("ask again, with a longer --timeout")
	}
	if err != nil {
		return nil, problemf(http.StatusInternalServerError, "the policy cannot be compiled: %v", err)
	}
	out.Policy, out.Warning = q.Name, q.Settings.settings().HostWarning(q.Policy)
	a.cuts(ctx, s, out, r, after)
	return out, nil
}

// current returns the present snapshot, and gives a question about the daemon's files what they say
// now.
func (a *answers) current(ctx context.Context, q *PlanQuestion) (*agent.Snapshot, *Problem) {
	s := a.Agent.Snapshot()
	if q.Policy == nil {
		var err error
		if s, err = a.Agent.Read(ctx); err != nil {
			return nil, problemf(http.StatusServiceUnavailable, "the files were not read in time")
		}
		if len(s.Policy.Errors) > 0 {
			return nil, problemf(http.StatusConflict, "the policy is not valid: %s",
				s.Policy.Errors[0]).or("'portcullis check' names every mistake")
		}
		q.Policy, q.Name = s.InForce, s.Policy.Source
	}
	switch {
	case s.Error != "":
		return nil, problemf(http.StatusServiceUnavailable, "the daemon is not in sync itself: %s",
			s.Error)
	case s.Running.Policy == nil || q.Policy == nil:
		return nil, problemf(http.StatusServiceUnavailable, "nothing is programmed yet").
			or("ask again when it is: 'portcullis status --wait'")
	}
	return s, nil
}

// running is what a snapshot says is in force.
func running(s *agent.Snapshot) plan.Running {
	r := plan.Running{Input: s.Running, Revision: s.Revision, Bridge: s.Bridge}
	for _, u := range s.Uplinks {
		r.Uplinks = append(r.Uplinks, u.Name)
	}
	for _, p := range s.Ports {
		if p.State == agent.PortPending {
			r.Notes = append(r.Notes, fmt.Sprintf("port %s is not programmed yet: %s", p.Name, p.Reason))
		}
	}
	for _, text := range s.Policy.Refused {
		r.Notes = append(r.Notes, "not in force: "+text)
	}
	return r
}

// proposal holds a policy in question against this host.
func (a *answers) proposal(r plan.Running, q PlanQuestion) (plan.Proposal, error) {
	p := plan.Proposal{Policy: q.Policy, Site: q.Settings.Site, HostGiven: q.Settings.HostGiven,
		Bridge: q.Settings.Bridge, Uplinks: q.Settings.Uplinks, Flows: q.Flows,
		Changed: ChangedSettings(r.Input.Site, q.Settings.Site),
		Barred:  map[string]string{}, Devices: map[string]string{}}
	settings := q.Settings.settings()
	var locals []*policy.Instance
	for _, i := range q.Policy.Instances {
		if i.IsLocal(settings.Host) {
			locals = append(locals, i)
		}
	}
	for _, m := range settings.Misfits(locals) {
		p.Barred[m.Port] = m.Error.Error()
	}
	if a.Devices == nil {
		return p, nil
	}
	devices, err := a.Devices()
	for _, m := range settings.DeviceMisfits(locals, devices) {
		p.Devices[m.Port] = m.Error.Error()
	}
	return p, err
}

// cuts lists the live connections that a plan cuts.
func (a *answers) cuts(ctx context.Context, s *agent.Snapshot, p *plan.Plan, r plan.Running,
	after flows.Input) {
	ports := p.Endangered(r.Input, after)
	if len(ports) == 0 || a.Conntrack == nil {
		return
	}
	list, err := telemetry.ListConnections(ctx, a.Conntrack, s, telemetry.ConnectionsQuery{
		Ports: ports, Limit: telemetry.MaxConnections})
	if err != nil {
		p.Unlisted = "the switch does not say which connections are live: " + err.Error()
		return
	}
	if list.More {
		p.Unlisted = fmt.Sprintf("more than %d connections are live: not all were looked at",
			telemetry.MaxConnections)
	}
	live := make([]plan.LiveConnection, 0, len(list.Connections))
	for _, c := range list.Connections {
		live = append(live, LiveConnection(c))
	}
	p.Cuts(r, after, live)
}

// LiveConnection is a connection as a plan judges it.
func LiveConnection(c telemetry.Connection) plan.LiveConnection {
	out := plan.LiveConnection{Port: c.Port, Direction: policy.Ingress, Group: c.Group, Rule: c.Rule,
		At:    c.At,
		Tuple: spec.Tuple{Src: c.Src, SrcPort: c.SrcPort, Dst: c.Dst, DstPort: c.DstPort}}
	if c.Direction == policy.Egress.String() {
		out.Direction = policy.Egress
	}
	protocol, _ := policy.ParseProtocol(c.Protocol) // it was written by the same names
	if out.Tuple.Protocol = uint8(protocol); c.ICMP != nil {
		out.Tuple.ICMPType, out.Tuple.ICMPCode = c.ICMP.Type, c.ICMP.Code
	}
	return out
}

// Plan asks what a policy would change.
func (c *Client) Plan(ctx context.Context, q PlanQuestion) (*Plan, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	out := &Plan{}
	if _, err := c.send(ctx, http.MethodPost, planPath, bytes.NewReader(body), out,
		&out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
