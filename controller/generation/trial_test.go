package generation

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// disk is a policy's files, whose changes the test tells of.
type disk struct {
	policydir.Loader
	path    string
	changed chan struct{}
}

func (d *disk) Load() (*policy.Policy, strictyaml.Warnings, error) { return d.Loader.Load(d.path) }
func (d *disk) Whole() bool                                        { return true }
func (d *disk) Changed() <-chan struct{}                           { return d.changed }

// host is a policy folder, a store, and a daemon whose loop takes what a source returns. Its clock
// is the test's.
type host struct {
	t     *testing.T
	dir   string
	store *history.Store
	disk  *disk
	hook  *test.Hook

	*Source
	stop func()

	mu    sync.Mutex
	inUse *policy.Policy
	err   error
}

func onHost(t *testing.T, do func(*host)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &host{t: t, dir: filepath.Join(dir, "policy"),
			store: history.Open(filepath.Join(dir, "state"), "br-int", history.Bounds{
				Generations: 10, Bytes: 1 << 20})}
		require.NoError(t, os.MkdirAll(h.dir, 0o755))
		h.write("a.yaml", "a")
		h.write("b.yaml", "b")
		h.start()
		h.uses("a", "b")
		do(h)
		h.stop()
	})
}

// start starts a daemon; another one has ended.
func (h *host) start() {
	log, hook := test.NewNullLogger()
	h.hook, h.inUse = hook, nil
	h.disk = &disk{path: h.dir, changed: make(chan struct{}, 1),
		Loader: policydir.Loader{KeepText: true}}
	h.Source = New(Options{Files: h.disk, Store: h.store, Policy: h.dir,
		Log: logrus.NewEntry(log)})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = h.Run(ctx) })
	tasks.Go(func() {
		for {
			h.load()
			select {
			case <-ctx.Done():
				return
			case <-h.Changed():
			}
		}
	})
	h.stop = func() { cancel(); tasks.Wait() }
}

// load does what the loop does.
func (h *host) load() {
	p, _, err := h.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err = err; p != nil {
		h.inUse = p
	}
}

// failure is why the files are not in force.
func (h *host) failure() error {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// write writes a file with one instance; "" removes it. Nobody is told.
func (h *host) write(name, instance string) {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if instance == "" {
		require.NoError(h.t, os.Remove(path))
		return
	}
	require.NoError(h.t, os.WriteFile(path, []byte("instances: [{name: "+instance+"}]\n"), 0o600))
}

// tells has the daemon look at the files.
func (h *host) tells() {
	h.disk.changed <- struct{}{}
	synctest.Wait()
}

// uses asserts what is in force.
func (h *host) uses(instances ...string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.NotNil(h.t, h.inUse, "%v", h.err)
	require.Equal(h.t, instances, names(h.inUse))
}

// holds asserts what is in the folder.
func (h *host) holds(files map[string]string) {
	h.t.Helper()
	entries, err := os.ReadDir(h.dir)
	require.NoError(h.t, err)
	require.Len(h.t, entries, len(files))
	for name, instance := range files {
		text, err := os.ReadFile(filepath.Join(h.dir, name))
		require.NoError(h.t, err)
		require.Equal(h.t, "instances: [{name: "+instance+"}]\n", string(text))
	}
}

// digest is that of the folder as it would be with these files.
func digestOfFiles(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, instance := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name),
			[]byte("instances: [{name: "+instance+"}]\n"), 0o600))
	}
	list, err := policydir.Contents(dir)
	require.NoError(t, err)
	return policydir.Digest(list)
}

var (
	old   = map[string]string{"a.yaml": "a", "b.yaml": "b"}
	tried = map[string]string{"a.yaml": "a2", "c.yaml": "c"}
)

// try puts the tried files in place, with a trial of a minute.
func (h *host) try(confirm time.Duration) {
	h.t.Helper()
	_, err := h.Try(Request{Digest: digestOfFiles(h.t, tried), Confirm: confirm, By: "somebody",
		Note: "apply new"})
	require.NoError(h.t, err)
	h.write("a.yaml", "a2")
	h.write("b.yaml", "")
	h.write("c.yaml", "c")
	h.tells()
}

