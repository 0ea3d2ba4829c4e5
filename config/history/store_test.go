package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
)

// kept is a store beside a policy folder.
type kept struct {
	t     *testing.T
	store *Store
	path  string
}

func newKept(t *testing.T, b Bounds) *kept {
	t.Helper()
	dir := t.TempDir()
	k := &kept{t, Open(filepath.Join(dir, "state"), "br-int", b), filepath.Join(dir, "policy")}
	require.NoError(t, os.Mkdir(k.path, 0o755))
	return k
}

// write makes the folder hold these files: name, text, name, text.
func (k *kept) write(files ...string) {
	k.t.Helper()
	require.NoError(k.t, os.RemoveAll(k.path))
	require.NoError(k.t, os.Mkdir(k.path, 0o755))
	for i := 0; i < len(files); i += 2 {
		require.NoError(k.t, os.WriteFile(filepath.Join(k.path, files[i]), []byte(files[i+1]),
			0o640))
	}
}

// keep keeps the folder as it is.
func (k *kept) keep(kind Kind) Generation {
	k.t.Helper()
	files, err := policydir.Contents(k.path)
	require.NoError(k.t, err)
	g, err := k.store.Keep(Generation{Kind: kind, Source: k.path, Folder: true,
		Digest: policydir.Digest(files), At: time.Now()}, files)
	require.NoError(k.t, err)
	return g
}

func instances(name string) string { return fmt.Sprintf("instances: [{name: %s}]\n", name) }

func TestWhatWasKeptComesBack(t *testing.T) {
	k := newKept(t, Bounds{10, 1 << 20})
	_, err := k.store.Last()
	require.ErrorIs(t, err, ErrNone)
	k.write("a.yaml", instances("a"), "b.yaml", instances("b"))
	one := k.keep(InForce)
	require.Equal(t, 1, one.Number)
	k.write("a.yaml", instances("a2"), "b.yaml", instances("b"))
	two := k.keep(InForce)
	k.write("a.yaml", "no: policy\n")
	k.keep(Found)

	last, err := k.store.Last()
	require.NoError(t, err)
	require.Equal(t, two.Number, last.Number, "what was only found is never run")
	require.Equal(t, uint32(0o640), last.Files[0].Mode)
	p, err := k.store.Policy(last)
	require.NoError(t, err)
	require.Equal(t, []string{"a2", "b"}, []string{p.Instances[0].Name, p.Instances[1].Name})
	require.Contains(t, p.Instances[0].At.String(), "a.yaml@2:1:")
	entries, err := os.ReadDir(k.store.path(filesFolder))
	require.NoError(t, err)
	require.Len(t, entries, 4, "what two generations share is there once")
	for _, path := range []string{k.store.dir, k.store.path(filesFolder),
		k.store.path(filesFolder, last.Files[0].Sum), k.store.numberPath(2)} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077, "%s is its owner's alone", path)
	}
}

