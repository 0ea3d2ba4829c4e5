package policydb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"unique"

	"github.com/google/renameio/v2"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// A keeper keeps a mirror in a file: all rows at one time, and behind them the updates since, as
// the server has told them. [Follower] notes what it takes; [keeper.run] writes it beside.
// Invariant: a file that is damaged, or could be somebody else's, is not read; a line that a crash
// has cut off is as if its update had not come.

const (
	keptFormat = 1
	// leastTail is how long the list of updates is at least before all rows are written anew.
	leastTail = 1 << 20
	keptMode  = 0o600
)

// keptAt is what belongs to the rows: the first line has that of all rows.
type keptAt struct {
	Format  int    `json:"format,omitempty"`
	Last    string `json:"last"` // ID of the transaction
	Cluster string `json:"cluster,omitempty"`
	Rows    int    `json:"rows,omitempty"`    // that follow
	Columns string `json:"columns,omitempty"` // that were read
	// instances that are not in force as their rows say, so that they stay those that give way
	Losers []string `json:"losers,omitempty"`
}

// keptRow is a line with a row: one of its fields is there.
type keptRow struct {
	Global  *rows.Global  `json:"global,omitempty"`
	Project *rows.Project `json:"project,omitempty"`
	Group   *rows.Group   `json:"group,omitempty"`
	Rule    *rows.Rule    `json:"rule,omitempty"`
	Port    *rows.Port    `json:"port,omitempty"`
}

// keptUpdate is a line with an update.
type keptUpdate struct {
	keptAt
	Update json.RawMessage `json:"update"`
}

type keeper struct {
	path   string
	wake   chan struct{}
	lock   *os.File // held while this process writes; run's alone
	tail   *os.File // run's alone
	failed string   // run's alone

	mu      sync.Mutex
	all     *keptMirror // to be written; nil = no
	updates [][]byte    // to be written behind it
	since   int         // bytes of updates since all rows were written
	size    int         // bytes of all rows
	isStale bool        // what is in the file lacks updates
}

// keptMirror is a mirror at one time.
type keptMirror struct {
	keptAt
	mirror // its rows alone
}

func newKeeper(path string) *keeper {
	return &keeper{path: path, wake: make(chan struct{}, 1), isStale: true}
}

// note takes down an update that the mirror has taken. tables are the update; nil = it is too long.
func (k *keeper) note(m *mirror, at keptAt, tables json.RawMessage) {
	defer k.poke()
	k.mu.Lock()
	defer k.mu.Unlock()
	if tables != nil && !k.isStale && k.since < max(k.size, leastTail) {
		text, err := json.Marshal(keptUpdate{at, tables})
		if err == nil {
			k.updates = append(k.updates, text)
			k.since += len(text)
			return
		}
	}
	at.Format = keptFormat
	at.Rows = len(m.globals) + len(m.projects) + len(m.groups) + len(m.rules) + len(m.ports)
	k.all = &keptMirror{at, mirror{globals: maps.Clone(m.globals),
		projects: maps.Clone(m.projects), groups: maps.Clone(m.groups), rules: maps.Clone(m.rules),
		ports: maps.Clone(m.ports)}}
	k.updates, k.since, k.isStale = nil, 0, false
}

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run writes what is noted, until ctx ends.
func (k *keeper) run(ctx context.Context, log *logrus.Entry) {
	defer k.close()
	for {
		select {
		case <-ctx.Done():
			_ = k.write() // else the next start reads what has changed since
			return
		case <-k.wake:
		}
		err := k.write()
		if err != nil && err.Error() != k.failed {
			k.failed = err.Error()
			log.WithError(err).Warn("the policy is not kept: a start without the database has " +
				"an older one, or none")
		}
		if err == nil {
			k.failed = ""
		}
	}
}

func (k *keeper) close() {
	for _, f := range []*os.File{k.tail, k.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// write writes what is noted.
func (k *keeper) write() error {
	k.mu.Lock()
	all, updates := k.all, k.updates
	k.all, k.updates = nil, nil
	k.mu.Unlock()
	if all == nil && len(updates) == 0 {
		return nil
	}
	err := k.own()
	if err == nil && all != nil {
		err = k.writeAll(all)
	}
	if err == nil {
		err = k.append(updates)
	}
	if err != nil {
		k.mu.Lock()
		k.isStale = true
		k.mu.Unlock()
		return fmt.Errorf("keep the policy: %w", err)
	}
	return nil
}

// own has nobody else write the file: a daemon that is about to end may be at it.
func (k *keeper) own() error {
	if k.lock != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, keptMode)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another daemon writes %s: %w", k.path, err), lock.Close())
	}
	k.lock = lock
	return nil
}

// writeAll writes all rows, in a file of their own until they are there.
func (k *keeper) writeAll(m *keptMirror) error {
	file, err := renameio.NewPendingFile(k.path, renameio.WithTempDir(filepath.Dir(k.path)),
		renameio.WithStaticPermissions(keptMode))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	out := bufio.NewWriter(file)
	if err := errors.Join(m.write(out), out.Flush(), file.CloseAtomicallyReplace()); err != nil {
		return err
	}
	if k.tail != nil {
		_ = k.tail.Close()
	}
	k.tail, err = os.OpenFile(k.path, os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, keptMode)
	if err != nil {
		return err
	}
	info, err := k.tail.Stat()
	if err == nil {
		k.mu.Lock()
		k.size = int(info.Size())
		k.mu.Unlock()
	}
	return err
}

