// What a generation is, and its text in the store. Pure. Invariant: a text whose sum is not its
// own, or that another bridge's daemon wrote, is no generation.

package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// format is the version of what the store writes. A store of a newer one is not read.
const format = 1

// Kind says why a generation is kept.
type Kind string

// The kinds of generations.
const (
	InForce Kind = "in force" // the daemon took it
	// it stood in the policy's place, was not in force, and was about to be replaced
	Found Kind = "found"
)

// Generation is one version of the policy's files.
type Generation struct {
	Format int    `json:"format"`
	Number int    `json:"number"` // counted from 1
	Kind   Kind   `json:"kind"`
	Bridge string `json:"bridge"` // whose policy it is
	Source string `json:"source"` // the path that the settings named
	// whether Source is a folder
	Folder bool      `json:"folder,omitempty"`
	Digest string    `json:"digest"` // that of policydir.Loader
	At     time.Time `json:"at"`     // when it came into force, or was found
	By     string    `json:"by,omitempty"`
	Note   string    `json:"note,omitempty"` // such as "rollback to 3"
	Files  []File    `json:"files"`          // by name
	Access *Access   `json:"access,omitempty"`
	Sum    string    `json:"sum"` // of all else
}

// File is one file of a generation. Its text is in the store under its sum.
type File struct {
	Name    string    `json:"name"` // without its folder
	Sum     string    `json:"sha256"`
	Size    int64     `json:"size"` // bytes
	Mode    uint32    `json:"mode"` // permissions
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	Changed time.Time `json:"changed"` // when it was written
}

// Access says who gained and who lost what by a generation.
type Access struct {
	Gained int      `json:"gained"` // how many lines
	Lost   int      `json:"lost"`
	Ports  int      `json:"ports"`           // that are not what they were
	Lines  []string `json:"lines,omitempty"` // the first of them
}

// Summary is all of it in lines, the first of which has the counts.
func (a *Access) Summary() string {
	return strings.Join(append([]string{fmt.Sprintf("%d gained, %d lost", a.Gained, a.Lost)},
		a.Lines...), "\n")
}

// encode returns the text of a generation, with its sum.
func encode(g Generation) []byte {
	g.Format, g.Sum = format, ""
	g.Sum = sumOf(plain(g))
	return plain(g)
}

func plain(g Generation) []byte {
	text, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		panic(err) // of numbers, texts and times
	}
	return append(text, '\n')
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// decode reads the text of a generation of a bridge.
func decode(text []byte, bridge string) (Generation, error) {
	var version struct {
		Format int `json:"format"`
	}
	var g Generation
	if err := json.Unmarshal(text, &version); err != nil {
		return g, fmt.Errorf("it is damaged: %w", err)
	}
	if version.Format != format {
		return g, fmt.Errorf("it has the format %d, and this portcullis reads %d: another version "+
			"has written it", version.Format, format)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("it is damaged: %w", err)
	}
	sum := g.Sum
	if g.Sum = ""; sum != sumOf(plain(g)) {
		return g, fmt.Errorf("it is damaged: its sum is not that of its content")
	}
	g.Sum = sum
	if g.Bridge != bridge {
		return g, fmt.Errorf("it is of the bridge %q, and this is %q: it is not this daemon's",
			g.Bridge, bridge)
	}
	for _, f := range g.Files {
		if f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") || f.Name == "/" {
			return g, fmt.Errorf("it is damaged: %q is no name of a file", f.Name)
		}
	}
	return g, nil
}

// Path is where a file of the generation stood.
func (g Generation) Path(f File) string {
	if !g.Folder {
		return g.Source
	}
	return filepath.Join(g.Source, f.Name)
}

// Bytes is the size of all files.
func (g Generation) Bytes() (n int64) {
	for _, f := range g.Files {
		n += f.Size
	}
	return n
}
