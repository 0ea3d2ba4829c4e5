package apiclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"
)

// The servers that somebody works with. The command context writes this, all others read it.
// Invariant: a file that others could read is not read, as its tokens would be theirs.

// Context is a server, and who asks it.
type Context struct {
	Name   string `yaml:"name"`
	Server string `yaml:"server"`
	Token  string `yaml:"token,omitempty"`
	CA     string `yaml:"ca,omitempty"` // a file
}

// Contexts are what the file has.
type Contexts struct {
	Current string    `yaml:"current,omitempty"` // a name; "" = none
	List    []Context `yaml:"contexts"`
}

// ownMode is what the file may have: it is its owner's alone.
const ownMode = 0o600

// ContextsFile is where the contexts of this user are; "" = the user has no home.
func ContextsFile() string {
	dir, err := os.UserConfigDir() // $XDG_CONFIG_HOME, or ~/.config
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "portcullis", "contexts.yaml")
}

// ReadContexts reads the file; one that is not there has none.
func ReadContexts(file string) (Contexts, error) {
	var out Contexts
	if file == "" {
		return out, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return out, err
	}
	if mode := info.Mode().Perm(); mode&^ownMode != 0 {
		return out, fmt.Errorf("%s: has the mode %04o, and tokens in it are for you alone: chmod 600 %s",
			file, mode, file)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return out, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return out, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

// Write replaces the file.
func (c Contexts) Write(file string) error {
	if file == "" {
		return errors.New("there is no folder for settings of yours: set HOME or XDG_CONFIG_HOME")
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(file, text, ownMode, renameio.IgnoreUmask())
}

// Find finds a context; "" = the current one, and nil = there is none.
func (c Contexts) Find(name string) (*Context, error) {
	if name == "" && c.Current == "" {
		return nil, nil //nolint:nilnil // nobody has chosen one
	}
	if name == "" {
		name = c.Current
	}
	n := slices.IndexFunc(c.List, func(one Context) bool { return one.Name == name })
	if n < 0 {
		return nil, fmt.Errorf("there is no context %q; there are %s", name, c.names())
	}
	return &c.List[n], nil
}

func (c Contexts) names() string {
	var out []string
	for _, one := range c.List {
		out = append(out, one.Name)
	}
	if len(out) == 0 {
		return "none: add one with 'portcullis context add NAME --server URL --token TOKEN'"
	}
	return strings.Join(out, ", ")
}
