//go:build integration

package integration

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// fault is something that happens to a fleet, and is over when happen returns.
type fault struct {
	name   string
	happen func()
}

func (c *fleetChaos) faults() []fault {
	return []fault{
		{"member killed", c.killMember},
		{"member stopped where it is", c.hangMember},
		{"member cut off", c.cutMember},
		{"two members cut from each other", c.cutApart},
		{"member compacted", c.compact},
		{"member's disk full", c.fillDisk},
		{"majority gone", c.loseMajority},
		{"all members restarted", c.restartAll},
		{"relay lost", c.loseRelay},
		{"daemon killed", c.killDaemon},
		{"daemon stopped where it is", c.hangDaemon},
		{"host cut off", c.cutHost},
		{"host cut off, and its daemon killed", c.coldStart},
		{"wrong clocks", c.wrongClocks},
		{"member's clock jumps", c.jumpClock},
		{"instance moved", c.move},
		{"backup taken", c.backUp},
		{"backup restored", c.restore},
	}
}

// meanwhile is what happens in the course of a fault of the database, or nothing.
func (c *fleetChaos) meanwhile() {
	switch c.dice.IntN(6) {
	case 0:
		c.killDaemon()
	case 1:
		c.cutHost()
	case 2:
		c.pass(200)
	default:
		c.edit()
	}
}

func (c *fleetChaos) member() *fleetlab.Server { return c.l.Members[c.dice.IntN(3)] }

func (c *fleetChaos) machine() *fleetlab.Machine { return c.l.Machines[c.dice.IntN(3)] }

// start starts a member that was ended, and waits until it is one of the cluster again.
func (c *fleetChaos) start(m *fleetlab.Server) {
	require.NoError(c.t, m.Start())
	require.NoError(c.t, c.l.AwaitServing(m))
}

func (c *fleetChaos) killMember() {
	m := c.member()
	require.NoError(c.t, m.Kill())
	c.meanwhile()
	c.start(m)
}

func (c *fleetChaos) hangMember() {
	goOn, err := c.member().Hang()
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, goOn()) }()
	c.edit()
	c.pass(c.dice.IntN(1500))
}

func (c *fleetChaos) cutMember() {
	m := c.member()
	require.NoError(c.t, m.CutOff())
	c.edit()
	c.pass(c.dice.IntN(1500))
	require.NoError(c.t, m.Rejoin())
}

func (c *fleetChaos) cutApart() {
	n := c.dice.IntN(3)
	a, b := c.l.Members[n], c.l.Members[(n+1)%3]
	require.NoError(c.t, a.CutFrom(b.Node))
	c.meanwhile()
	c.pass(c.dice.IntN(1500))
	require.NoError(c.t, a.JoinWith(b.Node))
}

func (c *fleetChaos) compact() {
	_, err := c.member().Appctl("ovsdb-server/compact", "Portcullis")
	require.NoError(c.t, err)
	c.meanwhile()
}

// fillDisk has a member miss changes that it acknowledges to nobody. Its file has a hole then,
// which a compaction closes; or it writes nothing more, or serves the database no more at all, and
// a restart is enough. If it leads, and goes on to, nothing is written until it is stopped.
func (c *fleetChaos) fillDisk() {
	m := c.l.Members[2]
	require.NoError(c.t, m.FillDisk())
	c.reopen(c.t)
	c.admits = c.dice.IntN(2) == 0
	text := c.policy()
	_, err := c.l.Apply(text, "--timeout", "3s")
	if err != nil {
		require.Regexp(c.t, unwritten, err)
	}
	c.killDaemon()
	require.NoError(c.t, m.FreeDisk())
	if err := m.Compact(); err != nil {
		require.Regexp(c.t, "following failure|unknown cluster", err)
	}
	require.NoError(c.t, m.Kill())
	c.start(m)
	_, err = c.l.Apply(text)
	require.NoError(c.t, err)
}

// unwritten is what is said of a change that is not known to be made.
const unwritten = "may have been made, or not|nothing was written|does not answer"

// loseMajority has nothing written, and takes nothing out of force. Of what was tried nobody knows
// whether it is in force later, until it is tried again.
func (c *fleetChaos) loseMajority() {
	n := c.dice.IntN(3)
	for k := range 2 {
		require.NoError(c.t, c.l.Members[(n+k)%3].Kill())
	}
	c.reopen(c.t)
	c.admits = c.dice.IntN(2) == 0
	text := c.policy()
	_, err := c.l.Apply(text, "--timeout", "3s")
	require.Error(c.t, err)
	require.Regexp(c.t, unwritten, err, "one member of three acknowledges nothing, and in words")
	c.killDaemon()
	for k := range 2 {
		c.start(c.l.Members[(n+k)%3])
	}
	_, err = c.l.Apply(text)
	require.NoError(c.t, err)
}

func (c *fleetChaos) restartAll() {
	for _, m := range c.l.Members {
		require.NoError(c.t, m.Kill())
	}
	c.killDaemon()
	for _, m := range c.l.Members {
		require.NoError(c.t, m.Start())
	}
	for _, m := range c.l.Members {
		require.NoError(c.t, c.l.AwaitServing(m))
	}
}

func (c *fleetChaos) loseRelay() {
	switch r := c.l.Relay; c.dice.IntN(3) {
	case 0:
		require.NoError(c.t, r.Kill())
		c.edit()
		c.start(r)
	case 1:
		goOn, err := r.Hang()
		require.NoError(c.t, err)
		c.edit()
		c.pass(c.dice.IntN(1500))
		require.NoError(c.t, goOn())
	case 2:
		require.NoError(c.t, r.CutOff())
		c.edit()
		c.pass(c.dice.IntN(1500))
		require.NoError(c.t, r.Rejoin())
	}
}

