// How a file is written so that a crash leaves the old one or the new one. Called by all that
// writes in this package.

package history

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// writeFile writes a file of the store, which outlives a crash when it returns.
func writeFile(path string, text []byte) error {
	if err := putFile(path, text); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// putFile writes a file of the store. Its text outlives a crash, and its name does when its folder
// is synced.
func putFile(path string, text []byte) error {
	return renameio.WriteFile(path, text, fileMode, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithStaticPermissions(fileMode))
}

// syncFolder has the names in a folder outlive a crash.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// ownerOf returns the user that a file is of.
func ownerOf(info fs.FileInfo) (uid uint32, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, true
}