// What is not as it was written, or is another's, is never run, nor is an older one in its place:
// that could admit what was revoked since.
func TestWhatCannotBeBelievedIsNotRun(t *testing.T) {
	text := func(g Generation, s *Store) string { return s.path(filesFolder, g.Files[0].Sum) }
	change := func(path string, from, to string) func(*testing.T) {
		return func(t *testing.T) {
			old, err := os.ReadFile(path)
			require.NoError(t, err)
			changed := bytes.Replace(old, []byte(from), []byte(to), 1)
			require.NotEqual(t, old, changed)
			require.NoError(t, os.WriteFile(path, changed, 0o600))
		}
	}
	for name, c := range map[string]struct {
		spoil func(Generation, *Store) func(*testing.T)
		says  string
	}{
		"a text is damaged": {func(g Generation, s *Store) func(*testing.T) {
			return change(text(g, s), "name: b", "name: c")
		}, "a.yaml: it is damaged"},
		"a text is gone": {func(g Generation, s *Store) func(*testing.T) {
			return func(t *testing.T) { require.NoError(t, os.Remove(text(g, s))) }
		}, "no such file"},
		"the list is cut off": {func(g Generation, s *Store) func(*testing.T) {
			return func(t *testing.T) { require.NoError(t, os.Truncate(s.numberPath(2), 30)) }
		}, "it is damaged"},
		"the list is changed": {func(g Generation, s *Store) func(*testing.T) {
			return change(s.numberPath(2), "policy", "policx")
		}, "its sum is not that of its content"},
		"of a newer version": {func(g Generation, s *Store) func(*testing.T) {
			return change(s.numberPath(2), `"format": 1`, `"format": 2`)
		}, "it has the format 2, and this portcullis reads 1"},
		"others may write it": {func(g Generation, s *Store) func(*testing.T) {
			return func(t *testing.T) { require.NoError(t, os.Chmod(text(g, s), 0o620)) }
		}, "may be written by others (mode 0620)"},
		"the folder is another's": {func(g Generation, s *Store) func(*testing.T) {
			return func(t *testing.T) { require.NoError(t, os.Chown(s.dir, 4711, -1)) }
		}, "is of the user 4711"},
		"a link": {func(g Generation, s *Store) func(*testing.T) {
			return func(t *testing.T) {
				require.NoError(t, os.Rename(text(g, s), s.path("elsewhere")))
				require.NoError(t, os.Symlink("../elsewhere", text(g, s)))
			}
		}, "others"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, Bounds{10, 1 << 20})
			k.write("a.yaml", instances("a"))
			k.keep(InForce)
			k.write("a.yaml", instances("b"))
			g := k.keep(InForce)
			c.spoil(g, k.store)(t)
			last, err := k.store.Last()
			if err == nil {
				_, err = k.store.Policy(last)
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "generation 2")
		})
	}
	k := newKept(t, Bounds{10, 1 << 20})
	k.write("a.yaml", instances("a"))
	k.keep(InForce)
	_, err := Open(k.store.dir, "br-ext", Bounds{}).Last()
	require.ErrorContains(t, err, `it is of the bridge "br-int", and this is "br-ext"`)
}

// What is damaged is mended by the next policy that is kept, also where that is the same.
func TestKeepMendsADamagedText(t *testing.T) {
	k := newKept(t, Bounds{10, 1 << 20})
	k.write("a.yaml", instances("a"))
	g := k.keep(InForce)
	path := k.store.path(filesFolder, g.Files[0].Sum)
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), int(g.Files[0].Size)), 0o600))
	_, err := k.store.Policy(g)
	require.Error(t, err)
	_, err = k.store.Policy(k.keep(InForce))
	require.NoError(t, err)
}

func TestHistoryIsBounded(t *testing.T) {
	k := newKept(t, Bounds{3, 1 << 20})
	numbers := func() (out []int) {
		list, err := k.store.List()
		require.NoError(t, err)
		for _, g := range list {
			out = append(out, g.Number)
		}
		return out
	}
	for i := range 5 {
		k.write("a.yaml", instances(fmt.Sprint("a", i)))
		k.keep(InForce)
	}
	require.Equal(t, []int{3, 4, 5}, numbers())
	entries, err := os.ReadDir(k.store.path(filesFolder))
	require.NoError(t, err)
	require.Len(t, entries, 3, "texts that nothing has are gone")

	k.store.bounds = Bounds{100, int64(len(instances("a0"))) * 2}
	k.write("a.yaml", instances("a9"))
	k.keep(InForce)
	require.Equal(t, []int{5, 6}, numbers())
	k.store.bounds = Bounds{1, 0}
	k.write("a.yaml", instances("a-name-that-is-longer"))
	k.keep(InForce)
	require.Equal(t, []int{7}, numbers(), "the last is kept whatever its size")
	k.write("a.yaml", "no: policy")
	k.keep(Found)
	require.Equal(t, []int{7}, numbers(), "and is not let go of for one that was found")
}

// TestKeepFails: what cannot be written is an error that says so, and what was kept stays.
func TestKeepFails(t *testing.T) {
	k := newKept(t, Bounds{10, 1 << 20})
	k.write("a.yaml", instances("a"))
	k.keep(InForce)
	k.write("a.yaml", instances("b"))
	files, err := policydir.Contents(k.path)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(k.store.path(filesFolder)))
	require.NoError(t, os.WriteFile(k.store.path(filesFolder), nil, 0o600))
	_, err = k.store.Keep(Generation{Kind: InForce}, files)
	require.ErrorContains(t, err, "keep the policy: ")
	last, err := k.store.Last()
	require.NoError(t, err)
	require.Equal(t, 1, last.Number)
}

