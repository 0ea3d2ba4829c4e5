//go:build integration

package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	compiler "github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// writer changes one word of one group all the time, as others do with other words of it: who loses
// a change of another, or makes one twice, is found out by counting.
type writer struct {
	name   string
	client *policydb.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu        sync.Mutex // held in the course of a change
	base      int        // the word when counting began
	sure      int        // changes that were acknowledged since
	uncertain int        // and those of which nobody knows
	total     int        // acknowledged since the beginning
}

// writerDeadline is how long a writer waits for its change, and writerPause between two of them.
const (
	writerDeadline = 10 * time.Second
	writerPause    = 150 * time.Millisecond
)

func (c *fleetChaos) startWriter(n int) *writer {
	client, err := policydb.New(policydb.Options{Endpoint: c.l.Sockets(),
		Patience: writerDeadline / 4})
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	c.t.Cleanup(cancel)
	w := &writer{name: fmt.Sprintf("w%d", n), client: client, cancel: cancel}
	w.ended.Go(func() { _ = client.Run(ctx) })
	w.ended.Go(func() {
		for ctx.Err() == nil {
			w.write(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(writerPause):
			}
		}
	})
	return w
}

// write makes one change.
func (w *writer) write(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writerDeadline)
	defer cancel()
	_, err := w.client.Change(ctx, policydb.Change{ID: rand.Text(), At: time.Now(), By: w.name},
		func(current *policy.Policy) (*policy.Policy, string, error) {
			next := *current
			next.Groups = nil
			counts := &policy.Group{Name: "tally"}
			for _, g := range current.Groups {
				if g.Name == counts.Name {
					*counts = *g
					continue
				}
				next.Groups = append(next.Groups, g)
			}
			counts.Description = countIn(counts.Description, w.name, wordIn(counts.Description, w.name)+1)
			next.Groups = append(next.Groups, counts)
			return &next, "one more of " + w.name, nil
		})
	if err != nil {
		w.uncertain++
		return
	}
	w.sure++
	w.total++
}

// wordIn reads a word of the tally, and countIn writes one: "w0=17 w1=4".
func wordIn(text, name string) int {
	for _, word := range strings.Fields(text) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			n, _ := strconv.Atoi(value) // of our own writing
			return n
		}
	}
	return 0
}

func countIn(text, name string, n int) string {
	words := []string{fmt.Sprintf("%s=%d", name, n)}
	for _, word := range strings.Fields(text) {
		if !strings.HasPrefix(word, name+"=") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

func (w *writer) stop(t *testing.T) {
	t.Helper()
	w.mu.Lock() // a change in its course ends as it would
	w.cancel()
	w.mu.Unlock()
	w.ended.Wait()
}

// exported is the policy in the database, and the file that it was exported to, whichever member
// answers. No writer is in the course of a change.
func (c *fleetChaos) exported() (*policy.Policy, string) {
	require.NoError(c.t, c.l.AwaitAlike(0)) // one that follows may be behind what was acknowledged
	out, err := c.l.Portcullis("export", "--db", c.l.Writers())
	require.NoError(c.t, err)
	file := filepath.Join(c.t.TempDir(), "policy.yaml")
	require.NoError(c.t, os.WriteFile(file, []byte(out), 0o600))
	p, _, err := policydir.Load(file)
	require.NoError(c.t, err)
	return p, out
}

// audit holds the tally against what the writers know. No writer is in the course of a change.
func (c *fleetChaos) audit() (acknowledged int) {
	p, _ := c.exported()
	text := ""
	for _, g := range p.Groups {
		if g.Name == "tally" {
			text = g.Description
		}
	}
	for _, w := range c.writers {
		n := wordIn(text, w.name) - w.base
		require.GreaterOrEqual(c.t, n, w.sure, "%s: acknowledged changes are lost", w.name)
		require.LessOrEqual(c.t, n, w.sure+w.uncertain, "%s: changes were made twice", w.name)
		acknowledged += w.total
	}
	return acknowledged
}

// recount begins counting anew, with what the database holds. Of what was uncertain some may still
// come.
func (c *fleetChaos) recount() {
	p, _ := c.exported()
	for _, w := range c.writers {
		w.base, w.sure = 0, 0
		for _, g := range p.Groups {
			if g.Name == "tally" {
				w.base = wordIn(g.Description, w.name)
			}
		}
	}
}

// compiled asserts that every host holds exactly what the policy in the database compiles to, and
// returns how many flows that are.
func (c *fleetChaos) compiled() (held []int) {
	p, _ := c.exported()
	for _, m := range c.l.Machines {
		delta, n := machineDelta(c.t, m, p)
		require.Empty(c.t, delta.Add, "missing on %s", m.Name)
		require.Empty(c.t, delta.Delete, "on %s, and not in the program", m.Name)
		held = append(held, n)
	}
	return held
}

// machineDelta is what a host lacks of what a policy compiles to, and what it has beyond; and how
// many flows it holds.
func machineDelta(t *testing.T, m *fleetlab.Machine, p *policy.Policy) (openflow.Delta, int) {
	t.Helper()
	settings, err := config.LoadSettings(m.Settings())
	require.NoError(t, err)
	status, err := m.Status()
	require.NoError(t, err)
	sw := ofswitch.New(ofswitch.Options{Target: m.Switch.Management(testnet.Bridge)})
	last, err := sw.LastMeter(t.Context())
	require.NoError(t, err)
	in := compiler.Input{Policy: p, Site: settings.Site(), LastMeter: last}
	for _, port := range status.Ports {
		if port.State == agent.PortApplied {
			in.Bindings = append(in.Bindings, compiler.Binding{Port: port.Name, OFPort: port.OFPort,
				Zone: port.Zone, Epoch: port.Epoch})
		}
	}
	for _, u := range status.Uplinks {
		if u.OFPort != 0 {
			in.Uplinks = append(in.Uplinks, compiler.Uplink{Name: u.Name, OFPort: u.OFPort})
		}
	}
	program, err := compiler.Compile(in)
	require.NoError(t, err)
	held, err := sw.Dump(t.Context())
	require.NoError(t, err)
	return openflow.Diff(program.Flows, held), len(held)
}
