package benchfleet

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// What is measured, in its order, and what comes of it. Command bench calls [Run] and keeps the
// result.

// Options say what is measured.
type Options struct {
	Program string   // the daemon
	Size    string   // one of Sizes
	Scenes  []string // some of Scenes; none = all
	Hosts   int      // whole daemons at most; 0 = as many as the size has
	Log     io.Writer
}

// Result is all that was measured. Times are in milliseconds, where nothing else is said.
type Result struct {
	Size      string          `json:"size"`
	World     world           `json:"world"` // of what is not one host's
	Machine   measure.Machine `json:"machine"`
	Took      float64         `json:"took_s"`
	Imports   []Import        `json:"imports,omitempty"`
	Hosts     []Host          `json:"hosts,omitempty"`
	Force     *Force          `json:"force,omitempty"`
	Reconnect *Reconnect      `json:"reconnect,omitempty"`
	Writers   *Writers        `json:"writers,omitempty"`
	Fans      []Fan           `json:"fans,omitempty"`
	Relayed   *Fan            `json:"relayed,omitempty"`
	Restart   *Restart        `json:"restart,omitempty"`
	Daemons   []Daemons       `json:"daemons,omitempty"`
}

// AllFans are those with relays, too.
func (r *Result) AllFans() []Fan {
	if r.Relayed == nil {
		return r.Fans
	}
	return append(slices.Clone(r.Fans), *r.Relayed)
}

// extent is how much is measured.
type extent struct {
	name    string
	world   world   // what the server carries
	worlds  []world // of one host, and of imports
	crowd   int     // members of the group of a host
	samples int
	fans    []int // clients
	relays  int
	daemons []int
	readers int
}

func extents() []extent {
	small := world{Groups: 20, Rules: 6, Ports: 1_000, Local: 50}
	return []extent{
		{name: "small", world: small, worlds: []world{small}, crowd: 1_000, samples: 5,
			fans: []int{10, 100}, relays: 1, daemons: []int{2, 4}, readers: 5},
		{name: "full", world: medium(), worlds: []world{small, medium(),
			{Groups: 200, Rules: 6, Ports: 50_000, Local: 200}}, crowd: 10_000, samples: 40,
			fans: []int{10, 100, 1_000}, relays: 3, daemons: []int{10, 30, 100}, readers: 20},
	}
}

// Sizes are the names of what can be measured.
func Sizes() (names []string) {
	for _, e := range extents() {
		names = append(names, e.name)
	}
	return names
}

// scene is a part of the whole.
type scene struct {
	name string
	play func(ctx context.Context, o Options, e extent, r *Result) error
}

func scenes() []scene {
	return []scene{
		{"import", playImports}, {"hosts", playHosts}, {"force", playForce},
		{"reconnect", playReconnect}, {"writers", playWriters}, {"fanout", playFans},
		{"restart", playRestart}, {"daemons", playDaemons},
	}
}

// Scenes are their names.
func Scenes() (names []string) {
	for _, s := range scenes() {
		names = append(names, s.name)
	}
	return names
}

// Run measures.
func Run(ctx context.Context, o Options) (*Result, error) {
	n := slices.Index(Sizes(), o.Size)
	if n < 0 {
		return nil, fmt.Errorf("no size %q", o.Size)
	}
	r := &Result{Size: o.Size, World: extents()[n].world,
		Machine: measure.ThisMachine(ctx, tool, o.Program)}
	began := time.Now()
	for _, s := range scenes() {
		if len(o.Scenes) > 0 && !slices.Contains(o.Scenes, s.name) {
			continue
		}
		start := time.Now()
		if err := s.play(ctx, o, extents()[n], r); err != nil {
			return r, fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(o.Log, "%s: %.0f s\n", s.name, time.Since(start).Seconds())
	}
	r.Took = time.Since(began).Seconds()
	return r, nil
}

func tool(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}

func playImports(ctx context.Context, o Options, e extent, r *Result) error {
	add := func(w world, members int) error {
		one, err := measureImport(ctx, o.Program, w, members)
		r.Imports = append(r.Imports, one)
		return err
	}
	for _, w := range e.worlds {
		if err := add(w, 1); err != nil {
			return err
		}
	}
	return add(e.worlds[len(e.worlds)-1], 3) // the largest one is the hardest for a cluster
}

func playHosts(ctx context.Context, o Options, e extent, r *Result) error {
	for _, w := range e.worlds {
		one, err := measureHost(ctx, o.Program, w)
		if err != nil {
			return err
		}
		r.Hosts = append(r.Hosts, one)
	}
	return nil
}

func playForce(ctx context.Context, o Options, e extent, r *Result) error {
	one, err := inForce(ctx, o.Program, e.crowd, e.world.Local, e.samples)
	r.Force = &one
	return err
}

func playReconnect(ctx context.Context, o Options, e extent, r *Result) error {
	// ovsdb-server remembers a hundred transactions, the one that the host knows among them
	const commits = 98
	one, err := measureReconnect(ctx, o.Program, e.world, commits)
	r.Reconnect = &one
	return err
}

func playWriters(ctx context.Context, _ Options, e extent, r *Result) error {
	one, err := measureWriters(ctx, e.world, e.samples)
	r.Writers = &one
	return err
}

func playFans(ctx context.Context, _ Options, e extent, r *Result) error {
	for _, n := range e.fans {
		one, err := fan(ctx, e.world, n, 0, e.samples)
		if err != nil {
			return err
		}
		r.Fans = append(r.Fans, one)
	}
	one, err := fan(ctx, e.world, slices.Max(e.fans), e.relays, e.samples)
	r.Relayed = &one
	return err
}

func playRestart(ctx context.Context, _ Options, e extent, r *Result) error {
	one, err := measureRestart(ctx, e.world, slices.Max(e.fans), e.readers)
	r.Restart = &one
	return err
}

func playDaemons(ctx context.Context, o Options, e extent, r *Result) error {
	counts := e.daemons
	if o.Hosts > 0 {
		counts = slices.DeleteFunc(slices.Clone(counts), func(n int) bool { return n >= o.Hosts })
		counts = append(counts, o.Hosts)
	}
	var err error
	r.Daemons, err = measureDaemons(ctx, o.Program, counts, max(3, e.samples/5))
	return err
}
