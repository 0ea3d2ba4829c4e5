// How files are put into a policy's place. The daemon takes a policy back by it, rollback and apply
// put theirs there. Invariant: after an error what was there before is there, as far as the file
// system lets it be; each file is the old one or the new one at any time.

package history

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/portcullis/portcullis/config/policydir"
)

// Placing is a set of files on their way into a policy's place. Those that are there as they should
// be are not touched.
type Placing struct {
	writes  []policydir.Content
	removes []policydir.Content
	before  map[string]policydir.Content // by path
	staged  []*renameio.PendingFile      // as writes
}

// NewPlacing says how the files in a policy's place become others. Texts are needed of all of them;
// nothing is written yet.
func NewPlacing(before, after []policydir.Content) *Placing {
	p := &Placing{before: map[string]policydir.Content{}}
	for _, f := range before {
		p.before[f.Path] = f
		if !slices.ContainsFunc(after, func(a policydir.Content) bool { return a.Path == f.Path }) {
			p.removes = append(p.removes, f)
		}
	}
	for _, f := range after {
		if old, isThere := p.before[f.Path]; !isThere || old.Sum != f.Sum {
			p.writes = append(p.writes, f)
		}
	}
	return p
}

// Changes returns the paths that are written, and those that are removed.
func (p *Placing) Changes() (written, removed []string) {
	for _, f := range p.writes {
		written = append(written, f.Path)
	}
	for _, f := range p.removes {
		removed = append(removed, f.Path)
	}
	return written, removed
}

// Run puts the files in place: all are written beside the old ones first, then each takes its
// place.
func (p *Placing) Run() error {
	defer p.discard()
	for _, f := range p.writes {
		if err := p.stage(f); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
	}
	for i, f := range p.writes {
		if err := p.staged[i].CloseAtomicallyReplace(); err != nil {
			return p.undo(f.Path, err)
		}
	}
	for _, f := range p.removes {
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return p.undo(f.Path, err)
		}
	}
	return p.sync()
}

// stage writes a file beside its place, with the owner and permissions of the one that is there.
func (p *Placing) stage(f policydir.Content) error {
	target := f.Path
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real // a link stays one
	}
	if info, err := os.Stat(target); err == nil {
		f.Mode = info.Mode()
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			f.UID, f.GID = s.Uid, s.Gid
		}
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(target, renameio.WithTempDir(filepath.Dir(target)),
		renameio.WithStaticPermissions(f.Mode.Perm()))
	if err != nil {
		return err
	}
	p.staged = append(p.staged, file)
	if _, err := file.Write(f.Text); err != nil {
		return err
	}
	if int(f.UID) == os.Geteuid() && int(f.GID) == os.Getegid() {
		return nil
	}
	if err := file.Chown(int(f.UID), int(f.GID)); err != nil {
		return fmt.Errorf("%s is of the user %d, and would not be after: %w", target, f.UID, err)
	}
	return nil
}

func (p *Placing) discard() {
	for _, file := range p.staged {
		_ = file.Cleanup() // of those that have not taken their place
	}
}

// undo puts back what was there before, after a file failed.
func (p *Placing) undo(path string, cause error) error {
	failed := []error{fmt.Errorf("put the files in place: %w", cause)}
	for _, f := range slices.Concat(p.writes, p.removes) {
		old, wasThere := p.before[f.Path]
		now, err := os.ReadFile(f.Path)
		switch {
		case wasThere && (err != nil || !bytes.Equal(now, old.Text)):
			back := &Placing{writes: []policydir.Content{old}}
			err = back.stage(old)
			if err == nil {
				err = back.staged[0].CloseAtomicallyReplace()
			}
			back.discard()
		case !wasThere && err == nil:
			err = os.Remove(f.Path)
		default:
			err = nil
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("and %s could not be put back: %w", f.Path, err))
		}
	}
	if len(failed) == 1 {
		return fmt.Errorf("nothing was changed: %s: %w", path, cause)
	}
	return errors.Join(failed...)
}

// sync has the names outlive a crash.
func (p *Placing) sync() error {
	folders := map[string]bool{}
	for _, f := range slices.Concat(p.writes, p.removes) {
		folders[filepath.Dir(f.Path)] = true
	}
	var failed []error
	for folder := range folders {
		failed = append(failed, syncFolder(folder))
	}
	return errors.Join(failed...)
}

// Target returns the files of a generation as they would stand in a policy's place: a file, or a
// folder, as the generation's was.
func (s *Store) Target(g Generation, path string) ([]policydir.Content, error) {
	info, err := os.Stat(path)
	isFolder := err == nil && info.IsDir()
	switch {
	case isFolder && !g.Folder:
		return nil, fmt.Errorf("generation %d is one file, and %s is a folder", g.Number, path)
	case err == nil && !isFolder && g.Folder:
		return nil, fmt.Errorf("generation %d is a folder of %d files, and %s is a file", g.Number,
			len(g.Files), path)
	}
	texts, err := s.Texts(g)
	if err != nil {
		return nil, err
	}
	out := make([]policydir.Content, len(texts))
	for i, f := range g.Files {
		out[i] = policydir.Content{Path: path, Sum: f.Sum, Size: f.Size, Text: texts[i],
			Mode: fs.FileMode(f.Mode), UID: f.UID, GID: f.GID, Changed: f.Changed}
		if g.Folder {
			out[i].Path = filepath.Join(path, f.Name)
		}
	}
	return out, nil
}
