package policydir

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

func mustLoad(t require.TestingT, l *Loader, path string) *policy.Policy {
	p, _, err := l.Load(path)
	require.NoError(t, err)
	return p
}

// trustIdentities says of every known file that its identity is to be believed, as if it had been
// written long ago.
func trustIdentities(l *Loader) {
	for _, s := range l.known {
		s.isSettled = true
	}
}

func TestLoaderKeepsPointers(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	configtest.Write(t, a,
		"groups: [{name: g}]\ninstances:\n- {name: one, groups: [g]}\n- {name: two}\n- {name: "+
			"three}\n")
	configtest.Write(t, b, "instances: [{name: four}]")
	var l Loader
	before := mustLoad(t, &l, dir)
	require.Same(t, before, mustLoad(t, &l, dir), "nothing changed")

	configtest.Write(t, a,
		"groups: [{name: g}]\ninstances:\n- {name: one}\n- {name: two}\n\n- {name: three}\n")
	after := mustLoad(t, &l, dir)
	require.Same(t, before.Groups[0], after.Groups[0])
	require.NotSame(t, before.Instances[0], after.Instances[0], "another value")
	require.Same(t, before.Instances[1], after.Instances[1])
	require.NotSame(t, before.Instances[2], after.Instances[2], "another position")
	require.Same(t, before.Instances[3], after.Instances[3], "another file")
	require.Equal(t, []string{"g"}, before.Instances[0].Groups,
		"what was returned before never changes")
}

// TestLoaderReadsNothingOfUnchangedFiles takes away what a file had without a change that the file
// system tells of.
func TestLoaderReadsNothingOfUnchangedFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.yaml")
	configtest.Write(t, name, "groups: [{name: a}]")
	var l Loader
	mustLoad(t, &l, dir)
	require.False(t, l.known[name].isSettled, "it was written a moment ago")

	// The second write in the same tick of the clock: the identity is what it was.
	pretend := func(text string) {
		configtest.Write(t, name, text)
		info, err := os.Stat(name)
		require.NoError(t, err)
		l.known[name].identity, _ = identify(info)
	}
	pretend("groups: [{name: b}]")
	require.Equal(t, "b", mustLoad(t, &l, dir).Groups[0].Name,
		"a identity of the present moment is not believed")

	trustIdentities(&l)
	pretend("groups: [{name: c}]")
	require.Equal(t, "b", mustLoad(t, &l, dir).Groups[0].Name,
		"a identity of the past is, without reading the file")
}

func TestLoaderBelievesIdentitiesLater(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.yaml")
	configtest.Write(t, name, "groups: [{name: a}]")
	var l Loader
	require.Eventually(t, func() bool { mustLoad(t, &l, name); return l.known[name].isSettled },
		configtest.Hangs, time.Millisecond)
}

func TestIdentityIsSettled(t *testing.T) {
	at := func(ns int64) time.Time { return time.Unix(1000, ns) }
	s := identity{}
	s.changed.Sec, s.changed.Nsec = 1000, 500
	require.False(t, s.isSettled(at(500)))
	require.False(t, s.isSettled(at(500+int64(10*time.Millisecond))))
	require.True(t, s.isSettled(at(500+int64(21*time.Millisecond))))
	require.False(t, s.isSettled(at(0)), "a clock that was set back")
	s.changed.Nsec = 0
	require.False(t, s.isSettled(at(int64(1900*time.Millisecond))),
		"a file system of whole seconds")
	require.True(t, s.isSettled(at(int64(2100*time.Millisecond))))
}

