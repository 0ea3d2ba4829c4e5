package policydir

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// pauseTime is how long a file that went away counts as it was: editors and version control take a
// file away and then write the new one, and in between its instances must not lose their ports.
const pauseTime = 100 * time.Millisecond

// Files is the policy in a file, or in a folder of files.
//
// A file is read when it is complete: it was closed by who wrote it, or was moved into place. While
// somebody writes it, what was read before counts; so does a file that went away, for a moment. All
// of that is told by the kernel, so that nothing has to be waited for otherwise. A file that
// somebody was writing before Run began is read as it is.
type Files struct {
	path    string
	loader  Loader
	log     *logrus.Entry
	changed chan struct{} // has one slot

	mu       sync.Mutex
	notifier *notifier // nil before Run and after
	names    fileNames
	skipped  map[string]*skip // by the name that the loader has for it
	bridged  bool             // the last Load counted a file as it was that went away
}

// skip says why a file is not to be looked at.
type skip struct {
	until *time.Timer // ends a pause; nil = somebody is writing it
}

// NewFiles returns the policy at path; it watches nothing until Run.
func NewFiles(path string, log *logrus.Entry) *Files {
	f := &Files{path: path, log: log, changed: make(chan struct{}, 1), skipped: make(map[string]*skip)}
	f.loader.Skip, f.loader.KeepText = f.isSkipped, true
	return f
}

// Load reads the files that may have changed. Not for two goroutines at once.
func (f *Files) Load() (*policy.Policy, strictyaml.Warnings, error) {
	defer f.logWriters()
	f.mu.Lock()
	f.bridged = false
	f.mu.Unlock()
	return f.loader.Load(f.path)
}

// logWriters names the files that were left as they were because somebody has not closed them.
func (f *Files) logWriters() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, h := range f.skipped {
		if h.until == nil {
			f.log.WithField("file", name).Info("the file is being written; " +
				"what was read of it before counts until it is closed")
		}
	}
}

// Whole says whether the last Load returned what the files said. It did not while a file that went
// away counts as it was for a moment more; Changed is filled when that is over.
func (f *Files) Whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.bridged
}

// Digest is that of [Loader]. Not at the same time as Load.
func (f *Files) Digest() string { return f.loader.Digest() }

// Content is that of [Loader]. Not at the same time as Load.
func (f *Files) Content() []Content { return f.loader.Content() }

// Changed has one slot, filled when the files have changed.
func (f *Files) Changed() <-chan struct{} { return f.changed }

func (f *Files) signal() {
	select {
	case f.changed <- struct{}{}:
	default: // it was told already
	}
}

// Run watches the files until ctx ends, and returns nil then. Folders are watched rather than
// files, so that a file that is replaced by another (rename, a symbolic link that is turned) is
// seen as well as one that is written in place.
func (f *Files) Run(ctx context.Context) error {
	n, err := newNotifier()
	if err != nil {
		return fmt.Errorf("watch the policy: %w", err)
	}
	f.mu.Lock()
	f.notifier = n
	f.watch()
	f.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = n.close() })
	defer stop()
	f.signal() // what changed before the watch began is looked at once
	err = n.wait(func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.drain()
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notifier = nil
	f.unskipAll()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch the policy: %w", errors.Join(err, n.close()))
}

// isSkipped answers the loader. It looks at what has happened until now, so that a file that is
// being written is never read by chance.
func (f *Files) isSkipped(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drain()
	h, isSkipped := f.skipped[name]
	f.bridged = f.bridged || isSkipped && h.until != nil
	return isSkipped
}

// drain handles the events that are there, and says whether there will be no more of them.
func (f *Files) drain() (ended bool) {
	if f.notifier == nil {
		return true
	}
	events, err := f.notifier.pending()
	for _, e := range events {
		f.handle(e)
	}
	return err != nil
}

func (f *Files) handle(e event) {
	name, isFile := f.names.of(e)
	switch {
	case e.folder == "":
		f.log.Warn("changes of the policy may have been missed; looking at all of it")
		f.unskipAll()
		f.rewatch()
	case isFile:
		f.handleFile(name, e)
	// another file, such as a log
	case e.mask&(unix.IN_CLOSE_WRITE|unix.IN_MODIFY|unix.IN_ATTRIB) != 0:
	case e.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0, f.names.isOnTheWay(e):
		f.rewatch()
	}
}

