package policydb

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
)

// A Follower is where a host's agent has its policies from. Invariant: what Load returns is one
// whole generation, as far as it is valid; a database that is gone, silent or behind takes nothing
// out of force.

// FollowOptions say what a Follower follows.
type FollowOptions struct {
	// Endpoint and TLS are in the sense of [client.Options].
	Endpoint string
	TLS      *tls.Config
	// Keep is the file that what was read is kept in, for a start without a database, and so that
	// one with it reads only what changed; "" = nothing is kept.
	Keep string
	// Log receives connects, disconnects and failures; nil discards them.
	Log *logrus.Entry
}

// followTiming holds the times of a Follower; tests shorten them.
type followTiming struct {
	silence  time.Duration // without a commit or a beat, of a database that somebody keeps
	catchUp  time.Duration // that a server which is behind has before it is left
	interval time.Duration // of looking at both
}

// Follower follows the policy database. Run holds the connection; all other methods may be called
// from any goroutine.
type Follower struct {
	opts    FollowOptions
	timing  followTiming
	stream  *client.Stream
	keeper  *keeper
	changed chan struct{} // one slot
	ready   chan struct{} // closed when something was read, or could not be

	mu        sync.Mutex
	mirror    *mirror
	server    client.Server
	last      string // ID of the last transaction that the mirror has; "" = it has none
	sieve     sieve
	taken     taken
	isUp      bool  // a server is followed
	isRead    bool  // one was, in this run
	why       error // the last one is not followed any more
	failures  int
	asked     int       // for which generation somebody waits
	freshness freshness // of the database
	since     time.Time // when it ceased to be current; zero = it is
	stood     Standing
	behind    time.Time // since when the server is; zero = it is not
	other     string    // what is to be said of a database that is another one than before
}

// taken is what Load returns.
type taken struct {
	policy     *policy.Policy // nil = none yet
	generation int
	global     string // UUID of the row that counts generations
	cluster    string
	committed  time.Time // by the clock of who wrote it
	at         time.Time // when it was read
	revision   int       // counts what was changed without a new generation
	errs       []error   // what is left out
}

// freshness is when something new was heard of the database. A commit is news, and so is a beat.
type freshness struct {
	generation, beat int
	at               time.Time
	isKept           bool // beats have been heard: somebody keeps the database
}

// NewFollower makes a Follower, which has what is kept; it does nothing else until Run.
func NewFollower(opts FollowOptions) *Follower {
	opts.Log = client.OrSilent(opts.Log)
	f := &Follower{opts: opts, mirror: newMirror(), changed: make(chan struct{}, 1),
		ready: make(chan struct{}), why: errors.New("no server has answered yet"),
		timing: followTiming{silence: 90 * time.Second, catchUp: 5 * time.Second,
			interval: time.Second}}
	f.stream = client.NewStream(client.StreamOptions{Endpoint: opts.Endpoint, TLS: opts.TLS,
		Database: Name, Columns: followed(), Later: added(), Misfit: misfit,
		Receiver: (*receiver)(f), Log: opts.Log})
	if opts.Keep != "" {
		f.keeper = newKeeper(opts.Keep)
		f.recall()
	}
	return f
}

// recall takes what is kept.
func (f *Follower) recall() {
	m, k, err := f.keeper.recall()
	if err != nil {
		f.opts.Log.WithError(err).Error("the policy that was kept cannot be read: without the " +
			"database there is none")
		return
	}
	if m == nil {
		return
	}
	if f.mirror, f.server.Cluster = m, k.Cluster; k.Columns == columnsOf(f.server) {
		f.last = k.Last // else another version has read others, and the rest was never told
	}
	f.sieve.setRejected(k.Losers)
	f.since = time.Now()
	f.refresh()
}

