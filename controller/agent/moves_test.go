package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows"
)

// fakeAnnouncer remembers what neighbours were told, and what the switch held then.
type fakeAnnouncer struct {
	sw *agenttest.Switch

	mu        sync.Mutex
	failing   error
	announced []string
}

func (f *fakeAnnouncer) Announce(_ context.Context, list []flows.Announcement) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return f.failing
	}
	held, _ := f.sw.Holds()
	for _, a := range list {
		inForce := "too early"
		for _, h := range held {
			if strings.Contains(h.Match.String(), "dl_src="+a.MAC.String()) || a.OFPort == 0 {
				inForce = "in force"
			}
		}
		f.announced = append(f.announced, fmt.Sprintf("%s at %s, port %d, %s", a.Address, a.MAC, a.OFPort,
			inForce))
	}
	return nil
}

// drain returns what was told since the last time.
func (f *fakeAnnouncer) drain() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.announced
	f.announced = nil
	return told
}

func (f *fakeAnnouncer) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = err
}

// addressed is a policy of instances "name host mac-byte address".
func addressed(instances ...string) string {
	var b strings.Builder
	b.WriteString("groups: []\ninstances:\n")
	for _, i := range instances {
		var name, host, address string
		var last byte
		_, _ = fmt.Sscanf(i, "%s %s %x %s", &name, &host, &last, &address)
		fmt.Fprintf(&b, "  - {name: %s, host: %s, ports: [{name: %s, mac: 02:00:00:00:00:%02x, "+
			"addresses: [%s]}]}\n", name, host, name, last, address)
	}
	return b.String()
}

func TestNeighboursAreToldThatAnAddressMoved(t *testing.T) {
	announcer := &fakeAnnouncer{}
	start := addressed("a hv1 a 10.0.0.1", "b hv1 b 10.0.0.2", "c hv2 c 2001:db8::3",
		"n hv1 d 10.1.0.0/24")
	agenttest.RunWith(t, start, func(w *agenttest.World) {
		announcer.sw, w.Announcer = w.Sw, announcer
	}, func(w *agenttest.World) {
		told := func(instances ...string) []string {
			w.Policy.Set(addressed(instances...))
			w.InSync()
			return announcer.drain()
		}
		require.Empty(t, announcer.drain(), "nothing is known to have moved before")
		require.Empty(t, told("a hv1 a 10.0.0.1", "b hv1 b 10.0.0.2", "c hv2 c 2001:db8::3",
			"d hv1 e 10.0.0.9"), "an address that is new")
		require.Equal(t, []string{"10.0.0.1 at 02:00:00:00:00:0b, port 2, in force"},
			told("b hv1 b 10.0.0.2,10.0.0.1", "c hv2 c 2001:db8::3"),
			"from one local port to another")
		require.Equal(t, []string{"2001:db8::3 at 02:00:00:00:00:0e, port 0, in force"},
			told("b hv1 b 10.0.0.2", "e hv2 e 2001:db8::3"))
		require.Empty(t, told("b hv1 b 10.0.0.2", "e hv1 e 2001:db8::3"),
			"to another host, with its MAC")
		require.Empty(t, told("b hv1 b 10.0.0.2"))
		require.Equal(t, []string{"10.0.0.1 at 02:00:00:00:00:0f, port 0, in force"},
			told("b hv1 b 10.0.0.2", "f hv2 f 10.0.0.1"),
			"an address that nobody had for a while")

		announcer.fail(errors.New("the switch is busy"))
		require.Empty(t, told("b hv1 b 10.0.0.2", "g hv2 10 10.0.0.1"))
		announcer.fail(nil)
		require.Equal(t, []string{"10.0.0.1 at 02:00:00:00:00:10, port 0, in force"},
			told("b hv1 b 10.0.0.2,10.0.0.5", "g hv2 10 10.0.0.1"))
		require.Empty(t, told("b hv1 b 10.0.0.2", "g hv2 10 10.0.0.1"), "once")
	})
}
