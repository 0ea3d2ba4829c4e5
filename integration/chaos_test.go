//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// chaosTime is how long the chaos lasts unless CHAOS_TIME says otherwise.
const chaosTime = 30 * time.Second

// chaos is a world in which things happen in an order drawn by lot.
type chaos struct {
	t       *testing.T
	w       *testnet.World
	dice    *rand.Rand
	passing map[string]*testnet.Stream // admitted by every policy
	// numbers of theirs that may be lost: they were under way in a stated window
	lossy map[string][]interval
	toggling
	denied  *barrage                 // admitted by none
	shots   map[string]testnet.Frame // of denied
	from    map[string]string        // their senders
	count   map[string]int           // what happened, by kind
	history []string                 // and when
	taken   bool                     // flows were taken away since denied began
	round   int                      // policies so far
	sent    int64                    // of denied, so far
}

// interval is a range of numbers, both ends included.
type interval struct{ first, last uint64 }

// Whatever happens, in whatever order: nothing passes against the policy, nothing is lost outside
// the windows that are stated (a restart of ovs-vswitchd until its flows are back; on the userspace
// datapath also that of ovsdb-server, which ovs-vswitchd waits for; flows taken away by hand until
// they are repaired), and in the end the bridge holds what the policy compiles to.
func TestChaos(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	lasts, err := time.ParseDuration(os.Getenv("CHAOS_TIME"))
	if err != nil {
		lasts = chaosTime
	}
	t.Logf("CHAOS_SEED=%d CHAOS_TIME=%s", seed, lasts)
	c := &chaos{t: t, dice: rand.New(rand.NewPCG(seed, 0)), passing: map[string]*testnet.Stream{},
		toggling: newToggling(), lossy: map[string][]interval{}, count: map[string]int{}}
	c.w = newWorld(t, testnet.Spec{Policy: c.policy(), Outside: outside(), Daemon: daemon(t)})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened last:\n%s", strings.Join(c.history[max(0, len(c.history)-50):], "\n"))
		}
	})
	c.begin()
	happenings := []struct {
		name   string
		happen func()
	}{
		{"policy edited", c.edit}, {"policy edited", c.edit}, {"policy edited", c.edit},
		{"daemon killed", c.killDaemon}, {"daemon killed", c.killDaemon},
		{"ovs-vswitchd killed", c.killSwitch}, {"ovsdb-server killed", c.killDatabase},
		{"flows taken away", c.takeFlows}, {"flows added", c.addFlows},
		{"hole opened by hand", c.admitByHand}, {"port churned", c.churn}, {"port churned", c.churn},
	}
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		h := happenings[c.dice.IntN(len(happenings))]
		c.count[h.name]++
		c.history = append(c.history, time.Now().UTC().Format("15:04:05.000 ")+h.name)
		h.happen()
		if t.Failed() {
			break
		}
	}
	c.end()
}

