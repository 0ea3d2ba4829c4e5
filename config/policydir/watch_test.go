package policydir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// generous is time enough on a busy machine.
const generous = 2 * time.Minute

// groups is a policy of so many groups and nothing else.
func groups(n int, prefix ...string) string {
	out := "groups:\n"
	for i := range n {
		out += fmt.Sprintf("- {name: g%s%d}\n", strings.Join(prefix, ""), i)
	}
	return out
}

// watched is a policy folder that is watched from the moment it holds a.yaml with one instance.
type watched struct {
	t     *testing.T
	dir   string
	files *Files
}

func watchFolder(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, dir: t.TempDir()}
	w.write("a.yaml", "a")
	w.files = watchFiles(t, w.dir)
	w.expect("a")
	return w
}

// text is a policy of these instances and nothing else.
func text(names ...string) string {
	out := "instances:\n"
	for _, name := range names {
		out += fmt.Sprintf("- {name: %s}\n", name)
	}
	return out
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(name string, instances ...string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.path(name), []byte(text(instances...)), 0o600))
}

// expect waits for a change, and reads these instances then. Nothing else is ever read.
func (w *watched) expect(instances ...string) {
	w.t.Helper()
	select {
	case <-w.files.Changed():
	case <-time.After(generous):
		w.t.Fatal("nobody told of the change")
	}
	w.holds(instances...)
}

// holds reads these instances now.
func (w *watched) holds(instances ...string) {
	w.t.Helper()
	pol, _, err := w.files.Load()
	require.NoError(w.t, err)
	var got []string
	for _, i := range pol.Instances {
		got = append(got, i.Name)
	}
	require.Equal(w.t, instances, got)
}

// requireUnchanged says that no change was told of. What was done before is in the kernel's queue
// already, and is read by Load.
func (w *watched) requireUnchanged() {
	w.t.Helper()
	select {
	case <-w.files.Changed():
		w.t.Fatal("a change was told of")
	default:
	}
}

