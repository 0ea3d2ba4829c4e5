package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// A change is told when nothing more happened for quietTime, so that a file is not read while it is being written, and at the
	// latest after busyTime.
	quietTime = 100 * time.Millisecond
	busyTime  = time.Second
)

// Files is the policy in a file, or in a folder of files. It implements [Policy].
type Files struct {
	path    string
	loader  config.Loader
	log     *logrus.Entry
	changed signal
}

// NewFiles returns the policy at path; it watches nothing until Run.
func NewFiles(path string, log *logrus.Entry) *Files {
	return &Files{path: path, log: log, changed: newSignal()}
}

// Load reads the files; it parses those whose content changed. Not for two goroutines at once.
func (f *Files) Load() (*policy.Policy, config.Warnings, error) { return f.loader.Load(f.path) }

// Changed has one slot, filled when the files may have changed.
func (f *Files) Changed() <-chan struct{} { return f.changed }

// Run watches the files until ctx ends, and returns nil then. Folders are watched rather than files, so that a file that is replaced
// by another (rename, a symbolic link that is turned) is seen as well as one that is written in place.
func (f *Files) Run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the policy: %w", err)
	}
	defer watcher.Close()
	f.watch(watcher)
	quiet := time.NewTimer(quietTime) // what changed before the watch began is looked at once
	var busySince time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-watcher.Events:
			if !ok {
				return fmt.Errorf("watch the policy: %w", fsnotify.ErrClosed)
			}
			if busySince.IsZero() {
				busySince = time.Now()
			}
			if time.Since(busySince) < busyTime {
				quiet.Reset(quietTime)
			}
		case err := <-watcher.Errors:
			f.log.WithError(err).Warn("changes of the policy may have been missed; looking at once")
			quiet.Reset(0)
		case <-quiet.C:
			busySince = time.Time{}
			f.watch(watcher) // a folder may be a new one of the same name
			f.changed.set()
		}
	}
}

// watch adds the folders that are not watched yet. One that is missing is no failure: the regular look at the files goes on.
func (f *Files) watch(w *fsnotify.Watcher) {
	for _, folder := range f.folders() {
		if err := w.Add(folder); err != nil {
			f.log.WithError(err).WithField("folder", folder).Debug("folder not watched")
		}
	}
}

// folders returns where a change of the policy can happen: where its name stands, where that leads to, and the policy itself if it is
// a folder.
func (f *Files) folders() []string {
	out := []string{filepath.Dir(f.path)}
	real, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return out
	}
	if real != f.path {
		out = append(out, filepath.Dir(real))
	}
	if info, err := os.Stat(real); err == nil && info.IsDir() {
		out = append(out, real)
	}
	return out
}
