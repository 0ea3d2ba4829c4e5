// The store on disk. The daemon writes it and runs what it returns; commands read it, and write to
// it before they replace a policy. Invariant: a file of it is there whole or not at all.

package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config/policydir"
)

// The parts of the folder.
const (
	numbersFolder = "generations"
	filesFolder   = "files"
	lockFile      = "lock"

	folderMode = 0o700
	fileMode   = 0o600
)

// ErrNone says that no generation is kept.
var ErrNone = errors.New("no policy that was in force is kept")

// Store is the folder of one bridge's daemon. Its methods may be called from any goroutine and by
// several processes.
type Store struct {
	dir    string
	bridge string
	bounds Bounds
}

// Open returns the store in a folder, which is made when something is kept.
func Open(dir, bridge string, bounds Bounds) *Store {
	return &Store{dir: dir, bridge: bridge, bounds: bounds}
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *Store) numberPath(n int) string {
	return s.path(numbersFolder, fmt.Sprintf("%08d.json", n))
}

// lock makes the folders and waits until no other process writes.
func (s *Store) lock() (unlock func(), err error) {
	for _, dir := range []string{s.dir, s.path(numbersFolder), s.path(filesFolder)} {
		if err := os.MkdirAll(dir, folderMode); err != nil {
			return nil, err
		}
	}
	if err := trusted(s.dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path(lockFile), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// trusted says why what is at a path could be somebody else's, who would then choose what the
// daemon runs.
func trusted(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	uid, known := ownerOf(info)
	switch {
	case !known:
		return fmt.Errorf("%s: its owner is not known", path)
	case int(uid) != os.Geteuid():
		return fmt.Errorf("%s is of the user %d and not of this one, %d: it is not believed", path, uid,
			os.Geteuid())
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("%s may be written by others (mode %04o): it is not believed", path,
			info.Mode().Perm())
	}
	return nil
}

// read reads a file of the store that nobody else could have written.
func (s *Store) read(path string) ([]byte, error) {
	for _, dir := range []string{s.dir, filepath.Dir(path), path} {
		if err := trusted(dir); err != nil {
			return nil, err
		}
	}
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	return os.ReadFile(path)
}

// List returns the generations, oldest first, and an error that names those that cannot be read.
func (s *Store) List() ([]Generation, error) {
	numbers, err := s.numbers()
	var out []Generation
	var failed []error
	for _, n := range numbers {
		g, err := s.Get(n)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = append(out, g)
	}
	return out, errors.Join(append(failed, err)...)
}

// numbers are those of all generations that are there, in order.
func (s *Store) numbers() ([]int, error) {
	entries, err := os.ReadDir(s.path(numbersFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []int
	for _, e := range entries {
		name, isOne := strings.CutSuffix(e.Name(), ".json")
		if n, err := strconv.Atoi(name); err == nil && isOne {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, err
}

// Get returns a generation.
func (s *Store) Get(n int) (Generation, error) {
	path := s.numberPath(n)
	text, err := s.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Generation{}, fmt.Errorf("generation %d is not kept", n)
	}
	if err != nil {
		return Generation{}, fmt.Errorf("generation %d: %w", n, err)
	}
	g, err := decode(text, s.bridge)
	if err == nil && g.Number != n {
		err = fmt.Errorf("it is damaged: it says that it is generation %d", g.Number)
	}
	if err != nil {
		return Generation{}, fmt.Errorf("generation %d (%s): %w", n, path, err)
	}
	return g, nil
}

// Last returns the last generation that was in force; [ErrNone] if none is kept. One that cannot be
// believed is an error, and no older one takes its place: that could admit what was revoked since.
func (s *Store) Last() (Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return Generation{}, err
	}
	for _, n := range slices.Backward(numbers) {
		g, err := s.Get(n)
		if err != nil || g.Kind == InForce {
			return g, err
		}
	}
	return Generation{}, ErrNone
}

// Texts returns the content of the files of a generation, in their order.
func (s *Store) Texts(g Generation) ([][]byte, error) {
	out := make([][]byte, len(g.Files))
	for i, f := range g.Files {
		text, err := s.read(s.path(filesFolder, f.Sum))
		if err == nil && sumOf(text) != f.Sum {
			err = errors.New("it is damaged: its sum is not that of its content")
		}
		if err != nil {
			return nil, fmt.Errorf("generation %d: %s: %w", g.Number, f.Name, err)
		}
		out[i] = text
	}
	return out, nil
}

// Keep stores the files of a policy as the next generation, and lets go of what is beyond the
// bounds, but for the generations that are needed.
func (s *Store) Keep(g Generation, files []policydir.Content, needed ...int) (Generation, error) {
	unlock, err := s.lock()
	if err != nil {
		return g, fmt.Errorf("keep the policy: %w", err)
	}
	defer unlock()
	all, _ := s.List() // what cannot be read is not counted, and stays for who looks at it
	numbers, err := s.numbers()
	if err != nil {
		return g, fmt.Errorf("keep the policy: %w", err)
	}
	g.Number, g.Bridge = 1, s.bridge
	if len(numbers) > 0 {
		g.Number = numbers[len(numbers)-1] + 1
	}
	if g.Files, err = s.keepTexts(files); err == nil {
		err = writeFile(s.numberPath(g.Number), encode(g))
	}
	if err != nil {
		return g, fmt.Errorf("keep the policy: %w", err)
	}
	return g, s.drop(append(all, g), needed)
}

// Note writes a generation that is kept anew: who gained and lost access by it.
func (s *Store) Note(g Generation) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Get(g.Number); err != nil {
		return nil // it was let go of meanwhile
	}
	return writeFile(s.numberPath(g.Number), encode(g))
}

// keepTexts stores the texts that are not there yet. They outlive a crash when it returns.
func (s *Store) keepTexts(files []policydir.Content) ([]File, error) {
	out := make([]File, len(files))
	for i, f := range files {
		out[i] = File{Name: filepath.Base(f.Path), Sum: f.Sum, Size: f.Size,
			Mode: uint32(f.Mode.Perm()), UID: f.UID, GID: f.GID, Changed: f.Changed}
		path := s.path(filesFolder, f.Sum)
		if known, err := s.read(path); err == nil && sumOf(known) == f.Sum {
			continue
		}
		text := f.Text
		if text == nil { // it was handed out before, and not kept then
			var err error
			if text, err = policydir.ReadFile(f.Path); err != nil {
				return nil, err
			}
		}
		if sumOf(text) != f.Sum {
			return nil, fmt.Errorf("%s has changed meanwhile", f.Path)
		}
		if err := putFile(path, text); err != nil {
			return nil, err
		}
	}
	return out, syncFolder(s.path(filesFolder))
}

// drop removes what is beyond the bounds, and texts that no generation has.
func (s *Store) drop(all []Generation, needed []int) error {
	kept := retain(all, s.bounds, needed...)
	texts, numbers := map[string]bool{}, map[int]bool{}
	for _, g := range kept {
		numbers[g.Number] = true
		for _, f := range g.Files {
			texts[f.Sum] = true
		}
	}
	var failed []error
	for _, g := range all {
		if !numbers[g.Number] {
			failed = append(failed, os.Remove(s.numberPath(g.Number)))
		}
	}
	entries, err := os.ReadDir(s.path(filesFolder))
	failed = append(failed, err)
	for _, e := range entries {
		if !texts[e.Name()] {
			failed = append(failed, os.Remove(s.path(filesFolder, e.Name())))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("let go of old policies: %w", err)
	}
	return nil
}
