package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	seen := "" // nothing yet
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
			if now := f.fingerprint(); now != seen {
				seen = now
				f.changed.set()
			}
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

// fingerprint is what the files look like from outside: other files of the same folder, such as a log, do not concern us. A file that is
// written after its fingerprint was taken has another time, because nothing happened for quietTime before.
func (f *Files) fingerprint() string {
	names := []string{f.path}
	if entries, err := os.ReadDir(f.path); err == nil {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".yaml") {
				names = append(names, filepath.Join(f.path, e.Name()))
			}
		}
		names = names[1:]
	}
	out := fmt.Sprint(len(names))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			out += fmt.Sprintf("|%s: %v", name, err)
			continue
		}
		out += fmt.Sprintf("|%s: %s %d %d %d", name, info.Mode(), info.Size(), info.ModTime().UnixNano(), inode(info))
	}
	return out
}

// inode tells a file from another of the same name, size and time.
func inode(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
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