func TestPlacingIsAllOrNothing(t *testing.T) {
	k := newKept(t, Bounds{10, 1 << 20})
	k.write("a.yaml", "1", "b.yaml", "2", "c.yaml", "3", "other.txt", "stays")
	require.NoError(t, os.Chmod(filepath.Join(k.path, "a.yaml"), 0o604))
	before, err := policydir.Contents(k.path)
	require.NoError(t, err)
	g := k.keep(InForce)
	texts := func() map[string]string {
		out := map[string]string{}
		entries, err := os.ReadDir(k.path)
		require.NoError(t, err)
		for _, e := range entries {
			text, _ := os.ReadFile(filepath.Join(k.path, e.Name()))
			out[e.Name()] = string(text)
		}
		return out
	}
	was := texts()

	k.write("a.yaml", "10", "b.yaml", "2", "d.yaml", "4", "other.txt", "stays")
	require.NoError(t, os.Chmod(filepath.Join(k.path, "a.yaml"), 0o604))
	now, err := policydir.Contents(k.path)
	require.NoError(t, err)
	target, err := k.store.Target(g, k.path)
	require.NoError(t, err)
	p := NewPlacing(now, target)
	written, removed := p.Changes()
	require.Equal(t, []string{filepath.Join(k.path, "a.yaml"), filepath.Join(k.path, "c.yaml")}, written)
	require.Equal(t, []string{filepath.Join(k.path, "d.yaml")}, removed)
	require.NoError(t, p.Run())
	require.Equal(t, was, texts())
	info, err := os.Stat(filepath.Join(k.path, "a.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o604), info.Mode().Perm(), "the permissions stay")

	// a file that cannot take its place: nothing is changed
	after := append([]policydir.Content{}, before...)
	after[0].Text, after[0].Sum = []byte("new"), sumOf([]byte("new"))
	after[2].Path = filepath.Join(k.path, "dir.yaml")
	require.NoError(t, os.MkdirAll(filepath.Join(k.path, "dir.yaml", "x"), 0o755))
	require.ErrorContains(t, NewPlacing(before, after).Run(), "nothing was changed")
	require.NoError(t, os.RemoveAll(filepath.Join(k.path, "dir.yaml")))
	require.Equal(t, was, texts())
}

func TestTargetIsOfTheSameKind(t *testing.T) {
	k := newKept(t, Bounds{10, 1 << 20})
	k.write("a.yaml", "1")
	g := k.keep(InForce)
	file := filepath.Join(k.path, "a.yaml")
	_, err := k.store.Target(g, file)
	require.ErrorContains(t, err, "is a file")
	g.Folder = false
	_, err = k.store.Target(g, k.path)
	require.ErrorContains(t, err, "is a folder")
	files, err := k.store.Target(g, filepath.Join(k.path, "other.yaml"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(k.path, "other.yaml"), files[0].Path)
}

// The audit is bounded: what is full becomes the one before.
func TestAuditIsBounded(t *testing.T) {
	k := newKept(t, Bounds{10, 4096})
	for i := range 100 {
		require.NoError(t, k.store.Audit(Entry{Generation: i, Access: []string{"somebody may"}}))
	}
	size := int64(0)
	for _, name := range []string{AuditFile, AuditFile + ".1"} {
		info, err := os.Stat(k.store.path(name))
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077)
		size += info.Size()
	}
	require.LessOrEqual(t, size, int64(4096))
	text, err := os.ReadFile(k.store.path(AuditFile))
	require.NoError(t, err)
	require.Contains(t, string(text), `"generation":99`)
	require.NoError(t, os.Remove(k.store.path(AuditFile)))
	require.NoError(t, os.Mkdir(k.store.path(AuditFile), 0o700))
	require.ErrorContains(t, k.store.Audit(Entry{}), "audit: ")
}

func TestTrialIsKept(t *testing.T) {
	k := newKept(t, Bounds{10, 4096})
	got, err := k.store.Trial()
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoError(t, k.store.SetTrial(nil))
	want := &Trial{Digest: "d", Back: 3, Until: time.Unix(5, 0).UTC(), Unasked: true,
		Taken: &Taken{Refused: "d", Why: "because"}}
	require.NoError(t, k.store.SetTrial(want))
	got, err = k.store.Trial()
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = Open(k.store.dir, "br-ext", Bounds{}).Trial()
	require.ErrorContains(t, err, `it is of the bridge "br-int"`)
	require.NoError(t, os.WriteFile(k.store.path(trialFile), []byte("{"), 0o600))
	_, err = k.store.Trial()
	require.ErrorContains(t, err, "it is damaged")
	require.NoError(t, k.store.SetTrial(nil))
	got, err = k.store.Trial()
	require.NoError(t, err)
	require.Nil(t, got)
}
