// The record of a policy on trial. The daemon writes it and obeys it, also after a restart.
// Invariant: what is on trial is in the store before a file of it is put in place.

package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Trial is a policy that is put into the place of another, which comes back unless somebody says in
// time that it need not.
type Trial struct {
	Format int    `json:"format"`
	Bridge string `json:"bridge"`
	Digest string `json:"digest"` // of the files that are tried
	// the generation that was in force before, and comes back
	Back  int       `json:"back"`
	Began time.Time `json:"began"`
	// when it is taken back: of a policy that is to be confirmed, else of files that are not all in
	// place by then
	Until time.Time `json:"until"`
	// nobody has to confirm it: it ends when the files are in place
	Unasked bool   `json:"unasked,omitempty"`
	Placed  bool   `json:"placed,omitempty"` // the files were in place, and came into force
	By      string `json:"by,omitempty"`
	Note    string `json:"note,omitempty"` // such as "rollback to 3"
	Taken   *Taken `json:"taken,omitempty"`
}

// Taken says that a trial was taken back. It stays until other files are in the place of those that
// the trial altered.
type Taken struct {
	At time.Time `json:"at"`
	// of the files that are not in force any more; "" = there were no valid ones
	Refused string `json:"refused"`
	// of what was in the policy's place, valid or not; "" = that could not be read
	Found string `json:"found"`
	Why   string `json:"why"`
}

// trialFile is its place in the store.
const trialFile = "trial.json"

// Trial returns the policy on trial; nil = there is none.
func (s *Store) Trial() (*Trial, error) {
	path := s.path(trialFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := trusted(s.dir); err != nil {
		return nil, err
	}
	if err := trusted(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &Trial{}
	switch err := json.Unmarshal(text, t); {
	case err != nil:
		return nil, fmt.Errorf("%s: it is damaged: %w", path, err)
	case t.Format != format:
		return nil, fmt.Errorf("%s: it has the format %d, and this portcullis reads %d", path,
			t.Format, format)
	case t.Bridge != s.bridge:
		return nil, fmt.Errorf("%s: it is of the bridge %q, and this is %q", path, t.Bridge,
			s.bridge)
	}
	return t, nil
}

// SetTrial writes the policy on trial; nil = there is none any more.
func (s *Store) SetTrial(t *Trial) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	path := s.path(trialFile)
	if t == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncFolder(s.dir)
	}
	t.Format, t.Bridge = format, s.bridge
	text, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}
