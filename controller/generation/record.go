// How what came into force is kept and told of. The daemon runs [Source.Run] as a task. Invariant:
// what fails here is said and tried again, and changes nothing of what is in force.

package generation

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// keepAgain is the pause after which what could not be kept is tried again.
const keepAgain = time.Minute

// Run keeps what comes into force, tells who gained and lost access by it, and keeps the time of
// trials, until ctx ends; it returns nil then.
func (s *Source) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { s.watch(ctx) })
	told := ""
	for {
		pause := (<-chan time.Time)(nil)
		switch err := s.keep(); {
		case err != nil:
			pause = time.After(keepAgain)
			if err.Error() != told {
				told = err.Error()
				s.opts.Log.WithError(err).Warn("the policy in force is not kept: a start with files " +
					"that are not valid has none, or an older one")
			}
		case told != "":
			told = ""
			s.opts.Log.Info("the policy in force is kept again")
		}
		if ctx.Err() == nil && s.recordNext(ctx) {
			continue // what came meanwhile is kept before more is told
		}
		select {
		case <-ctx.Done():
			_ = s.keep()
			return nil
		case <-s.wake:
		case <-pause:
		}
	}
}

// keep keeps what waits for it, the oldest first.
func (s *Source) keep() error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return nil
		}
		c := s.queue[0]
		s.mu.Unlock()
		isNew, err := s.record(&c)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.queue = s.queue[1:]
		if c.files = nil; isNew {
			s.untold = append(s.untold, c)
		}
		s.mu.Unlock()
	}
}

// record keeps one change, unless it is what is kept already. Of the first in this run, before
// becomes what was in force last.
func (s *Source) record(c *change) (isNew bool, err error) {
	last, lastErr := s.opts.Store.Last()
	if lastErr == nil && last.Digest == c.digest && last.Source == s.opts.Policy {
		if _, err = s.opts.Store.Texts(last); err == nil {
			return false, nil
		}
	}
	if c.before == nil && lastErr == nil {
		c.before, _ = s.opts.Store.Policy(last) // nil: it is told of as if there had been none
	}
	g := history.Generation{Kind: history.InForce, Source: s.opts.Policy, Digest: c.digest,
		At: c.at, Folder: isFolder(s.opts.Policy, c.files), By: c.by, Note: c.note}
	var needed []int
	if t := s.Trial(); t != nil {
		needed = append(needed, t.Back)
	}
	g, err = s.opts.Store.Keep(g, c.files, needed...)
	c.generation = g.Number
	return err == nil, err
}

// isFolder says whether files are those of a folder at a path.
func isFolder(path string, files []policydir.Content) bool {
	return len(files) != 1 || files[0].Path != path
}

// recordNext tells of one change: in the log, the audit and the generation. It says whether there
// was one. Of a change that is looked at when ctx ends nothing is told: the end does not wait for
// it.
func (s *Source) recordNext(ctx context.Context) bool {
	s.mu.Lock()
	if len(s.untold) == 0 {
		s.mu.Unlock()
		return false
	}
	c := s.untold[0]
	s.untold = s.untold[1:]
	s.mu.Unlock()
	if c.before == nil {
		c.before = &policy.Policy{}
	}
	access, isWhole := explain.NewIndex(c.before).CompareAccessUntil(explain.NewIndex(c.after),
		func() bool { return ctx.Err() != nil })
	if !isWhole {
		s.opts.Log.WithField("generation", c.generation).
			Warn("the daemon ends before it has told who gained and lost access")
		return true
	}
	s.told(c, InWords(access))
	return true
}

// told tells who gained and lost access by a change.
func (s *Source) told(c change, access *history.Access) {
	g, err := s.opts.Store.Get(c.generation)
	if err == nil {
		g.Access = access
		err = s.opts.Store.Note(g)
	}
	log := s.opts.Log.WithFields(logrus.Fields{"generation": c.generation, "gained": access.Gained,
		"lost": access.Lost})
	if c.note != "" {
		log = log.WithField("why", c.note)
	}
	if c.by != "" {
		log = log.WithField("by", c.by)
	}
	log.Info("access changed")
	for _, line := range access.Lines {
		s.opts.Log.WithField("generation", c.generation).Info(line)
	}
	if err == nil {
		err = s.opts.Store.Audit(s.entry(g))
	}
	if err != nil {
		s.opts.Log.WithError(err).Warn("who gained and lost access is in the log alone")
	}
}

// entry is the line of the audit about a generation. Its files are those that the one before has
// not.
func (s *Source) entry(g history.Generation) history.Entry {
	e := history.Entry{At: g.At, Generation: g.Number, Digest: g.Digest, By: g.By, Note: g.Note,
		Gained: g.Access.Gained, Lost: g.Access.Lost, Access: g.Access.Lines,
		Files: []history.Source{}}
	known := map[string]bool{}
	if before, err := s.opts.Store.Get(g.Number - 1); err == nil {
		for _, f := range before.Files {
			known[f.Name+f.Sum] = true
		}
	}
	for _, f := range g.Files {
		if !known[f.Name+f.Sum] {
			e.Files = append(e.Files, history.Source{Path: g.Path(f), UID: f.UID, Changed: f.Changed})
		}
	}
	return e
}
