package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The policy, as [policydb.Client] has it. Invariant: a change is sent with the generation that it
// was made of, and under one key however often it is sent, so that it is made once or not at all.

// Policy returns what who asks sees of the present policy, and its generation.
func (c *Client) Policy() (*policy.Policy, int, error) {
	all, err := c.Part(excerpt.Asked{})
	return all.Policy, all.Generation, err
}

// Part returns the part of the present policy that is asked for, or all of it where the server is
// older than parts are.
func (c *Client) Part(asked excerpt.Asked) (excerpt.Part, error) {
	query := url.Values{}
	for key, names := range map[string][]string{"kinds": asked.Kinds, "groups": asked.Groups,
		"around": asked.Around, "projects": asked.Projects, "rules": asked.Rules,
		"instances": asked.Instances, "ports": asked.Ports, "hosts": asked.Hosts} {
		if len(names) > 0 {
			query.Set(key, strings.Join(names, "\n"))
		}
	}
	path := c.path("/part")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	out := excerpt.Part{Policy: &policy.Policy{}}
	_, err := c.json(c.ctx, http.MethodGet, path, nil, nil, &out)
	var refused *Refused
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		out = excerpt.Part{}
		out.Policy, out.Generation, err = c.policy("")
		return out, err
	case err != nil:
		return excerpt.Part{}, err
	}
	out.Policy = asInDatabase(out.Policy)
	return out, nil
}

