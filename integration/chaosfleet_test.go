//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// fleetChaosTime is how long the chaos of a fleet lasts unless CHAOS_TIME says otherwise.
const fleetChaosTime = 45 * time.Second

// slowFault is what a fault may take without a word about it.
const slowFault = 10 * time.Second

// slowHost is what a host may take to what is in the database without a word about it, and
// slowestHost what it may take at all, once all members are up: as long as it takes to leave one
// that is stuck, with what a loaded machine adds.
const (
	slowHost    = 5 * time.Second
	slowestHost = 30 * time.Second
)

// fleetChaos is a fleet in which things happen in an order drawn by lot.
type fleetChaos struct {
	t       *testing.T
	l       *fleetlab.Lab
	dice    *rand.Rand
	writers []*writer
	passing map[string]*testnet.Stream // admitted by every generation: none may be lost
	toggling
	denied  *barrage                 // admitted by none
	shots   map[string]testnet.Frame // of denied
	from    map[string]string        // their senders
	count   map[string]int           // what happened, by kind
	history []string                 // and when
	where   string                   // the host that the policy places the mover at
	moved   string                   // and where it is
	sent    int64                    // of denied, so far
	moving  uint64                   // packets of streams to the mover
	slowest time.Duration            // what a host has taken at most to what is in the database
	backup  backup
}

// backup is one of the database, and what its policy says.
type backup struct {
	file   string // "" = there is none
	admits bool   // what is toggled
	where  string // the mover is placed
}

// Whatever happens to a fleet, in whatever order: no packet passes that no generation admits which
// could be in force on the host that judges it, none is lost that all admit, no change that was
// acknowledged is lost or made twice, and in the end every host holds what the policy compiles to.
func TestChaosFleet(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("CHAOS_TIME"))
	if err != nil {
		lasts = fleetChaosTime
	}
	seed, unset := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64)
	switch {
	case unset != nil && err != nil: // among all other tests the same faults each time
		seed = 11
	case unset != nil:
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("CHAOS_SEED=%d CHAOS_TIME=%s", seed, lasts)
	c := &fleetChaos{t: t, dice: rand.New(rand.NewPCG(seed, 1)), passing: map[string]*testnet.Stream{},
		toggling: newToggling(), count: map[string]int{}, where: "hv3", moved: "hv3"}
	c.l = newFleet(t, fleetlab.Options{Members: 3, Hosts: 3, HasRelay: true, HasSmallDisk: true,
		HasTLS: true, HasFakeClock: true,
		Outside: outside(), Policy: c.policy()})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened last:\n%s", strings.Join(c.history[max(0, len(c.history)-50):], "\n"))
		}
	})
	c.begin()
	var faults []fault // of this round: each happens once before any happens again
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		if len(faults) == 0 {
			faults = c.faults()
			c.dice.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		f := faults[0]
		faults = faults[1:]
		c.note(f.name)
		began := time.Now()
		f.happen()
		happened := time.Since(began)
		if c.dice.IntN(3) > 0 {
			c.settled()
		}
		if took := time.Since(began); took > slowFault {
			t.Logf("%s took %s, and %s until all was as it should be", f.name,
				happened.Round(time.Second), took.Round(time.Second))
		}
		if t.Failed() {
			break
		}
	}
	c.end()
}

// note says that something happens.
func (c *fleetChaos) note(what string) {
	c.count[what]++
	c.history = append(c.history, time.Now().UTC().Format("15:04:05.000 ")+what)
}

// policy is the next one: always admitted are the ports 5000-5009, never 6000, and 5010-5019 as the
// dice said; the rest varies.
func (c *fleetChaos) policy() string {
	rules := []string{in("udp 5000-5009", any4), in("udp 5000-5009", any6)}
	if c.admits {
		rules = append(rules, in("udp 5010-5019", "@g"), in("udp 5010-5019", "198.51.100.2/32"),
			in("udp 5010-5019", "2001:db8:2::2/128"))
	}
	for range c.dice.IntN(5) {
		rules = append(rules,
			in(fmt.Sprintf("tcp %d", 7000+c.dice.IntN(1000)), fmt.Sprintf("10.%d.0.0/16", c.dice.IntN(200))))
	}
	other := group{name: "other",
		rules: []string{in(fmt.Sprintf("tcp %d-%d", 100+c.dice.IntN(100), 300+c.dice.IntN(100)), any4)}}
	for i := range c.dice.IntN(50) {
		other.external = append(other.external, fmt.Sprintf("192.0.2.%d/32", i))
	}
	c.dice.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
	return document([]group{{name: "g", rules: rules}, other,
		{name: "closed", rules: []string{out("tcp 9", any4)}}},
		vm("a", 11, "g").on("hv1"), vm("b", 21, "g", "other").on("hv2"), vm("c", 31, "closed").on("hv3"),
		wanderer.on(c.where))
}

// wanderer is an instance that moves from host to host.
var wanderer = vm("mover", 41, "g")

