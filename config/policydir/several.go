// A policy of files and folders that somebody names, rather than the settings.

package policydir

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// LoadPart is [Load] of what is to be put into a larger policy: its rules may name groups of
// projects that it does not declare.
func LoadPart(path string) (*policy.Policy, strictyaml.Warnings, error) {
	l := Loader{joiner: policyfile.Joiner{NamesOthers: true}}
	return l.Load(path)
}

// LoadAll reads files, and all that [Load] reads of folders, as one policy. The order in which they
// are named does not matter, nor does it that one is named twice. Errors are those of [Load].
func LoadAll(paths []string) (*policy.Policy, strictyaml.Warnings, error) {
	if len(paths) == 1 {
		return Load(paths[0])
	}
	l := Loader{known: make(map[string]*source)}
	var names []string
	var strays strictyaml.Warnings
	for _, path := range paths {
		files, warnings, err := l.patience.policyFiles(filepath.Clean(path))
		if err != nil {
			return nil, nil, fmt.Errorf("reading the policy: %w", err)
		}
		names, strays = append(names, files...), append(strays, warnings...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if err := l.refresh(names); err != nil {
		return nil, nil, err
	}
	fragments := make([]*policyfile.Fragment, len(names))
	for n, name := range names {
		fragments[n] = l.known[name].fragment
	}
	p, warnings, err := policyfile.Join(fragments)
	all := strictyaml.Report{Warnings: append(strays, warnings...)}
	_, warnings = all.Sorted()
	return p, warnings, err
}