// Run follows the database until ctx ends; then it returns nil. The error is an endpoint that
// cannot be understood.
func (f *Follower) Run(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return f.stream.Run(ctx) })
	tasks.Go(func() error { f.watch(ctx); return nil })
	if f.keeper != nil {
		tasks.Go(func() error { f.keeper.run(ctx, f.opts.Log); return nil })
	}
	err := tasks.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isUp, f.why = false, client.ErrNotConnected; err != nil {
		f.why = err
	}
	f.open()
	return err
}

// Changed has one slot, filled when Load may return something else.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Whole says that what Load returned is whole: a generation always is.
func (f *Follower) Whole() bool { return true }

// Load returns the policy that is to be in force. Before the first one it waits until it is known
// whether there is one. With an error that names rows it comes without what is wrong with them.
func (f *Follower) Load() (*policy.Policy, strictyaml.Warnings, error) {
	f.mu.Lock()
	hasNone := f.taken.policy == nil
	f.mu.Unlock()
	if hasNone {
		<-f.ready
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.taken.policy != nil:
		if len(f.taken.errs) > 0 {
			return f.taken.policy, f.warnings(), invalid(f.taken.errs)
		}
		return f.taken.policy, f.warnings(), nil
	case f.isUp:
		return nil, nil, errEmpty
	}
	return nil, nil, fmt.Errorf("the policy database cannot be read: %w", f.why)
}

// warnings say what is not as it should be with the database. The caller holds the mutex.
func (f *Follower) warnings() (out strictyaml.Warnings) {
	say := func(format string, args ...any) {
		out = append(out, strictyaml.Warning{Field: "policy", Message: fmt.Sprintf(format, args...)})
	}
	if standing, why := f.standing(); standing != Current && standing != Invalid {
		say("generation %d stays in force, as the policy database has been %s since %s: %s",
			f.taken.generation, standing, f.since.UTC().Format(time.RFC3339), why)
	}
	if f.isUp && f.mirror.isEmpty() {
		say("generation %d stays in force, as the policy database is empty", f.taken.generation)
	}
	if f.isUp && len(f.server.Lacks) > 0 {
		say("the policy database has the schema %s, without %s: what is new is not in force before "+
			"'portcullis db upgrade'", f.server.Schema, strings.Join(f.server.Lacks, ", "))
	}
	if f.other != "" {
		say("%s", f.other)
	}
	return out
}

// Digest names what Load returned last: the database, and the generation.
func (f *Follower) Digest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := fmt.Sprintf("generation %d of %.8s", f.taken.generation, f.taken.global)
	if f.taken.revision > 0 {
		name += fmt.Sprintf(", changed %d times since", f.taken.revision)
	}
	return name
}

func (f *Follower) notify() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// receiver is what the stream sees of a Follower.
type receiver Follower

// Last is the ID of the last transaction that is known.
func (r *receiver) Last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.server.Lacks) > 0 {
		return "" // the next server may have what this one has not
	}
	return r.last
}

// Begin starts an update.
func (r *receiver) Begin(extent client.Extent) client.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &batch{(*Follower)(r), r.mirror.begin(extent)}
}

// Up notes the server that is followed.
func (r *receiver) Up(s client.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server, r.isUp, r.isRead = s, true, true
}

// Down notes why there is none.
func (r *receiver) Down(endpoint string, why error) {
	f := (*Follower)(r)
	f.mu.Lock()
	f.server.Endpoint, f.isUp, f.why, f.behind = endpoint, false, why, time.Time{}
	f.updateStanding()
	if f.failures++; f.failures > strings.Count(f.opts.Endpoint, ",") {
		f.open() // all were tried
	}
	f.mu.Unlock()
	f.notify()
}

// open lets Load return. The caller holds the mutex.
func (f *Follower) open() {
	select {
	case <-f.ready:
	default:
		close(f.ready)
	}
}

// batch is an update that is being read.
type batch struct {
	*Follower
	update *update
}

// Row takes a row.
func (b *batch) Row(table, uuid string, u client.RowUpdate) error {
	return b.update.row(table, uuid, u)
}