func (c *fleetChaos) begin() {
	for _, f := range families {
		for n, client := range []string{"client", "b"} {
			name := client + " to a, " + f.String()
			c.passing[name] = c.push(client, "a", f, 5000+uint16(n))
			c.toggled[name] = c.push(client, "a", f, 5010+uint16(n))
		}
		c.passing["a to b, "+f.String()] = c.push("a", "b", f, 5002)
		s, err := c.l.Echoes("b", "a", f, 5015)
		require.NoError(c.t, err)
		c.toggled["b to a and back, "+f.String()] = s
	}
	flows(c.t, c.passing)
	c.shots, c.from = map[string]testnet.Frame{}, map[string]string{}
	shot := func(from, to string, p testnet.IP) {
		name := fmt.Sprintf("%s to %s %d", from, to, len(c.shots))
		c.shots[name], c.from[name] = p.Frame(), from
	}
	shot("client", "a", c.l.Opening("client", "a", testnet.UDP(6000), testnet.IPv4))
	shot("b", "a", c.l.Opening("b", "a", testnet.UDP(6000), testnet.IPv6))
	shot("a", "c", c.l.Opening("a", "c", testnet.UDP(5000), testnet.IPv4))
	shot("client", "mover", c.l.Opening("client", "mover", testnet.UDP(6000), testnet.IPv4))
	shot("c", "client", c.l.Opening("c", "client", testnet.UDP(5000), testnet.IPv6))
	forged := c.l.Opening("b", "client", testnet.UDP(5000), testnet.IPv4)
	forged.From = c.l.Host("a").Address(testnet.IPv4)
	shot("b", "nobody", forged)
	c.fire()
	for n := range 3 {
		c.writers = append(c.writers, c.startWriter(n))
	}
}

func (c *fleetChaos) push(client, server string, f testnet.Family, port uint16) *testnet.Stream {
	s, err := c.l.PushFromClient(client, server, f, port)
	require.NoError(c.t, err)
	return s
}

func (c *fleetChaos) fire() {
	c.denied = fire(c.t, c.l, c.shots, c.from)
}

// judge ends the present barrage. What is sent to an instance of another host goes by the fabric,
// where its host has not judged it yet.
func (c *fleetChaos) judge() {
	c.sent += c.denied.sent.Load()
	c.denied.spared = map[string]string{}
	for name := range c.shots {
		if strings.HasPrefix(name, "b to a") || strings.HasPrefix(name, "a to c") {
			c.denied.spared[name] = testnet.Beyond
		}
	}
	c.denied.nothing(c.t, "client")
}

// settled waits until the present generation is in force everywhere, and takes notice of what is
// cut from then on. All parts are up.
func (c *fleetChaos) settled() {
	generation, err := c.l.Generation()
	require.NoError(c.t, err)
	began := time.Now()
	for _, m := range c.l.Machines {
		require.NoError(c.t, m.AwaitGeneration(generation))
		took := time.Since(began)
		if took > slowHost {
			c.t.Logf("generation %d was in force on %s after %s: %s", generation, m.Name,
				took.Round(time.Second), m.Said("followed"))
		}
		c.slowest = max(c.slowest, took)
		require.Less(c.t, took, testnet.Slowed(slowestHost), "%s: all members are up: %s", m.Name,
			m.Said("followed"))
	}
	flows(c.t, c.passing)
	c.close(c.t, c.l)
}

// pass lets the streams send so many packets: the clock of the chaos.
func (c *fleetChaos) pass(packets int) {
	c.passing["a to b, IPv4"].AwaitSent(uint64(packets))
}

// edit writes another policy; the operator reaches a majority of the members.
func (c *fleetChaos) edit() {
	c.note("edit")
	c.reopen(c.t)
	c.admits = c.admits != (c.dice.IntN(3) > 0)
	c.apply()
}

// apply puts the policy into the database. Where it is not known to be made, as a majority was just
// being found again, it is made again: what is there already changes nothing.
func (c *fleetChaos) apply() {
	for began := time.Now(); ; c.count["said not to be written, and again"]++ {
		_, err := c.l.Apply(c.policy())
		isWritten := err == nil || !regexp.MustCompile(unwritten).MatchString(err.Error())
		if isWritten || time.Since(began) > testnet.Slowed(patience) {
			require.NoError(c.t, err)
			return
		}
	}
}

func (c *fleetChaos) end() {
	for _, w := range c.writers {
		w.stop(c.t)
	}
	c.settled()
	c.reopen(c.t)
	c.judge()
	var sent, lost uint64
	for name, s := range c.passing {
		last := s.AwaitSent(50)
		require.True(c.t, s.Await(last, testnet.Slowed(patience)), "the stream %s has stopped", name)
		sent += last
		missing := s.Missing(1, last)
		lost += uint64(len(missing))
		if len(missing) > 0 {
			c.t.Logf("lost of %s: %d from number %d on", name, len(missing), missing[0])
		}
	}
	acknowledged := c.audit()
	held := c.compiled()
	c.t.Logf("%v", c.count)
	c.t.Logf("in force on every host at most %s after all was up", c.slowest.Round(time.Millisecond))
	c.t.Logf("passed against every generation: 0 of %d denied packets and 0 of %d of streams that were cut", c.sent, c.checked)
	c.t.Logf("lost: %d of %d packets that every generation admits, and 0 of %d to the instance that moved", lost, sent, c.moving)
	c.t.Logf("changes lost or made twice: 0 of %d acknowledged", acknowledged)
	c.t.Logf("%v flows, as a fresh compile has them", held)
	require.Zero(c.t, lost)
}
