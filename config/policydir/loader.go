// A policy loaded again and again at the cost of what changed. The agent loads by it at every
// change. What did not change is the same pointers as before; that is what makes a small change
// cheap everywhere.

package policydir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Loader loads one policy again and again, at the cost of what changed: it looks at every file, but
// reads only those that may have changed, parses those that did, and checks them against what it
// knows of the others. What is unchanged in the policy is the same pointers as before: all of an
// unchanged file, and of a changed one what is equal and in the same place.
//
// The zero Loader is ready. It must not be used by two goroutines at once.
type Loader struct {
	// Skip, if not nil, says whether a file must not be looked at for the time being, as somebody
	// is writing it or about to put it back. What was read of it before counts until then; a file
	// that was never read is left out. It is asked before a file is read and after, as only what
	// was not written to in between is one version of it.
	Skip func(name string) bool
	// KeepText says that the text of what is read is kept until Content has returned it.
	KeepText bool

	patience patience
	known    map[string]*source // by file name
	joiner   policyfile.Joiner
	last     result
	digest   string
}

// result is what became of fragments.
type result struct {
	fragments []*policyfile.Fragment
	policy    *policy.Policy
	warnings  strictyaml.Warnings
	err       error
}

// source is what a Loader remembers of one file.
type source struct {
	identity  identity
	isSettled bool // whether a file with the same identity has the same content
	hash      [sha256.Size]byte
	fragment  *policyfile.Fragment
	content   Content
}

// Load is the function [Load], remembering what it read.
func (l *Loader) Load(path string) (*policy.Policy, strictyaml.Warnings, error) {
	names, strays, err := l.names(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the policy: %w", err)
	}
	strays = append(strays, l.patience.beside(path)...)
	if l.known == nil {
		l.known = make(map[string]*source)
	}
	if err := l.refresh(names); err != nil {
		return nil, nil, err // what is known stays known
	}
	fragments := make([]*policyfile.Fragment, 0, len(names))
	for _, name := range names {
		if s := l.known[name]; s != nil {
			fragments = append(fragments, s.fragment)
		}
	}
	if len(fragments) == 0 {
		return nil, nil, fmt.Errorf("reading the policy: %s is being written", path)
	}
	maps.DeleteFunc(l.known, func(name string, _ *source) bool {
		_, ok := slices.BinarySearch(names, name)
		return !ok
	})
	if !slices.Equal(fragments, l.last.fragments) {
		l.last = result{fragments: fragments}
		l.last.policy, l.last.warnings, l.last.err = l.joiner.Join(fragments)
	}
	if l.last.err == nil {
		l.digest = digest(names, l.known)
	}
	all := strictyaml.Report{Warnings: append(strays, l.last.warnings...)}
	_, warnings := all.Sorted()
	return l.last.policy, warnings, l.last.err
}

// Digest returns a short name of what the last Load without an error returned: the same for files
// of the same names, without their folders, with the same content. "" = there was none.
func (l *Loader) Digest() string { return l.digest }

func digest(names []string, known map[string]*source) string {
	var files []Content
	for _, name := range names {
		if s := known[name]; s != nil {
			files = append(files, s.content)
		}
	}
	return Digest(files)
}

// names is policyFiles and, beside those, the known files that are held and not there.
func (l *Loader) names(path string) ([]string, strictyaml.Warnings, error) {
	names, strays, err := l.patience.policyFiles(path)
	held := 0
	for name := range l.known {
		if _, isThere := slices.BinarySearch(names, name); !isThere && l.isSkipped(name) {
			names = append(names, name)
			slices.Sort(names)
			held++
		}
	}
	if held > 0 && errors.Is(err, fs.ErrNotExist) {
		return names, nil, nil
	}
	return names, strays, err
}

func (l *Loader) isSkipped(name string) bool { return l.Skip != nil && l.Skip(name) }

// refresh makes known what is in the files, as far as that is not known and may be. It parses as
// many at a time as there are processors.
func (l *Loader) refresh(names []string) error {
	found := make([]*source, len(names))
	var failed []error
	var parsing errgroup.Group
	parsing.SetLimit(runtime.GOMAXPROCS(0))
	for n, name := range names {
		data, err := l.readIfChanged(name, &found[n])
		if err != nil {
			failed = append(failed, fmt.Errorf("reading the policy: %w", err))
		}
		if errors.Is(err, errNoAnswer) {
			break // each of the others would be waited for likewise
		}
		if s, old := found[n], l.known[name]; s != nil && s.fragment == nil {
			parsing.Go(func() error {
				s.parse(strictyaml.File{Name: name, Data: data}, old)
				return nil
			})
		}
	}
	_ = parsing.Wait() // what is wrong with a file is in its fragment
	for n, s := range found {
		if s != nil {
			l.known[names[n]] = s
		}
	}
	return errors.Join(failed...)
}

// readIfChanged finds out what is in a file, if that is not known and may be. It returns the text
// if that is to be parsed.
func (l *Loader) readIfChanged(name string, found **source) ([]byte, error) {
	if l.isSkipped(name) {
		return nil, nil
	}
	old := l.known[name]
	if old != nil && old.isSettled {
		info, err := l.patience.stat(name)
		if err != nil {
			return nil, err
		}
		if now, ok := identify(info); ok && now == old.identity {
			return nil, nil
		}
	}
	began := time.Now()
	data, info, err := l.patience.readFile(name)
	if err != nil || l.isSkipped(name) {
		return nil, err
	}
	now := &source{hash: sha256.Sum256(data)}
	now.content = contentOf(name, now.hash, data, info)
	if identity, ok := identify(info); ok {
		now.identity, now.isSettled = identity, identity.isSettled(began)
	}
	if old != nil && old.hash == now.hash {
		now.fragment = old.fragment
	}
	if !l.KeepText {
		now.content.Text = nil
	}
	*found = now
	return data, nil
}

// parse makes the fragment of a file whose content is new. old is what was known of it.
func (s *source) parse(file strictyaml.File, old *source) {
	s.fragment = policyfile.ParseFragment(file)
	if old != nil {
		s.fragment.Keep(old.fragment)
	}
}
