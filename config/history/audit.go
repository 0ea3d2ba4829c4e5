// The audit: a file of one line of JSON for each policy that came into force. The daemon writes it.
// Invariant: a line is written whole, or not at all as far as a reader sees.

package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is one line of the audit.
type Entry struct {
	At         time.Time `json:"at"`
	Bridge     string    `json:"bridge"`
	Generation int       `json:"generation"`
	Digest     string    `json:"digest"`
	By         string    `json:"by,omitempty"`
	Note       string    `json:"note,omitempty"`
	Files      []Source  `json:"files"` // that are not as they were before
	Gained     int       `json:"gained"`
	Lost       int       `json:"lost"`
	Access     []string  `json:"access"`
}

// Source is a file that changed, and whose it is.
type Source struct {
	Path    string    `json:"path"`
	UID     uint32    `json:"uid"`
	Changed time.Time `json:"changed"`
}

// AuditFile is the audit in the store's folder; the one before has .1 behind its name.
const AuditFile = "audit.jsonl"

// Audit appends a line. A file that has half of the bytes that a store may have becomes the one
// before, which is let go of.
func (s *Store) Audit(e Entry) error {
	unlock, err := s.lock()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer unlock()
	e.Bridge = s.bridge
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	path := s.path(AuditFile)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("audit: %w", err)
	case info.Size()+int64(len(line)) > s.bounds.Bytes/2 && info.Size() > 0:
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
