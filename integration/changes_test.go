//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// manyChanges is how many policies follow each other.
const manyChanges = 1000

// A thousand policies one after the other end with exactly the flows of the last, and leave nothing
// behind: no zone, no row, no memory; what all of them admit loses nothing.
func TestThousandChanges(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	policy := func(round int) string {
		g := group{name: "g", rules: []string{in("udp 5000-5009", any4), in("udp 5000-5009", any6)}}
		other := group{name: "other"}
		for range dice.IntN(8) {
			other.rules = append(other.rules,
				in(fmt.Sprintf("tcp %d-%d", 1+dice.IntN(1000), 2000+dice.IntN(1000)), "@g"))
			g.rules = append(g.rules,
				in(fmt.Sprintf("tcp %d", 1+dice.IntN(65535)), fmt.Sprintf("10.%d.0.0/16", dice.IntN(255))))
		}
		for i := range dice.IntN(30) {
			other.external = append(other.external, fmt.Sprintf("192.0.2.%d/32", i))
		}
		machines := []machine{vm("a", 11, "g"), vm("b", 21, "g", "other")}
		for i := range 3 {
			if round > 0 && dice.IntN(8) == 0 {
				machines = append(machines,
					vm(fmt.Sprintf("new%d", i), byte(81+i), "other").with("type: internal"))
			}
		}
		return document([]group{g, other}, machines...)
	}
	w := newWorld(t, testnet.Spec{Policy: policy(0), Outside: outside(), Daemon: daemon(t)})
	streams := everyPair(t, w)
	var memory int64
	for round := 1; round <= manyChanges; round++ {
		require.NoError(t, w.ReplacePolicy(policy(round)))
		if round%5 == 0 { // the others may come faster than they are read
			require.NoError(t, w.AwaitProgrammed())
		}
		time.Sleep(time.Duration(dice.IntN(20)) * time.Millisecond) // so that some are read
		if round == manyChanges/10 {
			memory = w.Memory()
		}
	}
	held := requireCompiled(t, w)
	status, err := w.Status()
	require.NoError(t, err)
	for _, p := range status.Ports {
		require.LessOrEqual(t, p.Zone, uint16(5), "zones are used again: %s", p.Name)
	}
	after := w.Memory()
	t.Logf("%d flows, as a fresh compile has them; %d bundles; memory %d MiB after a tenth, %d MiB at the end", held, status.Counters.Applies, memory>>20, after>>20)
	require.Less(t, after, memory+memory/2)
	complete(t, streams)
	logReceived(t, streams)
}

// A change of files, however it is made, is read once, and whole.
func TestFilesAreReadWholeAndOnce(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	path := filepath.Join(w.Dir, "policy.yaml")
	good := pairPolicy(vm("late", 31, "g"))
	version := func(n int) string {
		return strings.ReplaceAll(good, "ports: 5000,", fmt.Sprintf("ports: %d,", n)) +
			strings.Repeat("# a long file\n", 20000)
	}
	n := 6000
	for name, write := range map[string]func(text string) error{
		"replaced":        w.ReplacePolicy,
		"edited in place": func(text string) error { return os.WriteFile(path, []byte(text), 0o600) },
		"written piece by piece": func(text string) error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			for part := []byte(text); len(part) > 0; {
				n := min(len(part), len(text)/8)
				if _, err := f.Write(part[:n]); err != nil {
					return err
				}
				part = part[n:]
				time.Sleep(10 * time.Millisecond) // as a slow editor does
			}
			return f.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				was := restful(t, w)
				n++
				require.NoError(t, write(version(n)))
				_, err := w.AwaitStatus(
					func(s testnet.Status) bool {
						return s.Policy.Digest != was.Policy.Digest && s.State == "in sync"
					})
				require.NoError(t, err)
				now := restful(t, w)
				require.Equal(t, was.Counters.ReloadsFailed, now.Counters.ReloadsFailed, "a half-read file")
				require.Equal(t, was.Counters.Reloads+1, now.Counters.Reloads)
				admits(t, w, "client", "a", testnet.TCP(uint16(n)), testnet.IPv4, true)
			}
		})
	}
}

// restful returns the status when the files have not been read for as long as it takes to notice
// that they changed.
func restful(t *testing.T, w *testnet.World) testnet.Status {
	t.Helper()
	const rest = 300 * time.Millisecond
	var last testnet.Status
	at := time.Now()
	s, err := w.AwaitStatus(func(s testnet.Status) bool {
		if s.Counters.Reloads != last.Counters.Reloads {
			last, at = s, time.Now()
		}
		return time.Since(at) > testnet.Slowed(rest)
	})
	require.NoError(t, err)
	return s
}