func TestATrialThatIsConfirmedStays(t *testing.T) {
	onHost(t, func(h *host) {
		_, err := h.Confirm("")
		require.ErrorContains(t, err, "no policy is on trial")
		h.try(time.Minute)
		h.uses("a2", "c")
		require.Equal(t, 1, h.Trial().Back)
		_, err = h.Try(Request{Digest: "x", Confirm: time.Minute})
		require.ErrorIs(t, err, ErrOnTrial)
		time.Sleep(59 * time.Second)
		for _, end := range []func(string) (history.Trial, error){h.Confirm, h.Abandon} {
			_, err = end("x")
			require.ErrorContains(t, err, "another policy is on trial now, of somebody since ")
			require.NotNil(t, h.Trial())
		}
		_, err = h.Confirm(digestOfFiles(t, tried))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		h.uses("a2", "c")
		require.Nil(t, h.Trial())
		last, err := h.store.Last()
		require.NoError(t, err)
		require.Equal(t, []any{2, "somebody", "apply new"}, []any{last.Number, last.By, last.Note})
	})
}

func TestATrialThatNobodyConfirmsIsTakenBack(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		time.Sleep(59 * time.Second)
		h.uses("a2", "c")
		time.Sleep(2 * time.Second)
		h.uses("a", "b")
		h.holds(old)
		require.NoError(t, h.failure(), "the files are those of before")
		require.Nil(t, h.Trial())
		_, err := h.Confirm("")
		require.Error(t, err)
		list, err := h.store.List()
		require.NoError(t, err)
		require.Len(t, list, 3, "what was tried is kept, and can be had again")
		require.Equal(t, "generation 1 is back: nobody confirmed it in time", list[2].Note)
		require.Equal(t, list[0].Digest, list[2].Digest)
	})
}

// No restart makes the time longer, or has it forgotten.
func TestATrialSurvivesTheDaemon(t *testing.T) {
	for away, what := range map[time.Duration]string{0: "a restart in the middle",
		2 * time.Minute: "the time is over while no daemon runs"} {
		t.Run(what, func(t *testing.T) {
			onHost(t, func(h *host) {
				h.try(time.Minute)
				time.Sleep(40 * time.Second)
				h.stop()
				time.Sleep(away)
				h.start()
				if away == 0 {
					h.uses("a2", "c")
					time.Sleep(21 * time.Second)
				}
				time.Sleep(2 * time.Second)
				h.uses("a", "b")
				h.holds(old)
				require.NoError(t, h.failure())
			})
		})
	}
}

// While files are put in place one after the other nothing of them is in force; if they are not all
// there in time, what was there before is.
func TestPlacingIsNeverTakenByHalf(t *testing.T) {
	onHost(t, func(h *host) {
		_, err := h.Try(Request{Digest: digestOfFiles(t, tried)})
		require.NoError(t, err)
		require.True(t, h.Whole())
		h.write("a.yaml", "a2")
		h.tells()
		h.uses("a", "b")
		require.NoError(t, h.failure())
		require.False(t, h.Whole(), "who waits for the files is not answered")
		h.stop() // also not by a start
		h.start()
		h.uses("a", "b")
		require.ErrorContains(t, h.failure(), "being put in place")
		time.Sleep(placingTime + 2*time.Second)
		h.uses("a", "b")
		h.holds(old)
		require.NoError(t, h.failure())
		require.Nil(t, h.Trial())

		h.try(0) // and what nobody has to confirm stays
		h.uses("a2", "c")
		require.Nil(t, h.Trial())
		time.Sleep(time.Hour)
		h.uses("a2", "c")
	})
}