func (c *fleetChaos) killDaemon() {
	m := c.machine()
	require.NoError(c.t, m.KillDaemon())
	require.NoError(c.t, m.StartDaemon())
}

func (c *fleetChaos) hangDaemon() {
	goOn, err := c.machine().HangDaemon()
	require.NoError(c.t, err)
	c.edit()
	c.pass(c.dice.IntN(500))
	require.NoError(c.t, goOn())
}

func (c *fleetChaos) cutHost() {
	m := c.machine()
	require.NoError(c.t, m.CutOff())
	c.pass(c.dice.IntN(1000))
	if c.dice.IntN(2) == 0 {
		c.edit()
	}
	require.NoError(c.t, m.Rejoin())
}

// coldStart has a daemon begin with what its disk has: never less than what was in force.
func (c *fleetChaos) coldStart() {
	m := c.machine()
	require.NoError(c.t, m.CutOff())
	require.NoError(c.t, m.KillDaemon())
	require.NoError(c.t, m.StartDaemon())
	c.pass(c.dice.IntN(500))
	if c.dice.IntN(2) == 0 {
		c.edit()
	}
	require.NoError(c.t, m.Rejoin())
}

// wrongClocks has members and writers with clocks that are years off: times in the database are for
// people, and no host goes by them.
func (c *fleetChaos) wrongClocks() {
	for _, years := range []int{20, -20} {
		at := time.Now().AddDate(years, 0, 0).UnixMilli()
		m := c.member()
		_, err := m.Run("ovsdb-client", "--timeout=10", "transact", m.Socket(), fmt.Sprintf(
			`["Portcullis",{"op":"update","table":"Global","where":[],"row":{"beat":%d,"generation_at":%d}}]`,
			at, at))
		require.NoError(c.t, err)
		c.edit()
	}
}

// jumpClock has a member's clock set, and set right again: as far ahead as its certificates hold,
// and back to before they did, when nobody who comes anew is let in there.
func (c *fleetChaos) jumpClock() {
	m := c.l.Members[0]
	jumps := []time.Duration{20 * 24 * time.Hour, -24 * time.Hour, 30 * time.Second, -time.Minute}
	require.NoError(c.t, m.SetClock(jumps[c.dice.IntN(len(jumps))]))
	c.meanwhile()
	c.pass(c.dice.IntN(1500))
	require.NoError(c.t, m.SetClock(0))
}

// move has the mover on another host: its interface goes there before the policy does, or after it.
// Where the policy does not place it, it hears nothing and is heard by nobody.
func (c *fleetChaos) move() {
	to := c.l.Machines[c.dice.IntN(3)].Name
	if to == c.moved {
		return
	}
	c.settled()
	c.judge()
	if c.dice.IntN(2) == 0 {
		c.carry(to)
		c.deaf()
		c.reopen(c.t)
		c.where = to
		c.apply()
	} else {
		c.reopen(c.t)
		c.where = to
		c.apply()
		c.carry(to)
	}
	require.NoError(c.t, c.l.AwaitPlaced("mover"))
	c.follow()
	c.fire()
}

// carry has the mover's interface on another host.
func (c *fleetChaos) carry(to string) {
	require.NoError(c.t, c.l.Displace("mover"))
	require.NoError(c.t, c.l.Place(wanderer.spec(), to))
	c.moved = to
}

// deaf asserts that nothing reaches the mover that the policy does not place where it is.
func (c *fleetChaos) deaf() {
	for _, port := range []uint16{5000, 6000} {
		token, err := c.l.Inject("client", c.l.Opening("client", "mover", testnet.UDP(port),
			testnet.IPv4).Frame())
		require.NoError(c.t, err)
		require.NoError(c.t, c.l.AwaitForwarded("client"))
		require.NotContains(c.t, c.l.Saw("client", token), "mover")
	}
}

// follow moves packets to the mover where it is now, and none is lost.
func (c *fleetChaos) follow() {
	s, err := c.l.PushFromClient("client", "mover", testnet.IPv4, 5003)
	require.NoError(c.t, err)
	last := s.AwaitSent(200)
	require.True(c.t, s.Await(last, testnet.Slowed(patience)))
	require.Empty(c.t, s.Missing(1, last), "lost on the way to the mover")
	require.NoError(c.t, s.Close())
	c.moving += last
}

// backUp takes a backup.
func (c *fleetChaos) backUp() {
	file := c.l.Operator.Dir + "/backup.db"
	_, err := c.l.Portcullis("db", "backup", file, "--db", c.l.Writers())
	require.NoError(c.t, err)
	c.backup = backup{file, c.admits, c.where}
}

// restore has the database hold again what it held at the last backup: changes since then are gone,
// and were asked to go. Hosts follow as they follow any other change.
func (c *fleetChaos) restore() {
	if c.backup.file == "" {
		c.backUp()
		c.edit()
	}
	c.settled()
	for _, w := range c.writers {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	c.audit()
	c.reopen(c.t)
	moves := c.moved != c.backup.where
	if moves { // while it is placed elsewhere, nothing reaches it
		c.judge()
	}
	before, err := c.l.Generation()
	require.NoError(c.t, err)
	_, err = c.l.Portcullis("db", "restore", c.backup.file, "--yes", "--db", c.l.Writers())
	require.NoError(c.t, err)
	after, err := c.l.Generation()
	require.NoError(c.t, err)
	require.Greater(c.t, after, before, "hosts would take it for one that is behind")
	c.recount()
	c.admits = c.backup.admits
	if c.where = c.backup.where; moves {
		c.carry(c.where)
		require.NoError(c.t, c.l.AwaitPlaced("mover"))
		c.fire()
	}
}