// TestLoaderSeesEveryChange makes each change right after the last, all with files of the same
// size.
func TestLoaderSeesEveryChange(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	text := func(name string) string { return "groups: [{name: " + name + "}]" }
	var l Loader
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for _, g := range mustLoad(t, &l, dir).Groups {
			got = append(got, g.Name)
		}
		require.Equal(t, want, got)
	}
	long := time.Now().Add(-time.Hour)
	configtest.Write(t, path("a.yaml"), text("a"))
	expect("a")
	configtest.Write(t, path("a.yaml"), text("b"))
	expect("b") // in place
	for i := range 20 {
		one := string(rune('a' + i))
		configtest.Write(t, path("a.yaml"), text(one))
		require.NoError(t, os.Chtimes(path("a.yaml"), long, long)) // as cp -p and rsync do
		expect(one)
		configtest.Write(t, path("next"), text("z"))
		require.NoError(t, os.Chtimes(path("next"), long, long))
		require.NoError(t, os.Rename(path("next"), path("a.yaml")))
		expect("z") // replaced
		trustIdentities(&l)
	}
	configtest.Write(t, path("b.yaml"), text("y"))
	expect("z", "y") // added
	require.NoError(t, os.Remove(path("a.yaml")))
	expect("y") // removed
	configtest.Write(t, path("one"), text("1a"))
	configtest.Write(t, path("two"), text("2a"))
	require.NoError(t, os.Symlink("one", path("c.yaml")))
	expect("y", "1a")
	trustIdentities(&l)
	require.NoError(t, os.Symlink("two", path("turned")))
	require.NoError(t, os.Rename(path("turned"), path("c.yaml")))
	expect("y", "2a") // a link that is turned
	trustIdentities(&l)
	configtest.Write(t, path("two"), text("2b"))
	expect("y", "2b") // what it leads to
}

// TestLoaderLosesNothing: files that cannot be read are an error as long as that is so; the others
// are not read again.
func TestLoaderLosesNothing(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	configtest.Write(t, a, "groups: [{name: a}]")
	configtest.Write(t, b, "groups: [{name: b}]")
	var l Loader
	before := mustLoad(t, &l, dir)
	digest := l.Digest()
	require.NoError(t, os.Rename(b, b+".away"))
	require.NoError(t, os.Mkdir(b, 0o700))
	configtest.Write(t, a, "groups: [{name: c}]")
	for range 2 {
		_, _, err := l.Load(dir)
		require.ErrorContains(t, err, "b.yaml: not a regular file")
		require.Equal(t, digest, l.Digest())
	}
	parsed := l.known[a].fragment
	require.NoError(t, os.Remove(b))
	require.NoError(t, os.Rename(b+".away", b))
	after := mustLoad(t, &l, dir)
	require.Same(t, parsed, l.known[a].fragment)
	require.Equal(t, "c", after.Groups[0].Name)
	require.Same(t, before.Groups[1], after.Groups[1])
}