// A policy is taken back also where its files cannot be.
func TestFilesThatCannotBeWrittenBack(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		// a file has the place of the folder: nothing can be written back there
		require.NoError(t, os.RemoveAll(h.dir))
		require.NoError(t, os.WriteFile(h.dir, []byte("instances: [{name: x}]\n"), 0o600))
		time.Sleep(61 * time.Second)
		h.uses("a", "b")
		require.ErrorContains(t, h.failure(), "portcullis rollback 1 writes back those of before")
		require.NotNil(t, h.Trial().Taken)
		time.Sleep(time.Hour)
		h.uses("a", "b")
		errors := 0
		for _, e := range h.hook.AllEntries() {
			if e.Level == logrus.ErrorLevel && e.Message[:9] == "the files" {
				errors++
			}
		}
		require.Equal(t, 1, errors, "it is told once")
		h.stop()
		h.start()
		h.uses("a", "b")
		require.NoError(t, os.Remove(h.dir))
		require.NoError(t, os.Mkdir(h.dir, 0o755))
		h.write("z.yaml", "z")
		h.tells()
		h.uses("z")
		require.Nil(t, h.Trial(), "other files end it")
	})
}

func TestATrialCanBeAbandoned(t *testing.T) {
	onHost(t, func(h *host) {
		_, err := h.Abandon("")
		require.Error(t, err)
		h.try(time.Hour)
		h.uses("a2", "c")
		_, err = h.Abandon(digestOfFiles(t, tried))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		h.uses("a", "b")
		h.holds(old)
	})
}

func TestATrialNeedsAWayBack(t *testing.T) {
	onHost(t, func(h *host) {
		for _, r := range []Request{{}, {Digest: "x", Confirm: -1}, {Digest: "x", Confirm: 25 * time.Hour}} {
			_, err := h.Try(r)
			require.ErrorContains(t, err, "want the digest of files, and a time from 0 to 24h")
		}
		list, err := h.store.List()
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(h.store.Dir(), "files", list[0].Files[0].Sum)))
		_, err = h.Try(Request{Digest: "x", Confirm: time.Minute})
		require.ErrorContains(t, err, "there would be no way back")
		require.Nil(t, h.Trial())
	})
}

// What comes back is kept for as long as it may be needed, however many policies come meanwhile.
func TestTheWayBackIsNotLetGoOf(t *testing.T) {
	onHost(t, func(h *host) {
		h.stop()
		h.store = history.Open(h.store.Dir(), "br-int", history.Bounds{Generations: 2,
			Bytes: 1 << 20})
		h.start()
		h.uses("a", "b")
		h.try(time.Minute)
		for _, instance := range []string{"d1", "d2", "d3", "d4"} {
			h.write("d.yaml", instance)
			h.tells()
			h.uses("a2", "c", instance)
		}
		time.Sleep(61 * time.Second)
		h.uses("a", "b")
		h.holds(old)
	})
}

// While the files of before are written back one after the other, nothing of the mixture is in
// force.
func TestWritingBackIsNeverTakenByHalf(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Hour)
		h.uses("a2", "c")
		h.Source.mu.Lock()
		h.trial.Taken = &history.Taken{At: time.Now(), Refused: h.trial.Digest, Found: "none"}
		h.isRestoring = true
		h.Source.mu.Unlock()
		h.write("a.yaml", "a")
		h.tells()
		h.uses("a", "b")
		require.NotNil(t, h.Trial())
		h.write("b.yaml", "b")
		h.write("c.yaml", "")
		h.tells()
		h.uses("a", "b")
		require.NoError(t, h.failure())
		require.Nil(t, h.Trial())
	})
}

// A clock that was set back, as one without a battery, gives the whole time again and not more.
func TestAClockThatWasSetBack(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		h.stop()
		trial, err := h.store.Trial()
		require.NoError(t, err)
		trial.Began, trial.Until = trial.Began.Add(1000*time.Hour), trial.Until.Add(1000*time.Hour)
		require.NoError(t, h.store.SetTrial(trial))
		h.start()
		time.Sleep(59 * time.Second)
		h.uses("a2", "c")
		time.Sleep(2 * time.Second)
		h.uses("a", "b")
	})
}
