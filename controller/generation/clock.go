// The time of trials, and the files that come back. [Source.Run] runs it beside what keeps
// policies.

package generation

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/instancefile"
	"github.com/portcullis/portcullis/config/policydir"
)

// judgeAgain is the pause after which the loop is asked again to judge a trial whose time is over.
const judgeAgain = time.Second

// watch tells the loop of changes of the files and of a trial whose time is over, and writes the
// files of before back then, until ctx ends.
func (s *Source) watch(ctx context.Context) {
	told := ""
	for {
		var again <-chan time.Time
		s.mu.Lock()
		trial, due := s.trial, s.due
		isTaken := trial != nil && trial.Taken != nil
		s.mu.Unlock()
		switch {
		case isTaken:
			again = time.After(keepAgain)
			err := s.restore(*trial)
			if errors.Is(err, instancefile.ErrHeld) {
				again = time.After(judgeAgain)
			} else if err != nil && err.Error() != told {
				told = err.Error()
				s.opts.Log.WithError(err).Error("the files of before the trial cannot be written " +
					"back; their policy is in force nevertheless")
			}
		case trial != nil:
			again = time.After(max(time.Until(due), 0))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.ticked:
		case <-s.opts.Files.Changed():
			s.signal()
		case <-again:
			s.signal()
			s.pause(ctx)
		}
	}
}

// pause leaves the loop time to judge.
func (s *Source) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.ticked:
	case <-time.After(judgeAgain):
	}
}

// tick has watch look at the trial.
func (s *Source) tick() {
	select {
	case s.ticked <- struct{}{}:
	default:
	}
}

// signal has the loop read.
func (s *Source) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// restore writes the files of before a trial back into the policy's place, unless somebody else has
// put others there since it was taken back. What is there and is not kept yet is kept first. Nobody
// changes an instance meanwhile; who does so already is waited for, with [instancefile.ErrHeld].
func (s *Source) restore(t history.Trial) error {
	unlock, err := s.hold()
	if err != nil {
		return err
	}
	defer unlock()
	now, err := policydir.Contents(s.opts.Policy)
	if err != nil {
		return err
	}
	if t.Taken.Found != "" && t.Taken.Found != policydir.Digest(now) {
		if _, ok := s.since(t, now); !ok {
			return nil
		}
		if t, err = s.catchUp(t, now); err != nil {
			return err
		}
	}
	_, target, err := s.placed(t.Back)
	if err != nil || policydir.Digest(target) == policydir.Digest(now) {
		return err
	}
	if err := KeepFound(s.opts.Store, s.opts.Policy, now, t.Back); err != nil {
		return err
	}
	s.setRestoring(true)
	err = history.NewPlacing(now, target).Run()
	s.setRestoring(false)
	s.signal()
	if err == nil {
		s.opts.Log.WithField("generation", t.Back).Warn("the files of before the trial were " +
			"written back")
	}
	return err
}

// hold holds the policy's folder against those who change instances. A file has no such others.
func (s *Source) hold() (func(), error) {
	if info, err := os.Stat(s.opts.Policy); err != nil || !info.IsDir() {
		return func() {}, nil
	}
	return instancefile.TryLock(s.opts.Policy)
}

func (s *Source) setRestoring(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isRestoring = is
}

// KeepFound keeps files that stand in a policy's place and are about to be replaced, unless a
// generation is of them.
func KeepFound(store *history.Store, path string, files []policydir.Content, needed ...int) error {
	digest := policydir.Digest(files)
	all, _ := store.List() // what cannot be read is not theirs
	if len(files) == 0 || slices.ContainsFunc(all, func(g history.Generation) bool {
		return g.Digest == digest && g.Source == path
	}) {
		return nil
	}
	_, err := store.Keep(history.Generation{Kind: history.Found, Source: path, Digest: digest,
		At: time.Now(), Folder: isFolder(path, files),
		Note: "found in the policy's place, and replaced"}, files, needed...)
	return err
}

// digestOf returns the digest that the files of a generation have in the policy's place.
func (s *Source) digestOf(number int) string {
	g, target, err := s.placed(number)
	switch {
	case g.Number == 0:
		s.opts.Log.WithError(err).Error("the policy on trial could not be taken back")
		return ""
	case err != nil:
		return g.Digest
	}
	return policydir.Digest(target)
}

// contentsOf returns the files of a generation as they were read. Their texts are in the store.
func contentsOf(g history.Generation) []policydir.Content {
	out := make([]policydir.Content, len(g.Files))
	for i, f := range g.Files {
		out[i] = policydir.Content{Path: g.Path(f), Sum: f.Sum, Size: f.Size, UID: f.UID, GID: f.GID,
			Mode: fs.FileMode(f.Mode), Changed: f.Changed}
	}
	return out
}