// policy is the next one: always admitted are the ports 5000-5009, never 6000, and 5010-5019 as the
// dice said; the rest varies.
func (c *chaos) policy() string {
	c.round++
	rules := []string{in("udp 5000-5009", any4), in("udp 5000-5009", any6), in("icmp 8/0", any4),
		in("icmpv6 128", any6), in("tcp 5000", "@g")}
	if c.admits {
		rules = append(rules, in("udp 5010-5019", any4), in("udp 5010-5019", any6))
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
	machines := []machine{vm("a", 11, "g"), vm("b", 21, "g", "other"), vm("c", 31, "closed")}
	for i := range 3 {
		if c.dice.IntN(2) == 0 {
			machines = append(machines, vm(fmt.Sprintf("far%d", i), byte(71+i), "g", "other").on("hv2"))
		}
		if c.round > 1 && c.dice.IntN(2) == 0 { // Open vSwitch makes its device
			machines = append(machines,
				vm(fmt.Sprintf("new%d", i), byte(81+i), "other").with("type: internal"))
		}
	}
	return document([]group{{name: "g", rules: rules}, other,
		{name: "closed", rules: []string{out("tcp 9", any4)}}}, machines...)
}

func (c *chaos) begin() {
	for _, f := range families {
		for n, client := range []string{"client", "b"} {
			name := client + " to a"
			s, err := c.w.PushFromClient(client, "a", f, 5000+uint16(n))
			require.NoError(c.t, err)
			c.passing[name+", "+f.String()] = s
			s, err = c.w.PushFromClient(client, "a", f, 5010+uint16(n))
			require.NoError(c.t, err)
			c.toggled[name+", "+f.String()] = s
			s, err = c.w.Echoes(client, "a", f, 5015+uint16(n))
			require.NoError(c.t, err)
			c.toggled[name+" and back, "+f.String()] = s
		}
		// what comes through a hole is answered, and known from then on
		answered, err := c.w.Echoes("client", "a", f, 6000)
		require.NoError(c.t, err)
		require.NoError(c.t, answered.Close())
		s, err := c.w.Pings("client", "a", f)
		require.NoError(c.t, err)
		c.passing["pings, "+f.String()] = s
	}
	flows(c.t, c.passing)
	c.shots, c.from = map[string]testnet.Frame{}, map[string]string{}
	shot := func(from, to string, p testnet.IP) {
		name := fmt.Sprintf("%s to %s %d", from, to, len(c.shots))
		c.shots[name], c.from[name] = p.Frame(), from
	}
	for _, f := range families {
		shot("client", "a", c.w.Opening("client", "a", testnet.UDP(6000), f))
		shot("b", "a", c.w.Opening("b", "a", testnet.UDP(6000), f))
		shot("b", "c", c.w.Opening("b", "c", testnet.UDP(5000), f))
		shot("c", "client", c.w.Opening("c", "client", testnet.UDP(5000), f))
		forged := c.w.Opening("b", "client", testnet.UDP(5000), f)
		forged.From = c.w.Host("a").Address(f)
		shot("b", "client", forged)
	}
	c.fire()
}

func (c *chaos) fire() {
	c.denied, c.taken = fire(c.t, c.w, c.shots, c.from), false
}

// settled waits until the policy is in force, and takes notice of what is cut from then on.
func (c *chaos) settled() {
	require.NoError(c.t, c.w.AwaitProgrammed())
	c.close(c.t, c.w)
}

func (c *chaos) edit() {
	c.reopen(c.t)
	c.admits = c.admits != (c.dice.IntN(3) > 0)
	require.NoError(c.t, c.w.ReplacePolicy(c.policy()))
	if c.dice.IntN(3) > 0 {
		c.settled()
	}
}

func (c *chaos) killDaemon() {
	require.NoError(c.t, c.w.KillDaemon())
	if c.dice.IntN(2) == 0 {
		c.reopen(c.t)
		c.admits = c.admits != (c.dice.IntN(3) > 0)
		require.NoError(c.t, c.w.ReplacePolicy(c.policy()))
	}
	require.NoError(c.t, c.w.StartDaemon())
	if c.dice.IntN(2) == 0 {
		c.settled()
	}
}

// window does something during which what must pass may be lost, and returns when it passes again.
func (c *chaos) window(do func()) {
	began := map[string]uint64{}
	for name, s := range c.passing {
		began[name] = s.Last() + 1
	}
	do()
	c.settled()
	flows(c.t, c.passing)
	for name, s := range c.passing {
		c.lossy[name] = append(c.lossy[name], interval{began[name], s.Sent()})
	}
}

func (c *chaos) killSwitch() {
	c.window(func() {
		require.NoError(c.t, c.w.Switch.RestartVswitchd(func() error {
			if c.dice.IntN(3) == 0 {
				if err := c.w.KillDaemon(); err != nil {
					return err
				}
				return c.w.StartDaemon()
			}
			return nil
		}))
	})
}

func (c *chaos) killDatabase() {
	kill := func() {
		require.NoError(c.t, c.w.Switch.StopDatabase(syscall.SIGKILL))
		require.NoError(c.t, c.w.Switch.StartDatabase())
	}
	if testnet.ChosenDatapath() == testnet.Userspace {
		c.window(kill)
		return
	}
	kill()
	c.settled()
}

func (c *chaos) takeFlows() {
	c.settled()
	c.taken = true
	lines := strings.Split(programOf(c.t, c.w), "\n")
	c.window(func() {
		for range 1 + c.dice.IntN(3) {
			_, cookie, ok := strings.Cut(lines[c.dice.IntN(len(lines))], "cookie=")
			if !ok {
				continue
			}
			cookie, _, _ = strings.Cut(cookie, ",")
			_, err := c.w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", testnet.Bridge,
				"cookie="+cookie+"/-1")
			require.NoError(c.t, err)
		}
		awaitCompiled(c.t, c.w)
	})
}