func TestLoaderHolds(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	configtest.Write(t, a, "groups: [{name: a}]")
	held := map[string]bool{a: true}
	asked := 0
	l := Loader{Skip: func(name string) bool { asked++; return held[name] }}
	_, _, err := l.Load(dir)
	require.ErrorContains(t, err, "is being written")
	configtest.Write(t, b, "groups: [{name: b}]")
	require.Len(t, mustLoad(t, &l, dir).Groups, 1, "a file that nothing is known of is left out")
	held = map[string]bool{b: true}
	configtest.Write(t, b, "half of a gro")
	require.Len(t, mustLoad(t, &l, dir).Groups, 2, "what is known counts")
	require.NoError(t, os.Remove(b))
	require.Len(t, mustLoad(t, &l, dir).Groups, 2, "also if the file is not there")
	held = nil
	require.Len(t, mustLoad(t, &l, dir).Groups, 1)

	// Somebody begins to write after the first question.
	configtest.Write(t, a, "half of a gro")
	asked = 0
	l.Skip = func(string) bool { asked++; return asked > 1 }
	require.Equal(t, "a", mustLoad(t, &l, dir).Groups[0].Name)

	var one Loader
	mustLoad(t, &one, writeNew(t, a, "groups: [{name: a}]"))
	one.Skip = func(string) bool { return true }
	require.NoError(t, os.Remove(a))
	require.Len(t, mustLoad(t, &one, a).Groups, 1, "a policy of one file")
	one.Skip = nil
	_, _, err = one.Load(a)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func writeNew(t *testing.T, name, text string) string {
	configtest.Write(t, name, text)
	return name
}

func TestLoaderDigest(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	var a, b Loader
	for i, dir := range []string{one, two} {
		configtest.Write(t, filepath.Join(dir, "a.yaml"), "groups: [{name: a}]")
		configtest.Write(t, filepath.Join(dir, "b.yaml"), "groups: [{name: b}]")
		mustLoad(t, []*Loader{&a, &b}[i], dir)
	}
	require.Len(t, a.Digest(), 16)
	require.Equal(t, a.Digest(), b.Digest(), "the same content on another host")
	seen := map[string]bool{a.Digest(): true}
	for _, change := range []func(){
		func() { configtest.Write(t, filepath.Join(one, "b.yaml"), "groups: [{name: c}]") },
		func() { configtest.Write(t, filepath.Join(one, "c.yaml"), "groups: []") },
		func() {
			require.NoError(t, os.Rename(filepath.Join(one, "c.yaml"),
				filepath.Join(one, "d.yaml")))
		},
	} {
		change()
		mustLoad(t, &a, one)
		require.False(t, seen[a.Digest()])
		seen[a.Digest()] = true
	}
	last := a.Digest()
	configtest.Write(t, filepath.Join(one, "d.yaml"), "groups: 1")
	_, _, err := a.Load(one)
	require.Error(t, err)
	require.Equal(t, last, a.Digest(), "an invalid policy has none")
	require.Empty(t, new(Loader).Digest())
}

// TestLoaderIsLoadPolicy changes a folder at random: a loader that saw all changes says what one
// says that sees the folder for the first time.
func TestLoaderIsLoadPolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "loader")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		var l Loader
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			name := filepath.Join(dir, rapid.SampledFrom(
				[]string{"a.yaml", "b.yaml", "c.yaml", "d.yml"}).Draw(t, "file"))
			switch text := []byte(configtest.DrawFile(t)); rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				_ = os.Remove(name)
			case 1:
				require.NoError(t, os.WriteFile(name+".new", text, 0o600))
				require.NoError(t, os.Rename(name+".new", name))
			default:
				require.NoError(t, os.WriteFile(name, text, 0o600))
			}
			got, warnings, err := l.Load(dir)
			want, wantWarnings, wantErr := Load(dir)
			require.Equal(t, wantErr, err)
			require.Equal(t, wantWarnings, warnings)
			require.Equal(t, want, got)
		}
	})
}

// folder writes a policy of many files, such as a fleet has, and returns where, with the name of
// one file and two texts for it.
func folder(t testing.TB, files, perFile int) (dir, name string, texts [2]string) {
	dir = t.TempDir()
	var groups strings.Builder
	groups.WriteString("groups:\n")
	for g := range files {
		fmt.Fprintf(&groups,
			"  - name: g%d\n    rules:\n      - {direction: ingress, protocol: tcp, ports: 22, "+
				"group: g%d}\n", g, (g+1)%files)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "groups.yaml"), []byte(groups.String()),
		0o600))
	for f := range files {
		var b strings.Builder
		b.WriteString("instances:\n")
		for i := range perFile {
			n := f*perFile + i
			fmt.Fprintf(&b,
				"  - name: i%d\n    host: hv%d\n    groups: [g%d, g%d]\n    ports:\n      - "+
					"name: tap%d\n        mac: 02:00:00:%02x:%02x:%02x\n"+
					"        addresses: [10.%d.%d.%d, 2001:db8::%x:%x]\n", n, n%100, f, n%files, n,
				n>>16, n>>8&255, n&255, n>>16, n>>8&255, n&255, n>>16, n&0xffff)
		}
		name = filepath.Join(dir, fmt.Sprintf("%04d.yaml", f))
		texts[0] = b.String()
		require.NoError(t, os.WriteFile(name, []byte(texts[0]), 0o600))
	}
	last := strings.LastIndex(texts[0], "[g")
	texts[1] = texts[0][:last] + "[g0]" + texts[0][last+strings.Index(texts[0][last:], "]")+1:]
	return dir, name, texts
}

