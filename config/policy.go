package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// File is the content of one policy file. Name is used in positions only.
type File struct {
	Name string
	Data []byte
}

// Fragment is what one policy file says, checked as far as one file alone can be. It never changes once made.
type Fragment struct {
	report
	groups    []rawGroup
	instances []rawInstance
	// incomplete = groups may be missing because the file could not be read to its end.
	incomplete bool
}

// Parse reads one policy file. What is wrong with it is kept in the fragment and returned by [Join], together with what is wrong
// with the others.
func Parse(file File) *Fragment {
	out := &Fragment{}
	root, ok := document(file, &out.report)
	if !ok {
		out.incomplete = true
		return out
	}
	if root.isEmpty() {
		// Not taken for an empty policy, which would close every port: it may be a file that is just being written.
		top := spot{pos: policy.Position{File: file.Name, Line: 1, Column: 1}}
		out.errorf(top, "the file has no content; an empty policy is written as groups: []")
		out.incomplete = true
		return out
	}
	f, ok := root.fields(policyKeys...)
	if !ok {
		out.incomplete = true
		return out
	}
	if g, ok := f["groups"]; ok {
		entries, isList := g.entries()
		out.incomplete = !isList
		for _, e := range entries {
			out.groups = append(out.groups, e.group())
		}
	}
	if i, ok := f["instances"]; ok {
		entries, _ := i.entries()
		for _, e := range entries {
			out.instances = append(out.instances, e.instance())
		}
	}
	return out
}

// ParsePolicy reads one policy from the files. It does no I/O. The error, if any, is of type [Errors] and holds every mistake of
// every file; there is no policy then. The warnings are returned in either case.
func ParsePolicy(files []File) (*policy.Policy, Warnings, error) {
	fragments := make([]*Fragment, len(files))
	for i, f := range files {
		fragments[i] = Parse(f)
	}
	return Join(fragments)
}

// LoadPolicy reads the policy file at path or, if path is a folder, all its *.yaml files as one policy (not those of its
// sub-folders, nor hidden ones). Errors are of type [Errors] if all files could be read, else of the file system.
func LoadPolicy(path string) (*policy.Policy, Warnings, error) {
	return new(Loader).Load(path)
}

// Loader loads one policy again and again, and parses only the files whose content has changed since the last time.
// The zero Loader is ready. It must not be used by two goroutines at once.
type Loader struct {
	known map[string]loaded // by file name
}

type loaded struct {
	data     []byte
	fragment *Fragment
}

// Load is [LoadPolicy], remembering what it read.
func (l *Loader) Load(path string) (*policy.Policy, Warnings, error) {
	names, strays, err := policyFiles(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the policy: %w", err)
	}
	now, fragments := make(map[string]loaded, len(names)), make([]*Fragment, 0, len(names)+1)
	var failed []error
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			failed = append(failed, fmt.Errorf("reading the policy: %w", err))
			continue
		}
		file, same := l.known[name]
		if !same || !bytes.Equal(file.data, data) {
			file = loaded{data, Parse(File{name, data})}
		}
		now[name] = file
		fragments = append(fragments, file.fragment)
	}
	if failed != nil {
		return nil, nil, errors.Join(failed...)
	}
	l.known = now
	return Join(append(fragments, strays))
}

// policyFiles returns the files that a path stands for, sorted, and a fragment with warnings of what is not read but looks as if it
// was meant to be.
func policyFiles(path string) (names []string, strays *Fragment, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	strays = &Fragment{}
	if !info.IsDir() {
		return []string{path}, strays, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case filepath.Ext(name) == ".yaml":
			names = append(names, name)
		case filepath.Ext(name) == ".yml":
			at := spot{pos: policy.Position{File: name, Line: 1, Column: 1}}
			strays.warnf(at, "the file is not read; only files whose names end in .yaml are")
		}
	}
	if len(names) == 0 {
		// Not an empty policy: more likely a folder that is not mounted yet.
		return nil, nil, fmt.Errorf("%s: %w: the folder has no *.yaml file", path, fs.ErrNotExist)
	}
	return names, strays, nil
}

// readFile reads a regular file up to one byte more than is accepted.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