func (c *chaos) addFlows() {
	for range 1 + c.dice.IntN(5) {
		flow := fmt.Sprintf("table=%d,priority=%d,udp,nw_src=192.0.2.%d,actions=drop",
			10*(1+c.dice.IntN(6)), 1+c.dice.IntN(60000), c.dice.IntN(255))
		_, err := c.w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge, flow)
		require.NoError(c.t, err)
	}
}

// admitByHand admits by hand what no policy admits; repaired, it is denied again, the connections
// that it had let in too.
func (c *chaos) admitByHand() {
	c.settled()
	c.judge()
	asleep := c.dice.IntN(2) == 0 // else it is repaired at once, and perhaps nothing comes through
	if asleep {
		require.NoError(c.t, c.w.KillDaemon())
	}
	for _, protocol := range []string{"udp", "udp6"} {
		_, err := c.w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge,
			"table=52,priority=60000,"+protocol+",tp_dst=6000,actions=set_field:0x1/0x1->reg0")
		require.NoError(c.t, err)
	}
	for n, shot := range c.shots {
		require.NoError(c.t, c.w.Host(c.from[n]).Send(shot))
	}
	if asleep {
		c.comeThrough()
		require.NoError(c.t, c.w.StartDaemon())
	}
	awaitCompiled(c.t, c.w) // each of the two is heard of, and repaired, by itself
	_, err := c.w.Switch.Appctl("revalidator/wait")
	require.NoError(c.t, err)
	require.NoError(c.t, c.w.AwaitForwarded("client"))
	c.fire()
}

// comeThrough sends what the hole admits until it comes through. Open vSwitch drops a packet now
// and then while it forgets the datapath flow of the one before (datapath_drop_upcall_error), so
// one alone shows nothing.
func (c *chaos) comeThrough() {
	_, err := c.w.Switch.Appctl("revalidator/wait")
	require.NoError(c.t, err)
	for n, shot := range c.shots {
		if strings.HasPrefix(n, "client to a") || strings.HasPrefix(n, "b to a") {
			var seen error
			for range 3 {
				token, err := c.w.Inject(c.from[n], shot)
				require.NoError(c.t, err)
				if seen = c.w.AwaitSeen("a", token); seen == nil {
					break
				}
			}
			require.NoError(c.t, seen, "what the hole admits")
		}
	}
}

// judge ends the present barrage. What b says to somebody whom the bridge does not know goes beyond
// the uplink, as b may: to c while its port is away, and to a while the flow that knows it is taken
// away.
func (c *chaos) judge() {
	c.sent += c.denied.sent.Load()
	c.denied.spared = map[string]string{}
	for name := range c.shots {
		if strings.HasPrefix(name, "b to c") || c.taken && strings.HasPrefix(name, "b to a") {
			c.denied.spared[name] = testnet.Beyond
		}
	}
	c.denied.nothing(c.t, "client")
}

func (c *chaos) churn() {
	var args []string
	switch c.dice.IntN(3) {
	case 0:
		args = []string{"del-port", "tap-c"}
	case 1:
		args = []string{"del-port", "tap-c", "--", "add-port", testnet.Bridge, "tap-c"}
	case 2:
		args = []string{"set", "Interface", "tap-c",
			fmt.Sprintf("ofport_request=%d", 1000+c.dice.IntN(30000))}
	}
	c.settled() // the port is there
	_, err := c.w.Switch.Run("ovs-vsctl", args...)
	require.NoError(c.t, err)
	if c.dice.IntN(2) == 0 {
		c.settled()
	}
}

func (c *chaos) end() {
	require.NoError(c.t, c.w.AwaitProgrammed())
	flows(c.t, c.passing)
	c.settled()
	c.reopen(c.t)
	c.judge()
	held := awaitCompiled(c.t, c.w) // flows added last may not be heard of yet
	var sent, excused, lost uint64
	for name, s := range c.passing {
		last := s.Last()
		sent += last
		for _, n := range s.Missing(1, last) {
			switch {
			case c.isExcused(name, n):
				excused++
			default:
				lost++
			}
		}
	}
	c.t.Logf("%v; %d policies", c.count, c.round)
	c.t.Logf("passed against the policy: 0 of %d denied packets and 0 of %d of connections that were cut", c.sent, c.checked)
	c.t.Logf("lost outside the stated windows: %d of %d packets (%d within them)", lost, sent, excused)
	c.t.Logf("%d flows, as a fresh compile has them", held)
	require.Zero(c.t, lost)
}

func (c *chaos) isExcused(name string, n uint64) bool {
	for _, i := range c.lossy[name] {
		if i.first <= n && n <= i.last {
			return true
		}
	}
	return false
}