// append writes updates behind the rows.
func (k *keeper) append(updates [][]byte) error {
	if len(updates) == 0 {
		return nil
	}
	var out bytes.Buffer
	for _, text := range updates {
		_ = line(&out, text) // into memory
	}
	if _, err := k.tail.Write(out.Bytes()); err != nil {
		return err
	}
	return unix.Fdatasync(int(k.tail.Fd()))
}

func (m *keptMirror) write(out io.Writer) error {
	write := func(v any) error {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return line(out, text)
	}
	return errors.Join(write(m.keptAt),
		forEach(m.globals, func(row *rows.Global) error { return write(keptRow{Global: row}) }),
		forEach(m.projects, func(row *rows.Project) error { return write(keptRow{Project: row}) }),
		forEach(m.groups, func(row *rows.Group) error { return write(keptRow{Group: row}) }),
		forEach(m.rules, func(row *rows.Rule) error { return write(keptRow{Rule: row}) }),
		forEach(m.ports, func(row *rows.Port) error { return write(keptRow{Port: row}) }))
}

func forEach[T any](table map[string]*T, do func(*T) error) error {
	for _, row := range table {
		if err := do(row); err != nil {
			return err
		}
	}
	return nil
}

// line writes a text and its sum.
func line(out io.Writer, text []byte) error {
	_, err := fmt.Fprintf(out, "%08x %s\n", sumOf(text), text)
	return err
}

func sumOf(text []byte) uint32 { return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) }

// recall reads the file; nil = there is none.
func (k *keeper) recall() (*mirror, keptAt, error) {
	file, err := openTrusted(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keptAt{}, nil
	}
	if err != nil {
		return nil, keptAt{}, err
	}
	defer file.Close()
	m, at, err := recalled(bufio.NewReader(file))
	if err != nil {
		return nil, keptAt{}, fmt.Errorf("%s: %w", k.path, err)
	}
	return m, at, nil
}

// openTrusted opens a file that nobody else could have written.
func openTrusted(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		owner, isKnown := info.Sys().(*syscall.Stat_t)
		if !info.Mode().IsRegular() || info.Mode()&0o022 != 0 || !isKnown ||
			int(owner.Uid) != os.Geteuid() {
			err = fmt.Errorf("%s may be written by others: it is not believed", path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// errDamaged says that a line is not what was written.
var errDamaged = errors.New("it is damaged")

// recalled reads the lines. What is behind the rows may end in the middle of a line.
func recalled(in *bufio.Reader) (*mirror, keptAt, error) {
	var at keptAt
	if err := readLine(in, &at); err != nil {
		return nil, at, err
	}
	if at.Format != keptFormat {
		return nil, at, fmt.Errorf("it has the format %d, and this portcullis reads %d", at.Format,
			keptFormat)
	}
	m := newMirror()
	u := m.begin(client.All)
	for range at.Rows {
		var row keptRow
		if err := readLine(in, &row); err != nil {
			return nil, at, err
		}
		u.recall(row)
	}
	m.apply(u)
	for {
		var next keptUpdate
		switch err := readLine(in, &next); {
		case errors.Is(err, io.EOF):
			return m, at, nil
		case err != nil:
			if _, more := in.Peek(1); more == nil {
				return nil, at, err // it is not the last line
			}
			return m, at, nil
		}
		u := m.begin(client.Changes)
		if err := client.Replay(next.Update, &recalling{u}); err != nil {
			return nil, at, err
		}
		m.apply(u)
		at.Last, at.Cluster, at.Losers = next.Last, next.Cluster, next.Losers
	}
}

// recalling is a batch of what was kept.
type recalling struct{ update *update }

func (r *recalling) Row(table, uuid string, u client.RowUpdate) error {
	return r.update.row(table, uuid, u)
}

func (r *recalling) Commit(string, json.RawMessage) {}

// recall takes a row as it was.
func (u *update) recall(r keptRow) {
	switch {
	case r.Global != nil:
		u.globals.recall(r.Global.UUID, r.Global)
	case r.Project != nil:
		u.projects.recall(r.Project.UUID, r.Project)
	case r.Group != nil:
		u.groups.recall(r.Group.UUID, r.Group)
	case r.Rule != nil:
		u.rules.recall(r.Rule.UUID, r.Rule)
	case r.Port != nil:
		for n, group := range r.Port.Groups {
			r.Port.Groups[n] = unique.Make(group).Value() // as from the server
		}
		u.ports.recall(r.Port.UUID, r.Port)
	}
}

func (s *staged[T, P]) recall(uuid string, row *T) {
	if s.next == nil {
		s.next = map[string]*T{}
	}
	s.next[uuid] = row
}

// readLine reads a line whose sum is right; io.EOF = there is none.
func readLine(in *bufio.Reader, into any) error {
	text, err := in.ReadBytes('\n')
	if len(text) == 0 {
		return err
	}
	if err != nil || len(text) < len("00000000 \n") {
		return errDamaged
	}
	sum, err := strconv.ParseUint(string(text[:8]), 16, 32)
	text = text[9 : len(text)-1]
	if err != nil || uint32(sum) != sumOf(text) {
		return errDamaged
	}
	return json.Unmarshal(text, into)
}
