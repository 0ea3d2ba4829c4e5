package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is the policy in force as JSON, from which `portcullis plan` compiles what the
// daemon runs.

// InForce is what the switch is known to run, as JSON of the API: all that its flows are compiled
// from.
type InForce struct {
	Version string `json:"version"`
	// of the policy in the files; rules that the switch refuses are left out of Policy
	Digest    string         `json:"digest"`
	Revision  uint32         `json:"revision"` // the highest epoch so far
	Policy    *policy.Policy `json:"policy"`
	Site      policy.Site    `json:"site"`
	Bindings  []BoundPort    `json:"bindings"`
	Uplinks   []BoundPort    `json:"uplinks"`
	LastMeter uint32         `json:"last_meter"` // the highest meter that the switch has
	InnerTags bool           `json:"inner_tags"` // the switch reads VLAN headers behind the first
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
		refuse(w, problemf(http.StatusServiceUnavailable, "%s",
			cmp.Or(s.Error, "nothing is programmed yet")))
		return
	}
	answer(w, http.StatusOK, inForceOf(s))
}

func inForceOf(s *agent.Snapshot) InForce {
	in := s.Running
	out := InForce{Version: Version, Digest: s.Policy.Digest, Revision: s.Revision,
		Policy: policy.Spelled(in.Policy),
		Site:   in.Site, LastMeter: in.LastMeter, InnerTags: in.InnerTags, Bindings: []BoundPort{},
		Uplinks: []BoundPort{}}
	for _, b := range in.Bindings {
		out.Bindings = append(out.Bindings, BoundPort(b))
	}
	for _, u := range in.Uplinks {
		out.Uplinks = append(out.Uplinks, BoundPort{Port: u.Name, OFPort: u.OFPort})
	}
	return out
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
	for key := range was {
		if _, isLeft := is[key]; !isLeft {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// settingsOf returns each setting that is not left out as JSON.
func settingsOf(s policy.Site) map[string]json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // of numbers, texts and lists
	}
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err) // it was just written
	}
	return out
}

// Input returns what the flows are compiled from.
func (f *InForce) Input() (flows.Input, error) {
	if f.Policy == nil {
		return flows.Input{}, errors.New("the daemon's answer has no policy")
	}
	if problems := policy.Validate(f.Policy); len(problems) > 0 {
		return flows.Input{}, fmt.Errorf("the policy in force: %s", problems[0])
	}
	in := flows.Input{Policy: f.Policy, Site: f.Site, LastMeter: f.LastMeter,
		InnerTags: f.InnerTags}
	for _, b := range f.Bindings {
		in.Bindings = append(in.Bindings, flows.Binding(b))
	}
	for _, u := range f.Uplinks {
		in.Uplinks = append(in.Uplinks, flows.Uplink{Name: u.Port, OFPort: u.OFPort})
	}
	return in, nil
}

// InForce returns what the switch is known to run.
func (c *Client) InForce(ctx context.Context) (*InForce, error) {
	out := &InForce{}
	if _, err := c.ask(ctx, inForcePath, url.Values{}, out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