// asInDatabase is a policy that was read as the database has it: with sorted lists, named networks
// among the groups, and no places in a file.
func asInDatabase(p *policy.Policy) *policy.Policy {
	out := policydb.Merged(&policy.Policy{}, p)
	slices.SortStableFunc(out.Groups, func(a, b *policy.Group) int {
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// Formerly returns the policy of a generation that the database remembers.
func (c *Client) Formerly(generation int) (*policy.Policy, error) {
	p, _, err := c.policy("?generation=" + strconv.Itoa(generation))
	return p, err
}

func (c *Client) policy(query string) (*policy.Policy, int, error) {
	got, err := c.ask(c.ctx, http.MethodGet, c.path("/policy"+query), nil, nil)
	if err != nil {
		return nil, 0, err
	}
	at, err := strconv.Atoi(got.header.Get(apiserver.GenerationHeader))
	if err != nil {
		return nil, 0, fmt.Errorf("the answer of the API server %s names no generation", c.url)
	}
	p, err := policyfile.ParsePart(strictyaml.File{Name: c.url + "/v1/policy", Data: got.text})
	if err != nil {
		return nil, 0, err
	}
	return asInDatabase(p), at, nil
}

// History returns the changes that are remembered, the newest first.
func (c *Client) History() ([]policydb.Entry, error) {
	const page = 1000
	var out []policydb.Entry
	for before := ""; ; {
		var got struct{ Items []policydb.Entry }
		_, err := c.json(c.ctx, http.MethodGet, "/v1/changes?limit="+strconv.Itoa(page)+before, nil, nil,
			&got)
		if err != nil {
			return nil, err
		}
		out = append(out, got.Items...)
		if len(got.Items) < page {
			return out, nil
		}
		before = "&before=" + strconv.Itoa(out[len(out)-1].Generation)
	}
}

// Plan is Change without writing: whether it is possible, and the present generation.
func (c *Client) Plan(change policydb.Change, edit policydb.Edit) (int, error) {
	current, at, err := c.Policy()
	if err != nil {
		return 0, err
	}
	next, _, err := edit(current)
	if err != nil {
		return at, err
	}
	body := c.differing(current, next)
	if body == nil {
		return at, nil
	}
	_, err = c.send(c.ctx, change, body.of(change, at), "?dry_run=true")
	return at, err
}

// Change edits the policy by one transaction, as [policydb.Client.Change] does.
func (c *Client) Change(ctx context.Context, change policydb.Change,
	edit policydb.Edit) (int, error) {
	for {
		current, at, err := c.Policy()
		if err != nil {
			return 0, err
		}
		next, _, err := edit(current)
		if err != nil {
			return 0, err
		}
		body := c.differing(current, next)
		if body == nil {
			return at, nil
		}
		done, err := c.insist(ctx, change, body.of(change, at))
		if isOutrun(err) {
			continue
		}
		return done.Generation, err
	}
}

const (
	// attempts are made of one change whose answer is lost, with retryPause between them.
	attempts   = 5
	retryPause = time.Second
)

// insist sends a change until there is an answer. The key has it made once.
func (c *Client) insist(ctx context.Context, change policydb.Change,
	body *changes) (apiserver.Done, error) {
	for n := 1; ; n++ {
		done, err := c.send(ctx, change, body, "")
		var refused *Refused
		isLost := errors.As(err, &Unanswered{}) || errors.As(err, &refused) &&
			refused.Status == http.StatusServiceUnavailable
		if !isLost {
			return done, err
		}
		if n == attempts {
			return done, fmt.Errorf("%w\nThe change may have been made: see 'portcullis history'", err)
		}
		select {
		case <-ctx.Done():
			return done, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func (c *Client) send(ctx context.Context, change policydb.Change, body *changes,
	query string) (apiserver.Done, error) {
	if change.Project != "" && change.Project != c.Who.Project {
		return apiserver.Done{}, fmt.Errorf("--project %s: with a server, the token says of which project you are",
			change.Project)
	}
	var done apiserver.Done
	_, err := c.json(ctx, http.MethodPost, c.path("/changes"+query),
		http.Header{"Idempotency-Key": {change.ID}}, body, &done)
	return done, err
}

// changes is the body of several writes.
type changes struct {
	Put        json.RawMessage     `json:"put,omitempty"`
	Remove     map[string][]string `json:"remove,omitempty"`
	Generation int                 `json:"generation"`
	Message    string              `json:"message,omitempty"`
	Confirm    string              `json:"confirm,omitempty"`
}

// of says which change it is.
func (b *changes) of(change policydb.Change, at int) *changes {
	out := *b
	out.Generation, out.Message = at, change.From
	if change.Trial > 0 {
		out.Confirm = change.Trial.String()
	}
	return &out
}

// differing is what leads from one policy to another; nil = nothing does. Networks are of no
// project.
func (c *Client) differing(current, next *policy.Policy) *changes {
	put := &policy.Policy{}
	out := &changes{Remove: map[string][]string{}}
	var gone []string
	put.Projects, gone = differ(current.Projects, next.Projects,
		func(v *policy.Project) string { return v.Name })
	out.remove("projects", gone)
	groups := func(list []*policy.Group) []*policy.Group {
		return slices.DeleteFunc(slices.Clone(list), func(g *policy.Group) bool {
			return g.IsNetwork && c.Who.Project != ""
		})
	}
	put.Groups, gone = differ(groups(current.Groups), groups(next.Groups),
		func(v *policy.Group) string { return v.Name })
	out.remove("groups", gone)
	put.Instances, gone = differ(current.Instances, next.Instances,
		func(v *policy.Instance) string { return v.Name })
	out.remove("instances", gone)
	hasPut := len(put.Projects)+len(put.Groups)+len(put.Instances) > 0
	if !hasPut && len(out.Remove) == 0 {
		return nil
	}
	if hasPut {
		out.Put = asJSON(put)
	}
	return out
}

func (b *changes) remove(list string, names []string) {
	if len(names) > 0 {
		b.Remove[list] = names
	}
}

// differ are the objects of a list that are new or other ones, and the names of those that are
// gone. An edit leaves alone what it does not change, so that what is the same value is the same.
func differ[T any](current, next []*T, name func(*T) string) (put []*T, gone []string) {
	old := make(map[string]*T, len(current))
	for _, v := range current {
		old[name(v)] = v
	}
	for _, v := range next {
		if old[name(v)] != v {
			put = append(put, v)
		}
		delete(old, name(v))
	}
	for _, v := range current {
		if _, isGone := old[name(v)]; isGone {
			gone = append(gone, name(v))
		}
	}
	return put, gone
}

// asJSON is a policy file as JSON, which YAML has as a part.
func asJSON(p *policy.Policy) json.RawMessage {
	var file map[string]any
	if err := yaml.Unmarshal(policyfile.Marshal(p), &file); err != nil {
		panic(err) // it was just written
	}
	text, err := json.Marshal(file)
	if err != nil {
		panic(err) // its keys are words
	}
	return text
}

// OnTrial returns the change on trial; nil = there is none.
func (c *Client) OnTrial() (*policydb.Trial, error) {
	var got apiserver.Trials
	_, err := c.json(c.ctx, http.MethodGet, "/v1/trial", nil, nil, &got)
	return got.Trial, err
}

// Confirm keeps the change on trial; 0 = whichever it is.
func (c *Client) Confirm(ctx context.Context, generation int) (int, error) {
	return c.post(ctx, fmt.Sprintf("/v1/changes/%d/confirm", generation), nil)
}

// Abandon takes the change on trial back.
func (c *Client) Abandon(ctx context.Context, change policydb.Change, generation int,
	_ string) (int, error) {
	return c.post(ctx, fmt.Sprintf("/v1/changes/%d/abandon", generation),
		http.Header{"Idempotency-Key": {change.ID}})
}

func (c *Client) post(ctx context.Context, path string, header http.Header) (int, error) {
	var done apiserver.Done
	_, err := c.json(ctx, http.MethodPost, path, header, nil, &done)
	return done.Generation, err
}

// Fleet says how every host stands to the present generation.
func (c *Client) Fleet(ctx context.Context) (statusdb.Fleet, error) {
	var out statusdb.Fleet
	_, err := c.json(ctx, http.MethodGet, "/v1/hosts", nil, nil, &out)
	return out, err
}

// Status says how far a generation is, after at most so long a wait.
func (c *Client) Status(ctx context.Context, generation int, wait time.Duration) (apiserver.Status,
	error) {
	query := url.Values{"generation": {strconv.Itoa(generation)}}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	var out apiserver.Status
	_, err := c.json(ctx, http.MethodGet, c.path("/status?"+query.Encode()), nil, nil, &out)
	return out, err
}

// Tokens returns the tokens, without their secrets.
func (c *Client) Tokens() ([]apiserver.Token, error) {
	var got struct{ Items []apiserver.Token }
	_, err := c.json(c.ctx, http.MethodGet, "/v1/tokens", nil, nil, &got)
	return got.Items, err
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, want apiserver.NewToken) (apiserver.MadeToken, error) {
	var out apiserver.MadeToken
	_, err := c.json(ctx, http.MethodPost, "/v1/tokens", nil, want, &out)
	return out, err
}

// RevokeToken revokes one.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.ask(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil)
	return err
}
