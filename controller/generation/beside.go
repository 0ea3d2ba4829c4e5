// What others have changed beside a policy on trial, when that is taken back: [Source.takeBack] asks
// here what comes back. Invariant: a file that the trial altered is as it was before, and what comes
// back is valid.

package generation

import (
	"cmp"
	"errors"
	"fmt"
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
func (s *Source) keepOthers(t *history.Trial) {
	if !t.Placed {
		return // nobody knows which files are whose
	}
	number, err := s.withOthers(*t)
	if err != nil {
		s.opts.Log.WithError(err).Warn("what was changed beside the trial is taken back, too")
		return
	}
	if number != t.Back {
		t.Back = number
		s.backDigest = s.digestOf(number)
	}
}

// withOthers returns the number of a generation that is valid, and kept: the one of before the trial
// with what was changed beside it. Of files that are not valid, those in force count.
func (s *Source) withOthers(t history.Trial) (int, error) {
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
	now, err := policydir.Contents(s.opts.Policy)
	if err != nil {
		return 0, err
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
	g, err := s.opts.Store.Keep(history.Generation{Kind: history.Found, Source: s.opts.Policy,
		Digest: policydir.Digest(files), At: time.Now(), Folder: back.Folder,
		Note: fmt.Sprintf("generation %d with what was changed beside the trial", t.Back)},
		files, t.Back)
	return g.Number, err
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