// Commit makes the update what is known, and the policy that it makes what Load returns.
func (b *batch) Commit(last string, tables json.RawMessage) {
	f := b.Follower
	f.mu.Lock()
	isOld := tables == nil && last == f.last && b.update.isEmpty()
	f.mirror.apply(b.update)
	f.last = last
	isNews := f.refresh()
	if f.keeper != nil && !isOld {
		f.keeper.note(f.mirror, keptAt{Last: last, Cluster: f.server.Cluster,
			Losers: f.sieve.rejected(), Columns: columnsOf(f.server)}, tables)
	}
	f.open()
	f.mu.Unlock()
	if isNews {
		f.notify()
	}
}

// refresh takes up what the mirror has, and says whether Load or Following tells something else
// now. The caller holds the mutex.
func (f *Follower) refresh() bool {
	was := f.taken
	global, _ := f.mirror.global()
	isAsked := f.asked != global.Ack
	f.asked = global.Ack
	f.listen(global.Generation, global.Beat)
	isSame := f.isTaken(global.UUID)
	switch {
	case f.mirror.isEmpty(): // what was read before stays
	case isSame && global.Generation < was.generation:
		if f.behind.IsZero() {
			f.behind = time.Now()
		}
	default:
		f.behind = time.Time{}
		f.adopt(global.UUID, global.Generation, time.UnixMilli(int64(global.GenerationAt)))
	}
	return f.updateStanding() || isAsked || was.policy != f.taken.policy || was.global != f.taken.global ||
		was.generation != f.taken.generation || !slices.EqualFunc(was.errs, f.taken.errs,
		func(a, b error) bool { return a.Error() == b.Error() })
}

// listen notes news of the database.
func (f *Follower) listen(generation, beat int) {
	if f.isUp && f.freshness.beat != 0 && beat > f.freshness.beat {
		f.freshness.isKept = true
	}
	if f.freshness.at.IsZero() || generation > f.freshness.generation || beat > f.freshness.beat {
		f.freshness.at = time.Now()
	}
	f.freshness.generation, f.freshness.beat = generation, max(beat, f.freshness.beat)
}

// isTaken says whether the database is the one whose policy was taken last.
func (f *Follower) isTaken(global string) bool {
	switch {
	case f.taken.policy == nil:
		return false
	case f.taken.cluster != "" && f.server.Cluster != "":
		return f.taken.cluster == f.server.Cluster
	}
	return f.taken.global == global
}

// adopt makes what the mirror has what Load returns.
func (f *Follower) adopt(global string, generation int, committed time.Time) {
	p, errs := f.sieve.sift(f.mirror.policy)
	next := taken{policy: p, generation: generation, global: global, at: time.Now(),
		committed: committed, errs: slices.Concat(f.mirror.mistakes(), errs),
		cluster: f.server.Cluster}
	was := f.taken
	if next.cluster == "" && was.global == global {
		next.cluster = was.cluster // a relay does not know it
	}
	if was.policy != nil && was.global == global && was.generation == generation {
		next.revision = was.revision
		if p != was.policy && !policy.Changed(was.policy, p).Empty() {
			next.revision++ // by somebody who does not count generations
		}
	}
	if was.policy != nil && !f.isTaken(global) {
		f.say("the policy database is another one than before %s: it is %s, and was %s",
			time.Now().UTC().Format(time.RFC3339), nameOf(next), nameOf(was))
	}
	f.taken = next
}

func nameOf(t taken) string {
	if t.cluster != "" {
		return fmt.Sprintf("%.8s at generation %d", t.cluster, t.generation)
	}
	return fmt.Sprintf("%.8s at generation %d", t.global, t.generation)
}

// say notes something about the database for the status, and in the log.
func (f *Follower) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if f.other != text {
		f.opts.Log.Warn(strings.ToUpper(text[:1]) + text[1:])
	}
	f.other = text
}