func exchange(t testing.TB, name, text string) {
	require.NoError(t, os.WriteFile(name+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

// BenchmarkLoad replaces one file of a folder, by rename, and loads; BenchmarkJoin is what of it is
// neither reading nor parsing.
func BenchmarkLoad(b *testing.B) {
	forSizes(b, func(b *testing.B, l *Loader, dir, name string, texts [2]string) {
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			exchange(b, name, texts[n%2])
			b.StartTimer()
			mustLoad(b, l, dir)
		}
	})
}

func BenchmarkJoin(b *testing.B) {
	forSizes(b, func(b *testing.B, l *Loader, _, name string, texts [2]string) {
		changed := [2]*policyfile.Fragment{policyfile.ParseFragment(
			strictyaml.File{Name: name, Data: []byte(texts[0])}),
			policyfile.ParseFragment(strictyaml.File{Name: name, Data: []byte(texts[1])})}
		changed[1].Keep(changed[0])
		at := slices.Index(l.last.fragments, l.known[name].fragment)
		for n := 0; b.Loop(); n++ {
			fragments := slices.Clone(l.last.fragments)
			fragments[at] = changed[n%2]
			_, _, err := l.joiner.Join(fragments)
			require.NoError(b, err)
		}
	})
}

func forSizes(b *testing.B, do func(b *testing.B, l *Loader, dir, name string, texts [2]string)) {
	for _, c := range []struct{ files, perFile int }{{10, 102}, {100, 102}, {200, 1000}} {
		b.Run(fmt.Sprintf("instances=%d/files=%d", c.files*c.perFile, c.files), func(b *testing.B) {
			dir, name, texts := folder(b, c.files, c.perFile)
			var l Loader
			mustLoad(b, &l, dir)
			trustIdentities(&l)
			b.ReportAllocs()
			do(b, &l, dir, name, texts)
		})
	}
}

// BenchmarkParseFile parses a file of such a folder.
func BenchmarkParseFile(b *testing.B) {
	_, name, texts := folder(b, 1, 102)
	b.SetBytes(int64(len(texts[0])))
	b.ReportAllocs()
	for b.Loop() {
		policyfile.ParseFragment(strictyaml.File{Name: name, Data: []byte(texts[0])})
	}
}

func BenchmarkLoadUnchanged(b *testing.B) {
	dir, _, _ := folder(b, 100, 102)
	var l Loader
	mustLoad(b, &l, dir)
	trustIdentities(&l)
	b.ReportAllocs()
	for b.Loop() {
		mustLoad(b, &l, dir)
	}
}

// TestLoaderMemory holds what a policy takes while nothing happens. The bound is a third above what
// was measured.
func TestLoaderMemory(t *testing.T) {
	const instances = 20000
	dir, _, _ := folder(t, 20, instances/20)
	live := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := live()
	var l Loader
	p := mustLoad(t, &l, dir)
	per := (live() - before) / instances
	runtime.KeepAlive(&l)
	require.Len(t, p.Instances, instances)
	t.Logf("%d bytes for each instance", per)
	require.Less(t, per, 900)
}

// TestLoadTouchesWhatChanged counts what is done for one changed file among many, by what is new
// afterwards.
func TestLoadTouchesWhatChanged(t *testing.T) {
	dir, name, texts := folder(t, 20, 10)
	var l Loader
	before := mustLoad(t, &l, dir)
	exchange(t, name, texts[1])
	after := mustLoad(t, &l, dir)
	require.True(t, slices.Equal(before.Groups, after.Groups))
	changed := 0
	for i := range before.Instances {
		if before.Instances[i] != after.Instances[i] {
			changed++
		}
	}
	require.Equal(t, 1, changed)
}

// Of a file of 100 MB no more is read than what is needed to refuse it.
func TestHugeFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	require.NoError(t, os.Truncate(name, 100<<20))
	_, _, err := configtest.Within(t, 128<<20, func() (*policy.Policy, strictyaml.Warnings,
		error) {
		return Load(name)
	})
	require.ErrorContains(t, err, "16 MiB")
}