// TestFilesWaitForSlowWriters: half a file is a valid policy here, and is never read, whoever asks.
func TestFilesWaitForSlowWriters(t *testing.T) {
	w := watchFolder(t)
	file, err := os.OpenFile(w.path("a.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	w.holds("a") // an empty file is not read
	_, err = file.WriteString(text("b"))
	require.NoError(t, err)
	w.holds("a") // nor is a half
	w.requireUnchanged()

	w.write("other.yaml", "c") // another file does not wait for it, and does not make it be read
	w.expect("a", "c")

	_, err = file.WriteString("- {name: b2}\n")
	require.NoError(t, err)
	w.holds("a", "c")
	w.requireUnchanged()
	require.NoError(t, file.Close())
	w.expect("b", "b2", "c")
}

// TestFilesAreNeverReadByHalf reads right after each write, before anybody else had the time to see
// that there was one.
func TestFilesAreNeverReadByHalf(t *testing.T) {
	w := watchFolder(t)
	last := "a"
	for i := range 300 {
		file, err := os.OpenFile(w.path("a.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
		require.NoError(t, err)
		w.holds(last)
		last = fmt.Sprint("i", i)
		_, err = file.WriteString(text(last)[:9])
		require.NoError(t, err)
		_, err = file.WriteString(text(last)[9:])
		require.NoError(t, err)
		require.NoError(t, file.Close())
		w.expect(last)
	}
}

func TestFilesWaitForNewFiles(t *testing.T) {
	w := watchFolder(t)
	file, err := os.Create(w.path("b.yaml"))
	require.NoError(t, err)
	w.holds("a")
	_, err = file.WriteString(text("b"))
	require.NoError(t, err)
	w.holds("a")
	w.requireUnchanged()
	require.NoError(t, file.Close())
	w.expect("a", "b")
}

// TestFilesBridgeGaps: editors and version control take a file away and write it anew. Its
// instances never are without their ports.
func TestFilesBridgeGaps(t *testing.T) {
	w := watchFolder(t)
	for _, away := range []func() error{
		func() error { return os.Remove(w.path("a.yaml")) },
		func() error { return os.Rename(w.path("a.yaml"), w.path("a.yaml~")) },
	} {
		require.NoError(t, away())
		w.holds("a")
		w.requireUnchanged()
		w.write("a.yaml", "b")
		w.expect("b")
		w.write("a.yaml", "a")
		w.expect("a")
	}
	w.write("b.yaml", "b")
	w.expect("a", "b")
	require.True(t, w.files.Whole())
	require.NoError(t, os.Remove(w.path("a.yaml")))
	w.holds("a", "b")
	require.False(t, w.files.Whole(), "who asks what is in force is not told that this is it")
	w.expect("b") // a file that does not come back is gone
	require.True(t, w.files.Whole())
}

// There is no fixed delay: of many changes at least one is told of at once, however busy the
// machine is. How soon a change is in force is measured by the benchmark.
func TestFilesTellAtOnce(t *testing.T) {
	w := watchFolder(t)
	best := time.Hour
	for i := range 20 {
		w.write(".next", fmt.Sprint("i", i))
		began := time.Now()
		require.NoError(t, os.Rename(w.path(".next"), w.path("a.yaml")))
		<-w.files.Changed()
		best = min(best, time.Since(began))
		w.holds(fmt.Sprint("i", i))
	}
	w.requireUnchanged()
	require.Less(t, best, pauseTime, "there is no fixed delay")
}

// TestFilesTellOnce: one change is told of once, and many at one time are not told of one by one.
func TestFilesTellOnce(t *testing.T) {
	w := watchFolder(t)
	var want []string
	for i := range 50 {
		w.write(".next", fmt.Sprintf("i%02d", i))
		require.NoError(t, os.Rename(w.path(".next"), w.path(fmt.Sprintf("b%02d.yaml", i))))
		want = append(want, fmt.Sprintf("i%02d", i))
	}
	// reading takes the events that nobody has looked at yet
	w.expect(append([]string{"a"}, want...)...)
	for range 2 {
		select {
		case <-w.files.Changed():
			w.holds(append([]string{"a"}, want...)...)
		default:
		}
	}
	w.requireUnchanged()
}

func TestFilesIgnoreOthers(t *testing.T) {
	w := watchFolder(t)
	w.write("a.log", "x")
	w.write(".a.yaml.swp", "x")
	w.write("a.yaml~", "x")
	require.NoError(t, os.Remove(w.path("a.log")))
	w.holds("a")
	w.requireUnchanged()
}

// TestFilesFollowLinksWithin: the files of a folder may be links, each to another folder, or by a
// link that is turned, as Kubernetes mounts them.
func TestFilesFollowLinksWithin(t *testing.T) {
	w := watchFolder(t)
	elsewhere := t.TempDir()
	target := filepath.Join(elsewhere, "real")
	require.NoError(t, os.WriteFile(target, []byte(text("b")), 0o600))
	require.NoError(t, os.Symlink(target, w.path("b.yaml")))
	w.expect("a", "b")
	require.NoError(t, os.WriteFile(target, []byte(text("c")), 0o600))
	w.expect("a", "c")

	for i := range 2 {
		data := w.path(fmt.Sprint("..", i))
		require.NoError(t, os.Mkdir(data, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(data, "d"), []byte(text(fmt.Sprint("d", i))),
			0o600))
	}
	require.NoError(t, os.Symlink("..0", w.path("..data")))
	require.NoError(t, os.Symlink("..data/d", w.path("d.yaml")))
	require.Eventually(t, func() bool {
		<-w.files.Changed()
		pol, _, err := w.files.Load()
		return err == nil && len(pol.Instances) == 3
	}, generous, time.Millisecond)
	w.holds("a", "c", "d0")
	select { // of the folders that were made before
	case <-w.files.Changed():
	default:
	}
	require.NoError(t, os.Symlink("..1", w.path("..next")))
	require.NoError(t, os.Rename(w.path("..next"), w.path("..data")))
	require.Eventually(t, func() bool {
		<-w.files.Changed()
		pol, _, err := w.files.Load()
		return err == nil && pol.Instances[2].Name == "d1"
	}, generous, time.Millisecond)
}

// TestFilesAfterOverflow: when the kernel's queue was too short, everything is looked at, and
// nothing stays held.
func TestFilesAfterOverflow(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	require.NoError(t, err)
	var most int
	_, err = fmt.Sscan(string(limit), &most)
	require.NoError(t, err)
	if most > 1<<17 {
		t.Skip("this host's queue is too long to fill: ", most)
	}
	w := watchFolder(t)
	w.files.mu.Lock()
	file, err := os.OpenFile(w.path("a.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	_, err = file.WriteString(text("b"))
	require.NoError(t, err)
	one, two := w.path("x.log"), w.path("y.log")
	w.write("x.log")
	for range most/2 + 1 { // events that are alike are one; these are not
		require.NoError(t, os.Rename(one, two))
		one, two = two, one
	}
	require.NoError(t, file.Close()) // this is what is not told of
	w.files.mu.Unlock()
	w.expect("b")
}

// awaitGroups waits until a change is told of after which the policy has so many groups.
func awaitGroups(t *testing.T, files *Files, groups int) {
	t.Helper()
	require.Eventually(t, func() bool {
		<-files.Changed()
		pol, _, err := files.Load()
		return err == nil && len(pol.Groups) == groups
	}, generous, time.Millisecond)
}

func TestFilesTellOfEveryKindOfChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("policy.yaml", groups(1))
	files := watchFiles(t, path)
	expect := func(groups int) { t.Helper(); awaitGroups(t, files, groups) }
	expect(1) // it looks once when it begins
	write("policy.yaml", groups(2))
	expect(2) // in place
	write("next", groups(3))
	require.NoError(t, os.Rename(filepath.Join(dir, "next"), path))
	expect(3) // replaced
	require.NoError(t, os.Remove(path))
	write("policy.yaml", groups(1))
	expect(1) // removed and made again
}

func TestFilesFollowLinksAndFolders(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		folder := filepath.Join(dir, "real", string(rune('0'+i)))
		require.NoError(t, os.MkdirAll(folder, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "p.yaml"), []byte(groups(i+1)),
			0o600))
	}
	link := filepath.Join(dir, "policy")
	require.NoError(t, os.Symlink("real/0", link))
	files := watchFiles(t, link)
	expect := func(groups int) { t.Helper(); awaitGroups(t, files, groups) }
	expect(1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real", "0", "q.yaml"),
		[]byte(groups(2, "q")), 0o600))
	expect(3) // a new file in the folder
	require.NoError(t, os.Symlink("real/1", filepath.Join(dir, "turned")))
	require.NoError(t, os.Rename(filepath.Join(dir, "turned"), link))
	expect(2) // the link leads elsewhere
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real", "1", "p.yaml"), []byte(groups(1)),
		0o600))
	expect(1) // and is followed there
}

func watchFiles(t *testing.T, path string) *Files {
	t.Helper()
	files := NewFiles(path, logrus.NewEntry(logrus.New()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- files.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return files
}