// handleFile handles what happened to a file of the policy.
func (f *Files) handleFile(name string, e event) {
	switch {
	case e.mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0:
		f.unskip(name)
		if info, err := os.Lstat(filepath.Join(e.folder, e.name)); err == nil &&
			info.Mode().IsRegular() {
			f.signal()
			return
		}
		f.rewatch()
	case e.mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		f.pause(name)
	case e.mask&unix.IN_MODIFY != 0:
		f.unskip(name)
		f.skipped[name] = &skip{} // until it is closed
	case e.mask&unix.IN_CREATE != 0:
		f.handleNew(name, filepath.Join(e.folder, e.name))
	default: // it can be read now and could not before, or the other way round
		f.signal()
	}
}

// handleNew handles a name that was not there before. A file is mostly made to be written, and
// closed then; a link is complete as it comes, and it cannot be told from a file that has content
// already.
func (f *Files) handleNew(name, path string) {
	info, err := os.Lstat(path)
	switch {
	case err != nil: // it is gone again, which is told too
	case !info.Mode().IsRegular():
		f.unskip(name)
		f.rewatch()
	case info.Size() == 0:
		f.unskip(name)
		f.skipped[name] = &skip{}
	default:
		f.pause(name)
	}
}

// pause skips a file until something happens to it, or nothing does for pauseTime.
func (f *Files) pause(name string) {
	f.unskip(name)
	h := &skip{}
	h.until = time.AfterFunc(pauseTime, func() { f.resume(name, h) })
	f.skipped[name] = h
}

// rewatch tells that something changed, maybe what is to be watched too.
func (f *Files) rewatch() {
	f.watch()
	f.signal()
}

func (f *Files) unskip(name string) {
	if h := f.skipped[name]; h != nil && h.until != nil {
		h.until.Stop()
	}
	delete(f.skipped, name)
}

// unskipAll skips no file any more.
func (f *Files) unskipAll() {
	for name := range maps.Clone(f.skipped) {
		f.unskip(name)
	}
}

// resume ends a pause.
func (f *Files) resume(name string, why *skip) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.skipped[name] == why {
		delete(f.skipped, name)
		f.signal()
	}
}

// watch watches every folder where a change can happen. One that is missing is no failure: it is
// looked for again.
func (f *Files) watch() {
	f.names = namesOf(f.path)
	for folder := range f.names.folders {
		if err := f.notifier.watch(folder); err != nil {
			f.log.WithError(err).WithField("folder", folder).Debug("folder not watched")
		}
	}
}

// fileNames are the folders in which a change of the policy can happen, and what the files there
// are to the loader.
type fileNames struct {
	path string
	real string // the policy's folder, if it is one, where links lead to
	// by folder and name in it: the loader's name; "" = the way to the policy
	folders map[string]map[string]string
}

// namesOf finds them: where the policy's name stands, where that leads to, the policy itself if it
// is a folder, and where links in it lead to.
func namesOf(path string) fileNames {
	out := fileNames{path: path, folders: make(map[string]map[string]string)}
	real, err := filepath.EvalSymlinks(path)
	info, statErr := os.Stat(path)
	isFolder := err == nil && statErr == nil && info.IsDir()
	if !isFolder {
		out.add(path, path)
		if err == nil {
			out.add(real, path)
		}
		return out
	}
	out.add(path, "")
	out.add(real, "")
	out.real = real
	out.folders[real] = map[string]string{}
	entries, _ := os.ReadDir(real) // the loader says why not
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 || filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		if target, err := filepath.EvalSymlinks(filepath.Join(real, e.Name())); err == nil {
			out.add(target, filepath.Join(path, e.Name()))
		}
	}
	return out
}

func (n fileNames) add(file, name string) {
	folder := filepath.Dir(file)
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real // one spelling, as the kernel knows only one watch of a folder
	}
	if n.folders[folder] == nil {
		n.folders[folder] = make(map[string]string)
	}
	n.folders[folder][filepath.Base(file)] = name
}

// of returns the loader's name for the file of an event, if it is one of the policy's.
func (n fileNames) of(e event) (string, bool) {
	if name := n.folders[e.folder][e.name]; name != "" {
		return name, true
	}
	isPolicy := e.folder == n.real && n.real != "" && filepath.Ext(e.name) == ".yaml" &&
		!strings.HasPrefix(e.name, ".")
	return filepath.Join(n.path, e.name), isPolicy && e.mask&unix.IN_ISDIR == 0
}

// isOnTheWay says whether an event may have changed where the policy's names lead: links and
// folders that came or went.
func (n fileNames) isOnTheWay(e event) bool {
	if _, ok := n.folders[e.folder][e.name]; ok {
		return true
	}
	info, err := os.Lstat(filepath.Join(e.folder, e.name))
	return err == nil && !info.Mode().IsRegular()
}
