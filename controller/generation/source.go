// Where the loop's policy comes from. The loop calls Load; [Source.Run] does all that writes.
// Invariant: nothing of the store holds up or fails a policy that is valid.

package generation

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Files are the policy's files as they are now.
type Files interface {
	Load() (*policy.Policy, strictyaml.Warnings, error)
	Digest() string
	Whole() bool
	Changed() <-chan struct{}
	// Content returns the files of the last Load; each text once.
	Content() []policydir.Content
}

// Options are what a source works with.
type Options struct {
	Files  Files
	Store  *history.Store
	Policy string // the path of the files
	Log    *logrus.Entry
}

// Source is the policy of the files, or the last that was in force where there is none in force and
// the files are not valid. It is the loop's policy.
type Source struct {
	opts Options
	// each has one slot
	wake    chan struct{} // something is to be kept
	ticked  chan struct{} // the trial is another one
	changed chan struct{} // Load may return something else

	// of Load, which runs once at a time, and alone writes them
	runs    *policy.Policy      // what was returned last
	digest  string              // of that; written under mu, too
	instead *history.Generation // what runs in the place of the files; nil = theirs does
	isPart  bool                // the files were being put in place at the last Load

	keeping sync.Mutex // held while the queue is worked off

	mu     sync.Mutex
	queue  []change
	untold []change // kept, and yet to be told of

	trial       *history.Trial
	origin      *history.Trial // of files that are yet to be taken
	due         time.Time      // when the trial is over
	backDigest  string         // of the files of before the trial
	isRestoring bool           // they are being written back
}

// change is a policy that took the place of another.
type change struct {
	before, after *policy.Policy // before may be nil: none in this run
	digest        string
	files         []policydir.Content
	at            time.Time
	by, note      string // who asked for it, and what for; "" = nobody said
	generation    int    // of after, once it is kept
}

// New returns a source; it keeps nothing before Run.
func New(opts Options) *Source {
	s := &Source{opts: opts, wake: make(chan struct{}, 1), ticked: make(chan struct{}, 1),
		changed: make(chan struct{}, 1)}
	switch t, err := opts.Store.Trial(); {
	case err != nil:
		opts.Log.WithError(err).Error("what was on trial is not known, and is not taken back")
	case t != nil:
		s.begin(t)
	}
	return s
}

// Changed has one slot, filled when Load may return something else.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Digest is that of what Load returned last.
func (s *Source) Digest() string { return s.digest }

// Whole says whether Load returned what there was to read: not while files are put in place.
func (s *Source) Whole() bool { return s.opts.Files.Whole() && !s.isPart }

// Load reads the files. If they are not valid, and none was in force in this run yet, the last
// policy that was in force is returned with an error of type [*history.Instead]; so is the policy
// of before a trial that was taken back.
func (s *Source) Load() (*policy.Policy, strictyaml.Warnings, error) {
	p, warnings, err := s.opts.Files.Load()
	judged := s.judge(s.opts.Files.Digest(), err)
	s.isPart = judged == between
	switch judged {
	case between:
		if s.runs != nil && s.instead == nil {
			return s.runs, nil, nil
		}
		p, err := s.returned(nil)
		return p, nil, err
	case takenBack:
		p, err := s.returned(err)
		return p, warnings, err
	}
	switch {
	case err == nil:
		s.adopt(p)
		return p, warnings, nil
	case s.instead != nil:
		return s.runs, warnings, &history.Instead{Generation: *s.instead, Err: err}
	case s.runs != nil:
		return nil, warnings, err
	}
	kept, g, keptErr := s.kept()
	if keptErr != nil {
		return nil, warnings, &alone{err, keptErr}
	}
	s.run(kept, g.Digest, &g)
	return kept, warnings, &history.Instead{Generation: g, Err: err}
}

// run notes what is in force from now on.
func (s *Source) run(p *policy.Policy, digest string, instead *history.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs, s.digest, s.instead = p, digest, instead
}

// alone is the error of files that are not valid where no kept policy can be run either.
type alone struct{ files, kept error }

func (e *alone) Error() string {
	return fmt.Sprintf("%s\nand no kept policy can be run instead: %s", e.files, e.kept)
}

func (e *alone) Unwrap() error { return e.files }

// kept returns the last policy that was in force.
func (s *Source) kept() (*policy.Policy, history.Generation, error) {
	g, err := s.opts.Store.Last()
	if err != nil {
		if errors.Is(err, history.ErrNone) {
			err = fmt.Errorf("%w in %s", err, s.opts.Store.Dir())
		}
		return nil, g, err
	}
	p, err := s.opts.Store.Policy(g)
	return p, g, err
}

// adopt notes that a policy of the files comes into force.
func (s *Source) adopt(p *policy.Policy) {
	digest, before, was := s.opts.Files.Digest(), s.runs, s.digest
	s.run(p, digest, nil)
	if digest == was && before != nil {
		return
	}
	c := change{before: before, after: p, digest: digest, files: s.opts.Files.Content(),
		at: time.Now()}
	s.mu.Lock()
	if t := s.origin; t != nil && t.Digest == digest {
		c.by, c.note, s.origin = t.By, t.Note, nil
	}
	s.mu.Unlock()
	s.enqueue(c)
}

// enqueue has a change kept and told of.
func (s *Source) enqueue(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = queued(s.queue, c)
	s.poke()
}

// poke has Run look at what waits.
func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// longestQueue is how many changes wait to be kept. More than these become one with the last.
const longestQueue = 16

func queued(queue []change, c change) []change {
	if last := len(queue) - 1; last+1 >= longestQueue {
		c.before, c.files = queue[last].before, withTexts(c.files, queue[last].files)
		queue = queue[:last]
	}
	return append(queue, c)
}

// withTexts gives files the texts that others have of them: each is handed out once.
func withTexts(files, others []policydir.Content) []policydir.Content {
	texts := map[string][]byte{}
	for _, f := range others {
		if f.Text != nil {
			texts[f.Sum] = f.Text
		}
	}
	for i := range files {
		if files[i].Text == nil {
			files[i].Text = texts[files[i].Sum]
		}
	}
	return files
}
