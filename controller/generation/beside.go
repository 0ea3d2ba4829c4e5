// What others have changed beside a policy on trial, when that is taken back: [Source.takeBack]
// asks here what comes back. Invariant: a file that the trial altered is as it was before, and what
// comes back is valid.

package generation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
)

// keepOthers has the files that the trial did not alter come back as they are now: an instance that
// was created meanwhile stays. Where that is not to be had, all files come back as they were.
func (s *Source) keepOthers(t *history.Trial, now []policydir.Content) {
	if !t.Placed {
		return // nobody knows which files are whose
	}
	number, err := s.withOthers(*t, now)
	if err != nil {
		s.opts.Log.WithError(err).Warn("what was changed beside the trial is taken back, too")
		return
	}
	if number != t.Back {
		t.Back = number
		s.backDigest = s.digestOf(number)
	}
}

// withOthers returns the number of a generation that is valid, and kept: the one of before the
// trial with what was changed beside it. Of files that are not valid, those in force count.
func (s *Source) withOthers(t history.Trial, now []policydir.Content) (int, error) {
	back, before, err := s.placed(t.Back)
	if err != nil {
		return 0, err
	}
	all, err := s.opts.Store.List()
	tried := slices.IndexFunc(all, func(g history.Generation) bool {
		return g.Digest == t.Digest && g.Source == s.opts.Policy
	})
	if tried < 0 {
		return 0, cmp.Or(err, errors.New("the files of the trial are not kept"))
	}
	files := merged(before, contentsOf(all[tried]), now)
	if invalid(files) != nil {
		last, err := s.opts.Store.Last()
		if err == nil {
			_, now, err = s.placed(last.Number)
		}
		if err != nil {
			return 0, err
		}
		files = merged(before, contentsOf(all[tried]), now)
	}
	if err := invalid(files); err != nil || policydir.Digest(files) == policydir.Digest(before) {
		return t.Back, err
	}
	return s.keepBack(t, files, back.Folder)
}

// keepBack keeps files that are to come back.
func (s *Source) keepBack(t history.Trial, files []policydir.Content, isFolder bool) (int, error) {
	g, err := s.opts.Store.Keep(history.Generation{Kind: history.Found, Source: s.opts.Policy,
		Digest: policydir.Digest(files), At: time.Now(), Folder: isFolder,
		Note: fmt.Sprintf("generation %d with what was changed beside the trial", t.Back)},
		files, t.Back)
	return g.Number, err
}

// since returns what comes back of a trial that was taken back, with what somebody has changed
// beside it since; ok = what it altered is as it was found then.
func (s *Source) since(t history.Trial, now []policydir.Content) (files []policydir.Content,
	ok bool) {
	if !t.Placed {
		return nil, false
	}
	all, _ := s.opts.Store.List() // what cannot be read is not theirs
	found := slices.IndexFunc(all, func(g history.Generation) bool {
		return g.Digest == t.Taken.Found && g.Source == s.opts.Policy
	})
	_, back, err := s.placed(t.Back)
	if found < 0 || err != nil {
		return nil, false
	}
	target, was, is := sums(back), sums(contentsOf(all[found])), sums(now)
	for _, path := range slices.Concat(slices.Collect(maps.Keys(target)),
		slices.Collect(maps.Keys(was))) {
		if target[path] != was[path] && was[path] != is[path] {
			return nil, false
		}
	}
	return merged(back, contentsOf(all[found]), now), true
}

// isStillTried says whether the files in the policy's place are those of a trial that was taken
// back but for what somebody has changed beside it.
func (s *Source) isStillTried(t history.Trial) bool {
	now, err := policydir.Contents(s.opts.Policy)
	if err != nil {
		return false
	}
	_, ok := s.since(t, now)
	return ok
}

// catchUp has what somebody has changed beside a trial since it was taken back come back with it.
// If that is not valid without the trial it is not taken: it is kept aside.
func (s *Source) catchUp(t history.Trial, now []policydir.Content) (history.Trial, error) {
	files, ok := s.since(t, now)
	if !ok || invalid(files) != nil {
		return t, nil
	}
	number, err := s.keepBack(t, files, isFolder(s.opts.Policy, files))
	if err != nil {
		return t, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trial == nil || s.trial.Taken == nil || s.trial.Back != t.Back {
		return t, nil // it has ended meanwhile
	}
	s.trial.Back, s.backDigest = number, policydir.Digest(files)
	return *s.trial, s.opts.Store.SetTrial(s.trial)
}

// placed returns a generation, and its files as they are in the policy's place.
func (s *Source) placed(number int) (history.Generation, []policydir.Content, error) {
	g, err := s.opts.Store.Get(number)
	if err != nil {
		return g, nil, err
	}
	files, err := s.opts.Store.Target(g, s.opts.Policy)
	return g, files, err
}

// invalid says why files are no policy; nil = they are one.
func invalid(files []policydir.Content) error {
	list := make([]strictyaml.File, len(files))
	for i, f := range files {
		list[i] = strictyaml.File{Name: f.Path, Data: f.Text}
	}
	_, _, err := policyfile.Parse(list)
	return err
}

// merged returns the files that a trial did not alter as they are now, and the others as they were
// before it, by path.
func merged(before, tried, now []policydir.Content) []policydir.Content {
	was, became := sums(before), sums(tried)
	isOthers := func(path string) bool { return was[path] == became[path] }
	var out []policydir.Content
	for _, f := range before {
		if !isOthers(f.Path) {
			out = append(out, f)
		}
	}
	for _, f := range now {
		if isOthers(f.Path) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b policydir.Content) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// sums are those of files, by path; "" = there is none.
func sums(files []policydir.Content) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		out[f.Path] = f.Sum
	}
	return out
}
