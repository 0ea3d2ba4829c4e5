package policyserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// How servers are: each is asked by itself, so that one that is behind, cut off or gone is seen.

// State is how one server is.
type State struct {
	Endpoint   string    `json:"endpoint"`
	Error      string    `json:"error,omitempty"` // why it does not answer
	Model      string    `json:"model,omitempty"` // clustered, relay or standalone
	Cluster    string    `json:"cluster,omitempty"`
	Member     string    `json:"member,omitempty"` // its ID in the cluster
	IsLeader   bool      `json:"leader"`
	Connected  bool      `json:"connected"` // it belongs to the majority of its cluster
	Schema     string    `json:"schema,omitempty"`
	Generation int       `json:"generation"`
	HeardAt    time.Time `json:"heard_at,omitzero"` // the last commit, or sign of life
	Size       *Size     `json:"size,omitempty"`    // of servers on this machine
	Members    []Member  `json:"members,omitempty"` // likewise
}

// Size is how large a server is.
type Size struct {
	File   int64  `json:"file"`   // bytes; a compaction makes them fewer
	Memory string `json:"memory"` // as the server counts it
}

// Member is what a server knows of a member of its cluster.
type Member struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	IsSelf   bool   `json:"self"`
	IsLeader bool   `json:"leader"`
	SilentMS int    `json:"silent_ms"` // since it was heard; -1 = never, or not known
}

// Look asks servers, all at one time.
func Look(ctx context.Context, endpoints []string, secrets *tls.Config) []State {
	out := make([]State, len(endpoints))
	var all sync.WaitGroup
	for n, endpoint := range endpoints {
		all.Go(func() { out[n] = lookAt(ctx, endpoint, secrets) })
	}
	all.Wait()
	return out
}

func lookAt(ctx context.Context, endpoint string, secrets *tls.Config) State {
	s := State{Endpoint: endpoint}
	if err := s.ask(ctx, secrets); err != nil {
		s.Error = strings.TrimPrefix(err.Error(), "OVSDB at "+endpoint+": ")
		if errors.Is(err, context.DeadlineExceeded) {
			s.Error = "gives no answer"
		}
	}
	if path, isLocal := strings.CutPrefix(endpoint, "unix:"); isLocal {
		s.lookInside(ctx, Folder(filepath.Dir(path)))
	}
	return s
}

// ask reads what the server says of itself, and the generation.
func (s *State) ask(ctx context.Context, secrets *tls.Config) error {
	conn, err := client.Dial(ctx, s.Endpoint, secrets)
	if err != nil {
		return err
	}
	defer conn.Close()
	own, err := conn.Raw(ctx, "_Server", row{"op": "select",
		"table": "Database", "where": []any{[]any{"name", "==", policydb.Name}}})
	if err != nil {
		return err
	}
	if len(own[0].Rows) != 1 {
		return fmt.Errorf("serves no database %s", policydb.Name)
	}
	r := own[0].Rows[0]
	s.Model, s.Cluster, s.Member = text(r["model"]), text(r["cid"]), text(r["sid"])
	s.IsLeader, _ = r["leader"].(bool)
	s.Connected, _ = r["connected"].(bool)
	schema := text(r["schema"])
	if schema == "" {
		return errors.New("has not read its database yet")
	}
	if s.Schema, err = policydb.VersionOf([]byte(schema)); err != nil {
		return err
	}
	global, err := conn.Raw(ctx, policydb.Name, row{"op": "select",
		"table": "Global", "where": []any{}})
	if err != nil {
		return err
	}
	for _, r := range global[0].Rows {
		s.Generation = number(r["generation"])
		if at := max(number(r["generation_at"]), number(r["beat"])); at > 0 {
			s.HeardAt = time.UnixMilli(int64(at)).UTC()
		}
	}
	return nil
}

// text reads a string, a UUID, or a set of at most one of them.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		if len(v) == 2 && v[0] == "uuid" {
			return text(v[1])
		}
	}
	return ""
}

func number(value any) int {
	f, _ := value.(float64) // milliseconds have 41 bits
	return int(f)
}

// lookInside asks a server on this machine for what it tells nobody else.
func (s *State) lookInside(ctx context.Context, f Folder) {
	socket := f.path(controlName)
	info, err := os.Stat(f.path(policyName))
	if err != nil {
		return // a relay, or no server of ours
	}
	s.Size = &Size{File: info.Size()}
	if memory, err := unixctl.Ask(ctx, socket, "memory/show"); err == nil {
		s.Size.Memory = strings.TrimSpace(memory)
	}
	if told, err := unixctl.Ask(ctx, socket, "cluster/status", policydb.Name); err == nil {
		s.Members = members(told)
	}
}

// memberLine is a line of cluster/status such as
//
//	1b1f (1b1f at ssl:192.0.2.1:6643) (self) next_index=2 match_index=4
//	9c4e (9c4e at ssl:192.0.2.2:6643) next_index=5 match_index=4 last msg 113 ms ago
var memberLine = regexp.MustCompile(`^\s+\S+ \((\w+) at (\S+)\)`)

var lastHeard = regexp.MustCompile(`last msg (\d+) ms ago`)

// members reads what cluster/status prints.
func members(told string) []Member {
	var out []Member
	leader := ""
	for lines := bufio.NewScanner(strings.NewReader(told)); lines.Scan(); {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "Leader: "); ok {
			leader = name
		}
		found := memberLine.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		m := Member{ID: found[1], Address: found[2], IsSelf: strings.Contains(line, "(self)"),
			SilentMS: -1}
		m.IsLeader = leader == m.ID || m.IsSelf && leader == "self"
		if heard := lastHeard.FindStringSubmatch(line); heard != nil {
			m.SilentMS, _ = strconv.Atoi(heard[1])
		}
		out = append(out, m)
	}
	return out
}

// Best is the server of several that is asked for what all of them have: one that belongs to the
// majority, a member rather than a relay, and the leader if it is there. The error says how all of
// them are.
func Best(states []State) (State, error) {
	var found *State
	var words []string
	for n, s := range states {
		switch {
		case s.Error != "":
			words = append(words, s.Endpoint+": "+s.Error)
		case !s.Connected:
			words = append(words, s.Endpoint+": has no contact to the majority of its cluster")
		case found == nil || s.rank() > found.rank():
			found = &states[n]
		}
	}
	if found == nil {
		return State{}, fmt.Errorf("no server can be used: %s",
			strings.Join(words, "; "))
	}
	return *found, nil
}

// rank is higher for who is nearer to the leader.
func (s State) rank() int {
	switch {
	case s.IsLeader:
		return 2
	case s.Model != "relay":
		return 1
	}
	return 0
}
