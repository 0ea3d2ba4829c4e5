// The text of a policy's files, for who keeps it. Called by the daemon after each policy that is
// valid.

package policydir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Content is a file of a policy as it was read.
type Content struct {
	Path    string // as the loader knows it
	Sum     string // SHA-256 of the text, in hexadecimal
	Size    int64  // bytes
	Text    []byte // nil = it was returned before, or is not kept
	Mode    fs.FileMode
	UID     uint32
	GID     uint32
	Changed time.Time // when it was written
}

func contentOf(name string, sum [sha256.Size]byte, text []byte, info fs.FileInfo) Content {
	c := Content{Path: name, Sum: hex.EncodeToString(sum[:]), Size: int64(len(text)), Text: text,
		Mode: info.Mode(), Changed: info.ModTime()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		c.UID, c.GID = s.Uid, s.Gid
	}
	return c
}

// Content returns the files of which the last Load made what it returned, by name. Each text is
// returned once: the loader forgets it then.
func (l *Loader) Content() []Content {
	var out []Content
	for _, name := range slices.Sorted(maps.Keys(l.known)) {
		s := l.known[name]
		out = append(out, s.content)
		s.content.Text = nil
	}
	return out
}

// Contents reads the files at path as they are, valid or not, by name: none if nothing is there.
func Contents(path string) (files []Content, err error) {
	var p patience
	names, _, err := p.policyFiles(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, info, err := p.readFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, contentOf(name, sha256.Sum256(text), text, info))
	}
	return files, nil
}

// Digest is the short name of files, by name, that a [Loader] gives them.
func Digest(files []Content) string {
	all := sha256.New()
	for _, f := range files {
		fmt.Fprintf(all, "%q %s\n", filepath.Base(f.Path), f.Sum)
	}
	return hex.EncodeToString(all.Sum(nil)[:8])
}
