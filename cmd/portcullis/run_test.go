package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// process is a running `portcullis run` beside a real Open vSwitch.
type process struct {
	t        *testing.T
	vs       *sandbox.OVS
	settings string
	cmd      *exec.Cmd
	log      *os.File
	notices  *net.UnixConn

	environment []string // further variables of the next start
	flags       []string // and flags of it
}

func newDaemon(t *testing.T) *process {
	t.Helper()
	vs := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	settings := site(t, goodPolicy, "log: {level: info, format: json}")
	text, err := os.ReadFile(settings)
	require.NoError(t, err)
	dir := filepath.Dir(settings)
	where := strings.NewReplacer("unix:"+dir+"/db.sock", vs.DB, "unix:"+dir+"/br-int.mgmt",
		vs.Mgmt("br-int"),
		"unix:"+dir+"/api.sock", "unix:"+vs.Dir+"/api.sock")
	require.NoError(t, os.WriteFile(settings, []byte(where.Replace(string(text))), 0o600))
	notices, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: vs.Dir + "/notify",
		Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = notices.Close() })
	return &process{t: t, vs: vs, settings: settings, notices: notices}
}

func (d *process) start() {
	d.t.Helper()
	log, err := os.Create(filepath.Join(d.t.TempDir(), "log"))
	require.NoError(d.t, err)
	d.log = log
	d.cmd = exec.Command(command, append([]string{"run", "--config", d.settings}, d.flags...)...)
	d.cmd.Env = append(d.vs.Env(), "NOTIFY_SOCKET="+d.vs.Dir+"/notify")
	d.cmd.Env = append(d.cmd.Env, d.environment...)
	d.cmd.Stderr = log
	require.NoError(d.t, d.cmd.Start())
	d.t.Cleanup(func() { _ = d.cmd.Process.Kill() })
}

// ready starts the daemon and waits until it tells systemd that the switch is programmed.
func (d *process) ready() {
	d.t.Helper()
	d.start()
	d.awaitNotified(func(notice string) bool { return strings.HasPrefix(notice, "READY=1\n") })
}

// awaitNotified waits until the daemon tells systemd something for which ok holds.
func (d *process) awaitNotified(ok func(string) bool) {
	d.t.Helper()
	require.Eventually(d.t, func() bool { return ok(d.notice()) }, generous, time.Millisecond)
}

// notice is the next thing that the daemon tells systemd.
func (d *process) notice() string {
	d.t.Helper()
	require.NoError(d.t, d.notices.SetReadDeadline(time.Now().Add(generous)))
	buf := make([]byte, 4096)
	n, err := d.notices.Read(buf)
	require.NoError(d.t, err, d.said())
	return string(buf[:n])
}

func (d *process) said() string {
	text, err := os.ReadFile(d.log.Name())
	require.NoError(d.t, err)
	return string(text)
}

// stop ends the daemon by a signal; it must end well.
func (d *process) stop(s os.Signal) {
	d.t.Helper()
	require.NoError(d.t, d.cmd.Process.Signal(s))
	require.NoError(d.t, d.cmd.Wait(), d.said())
	require.Contains(d.t, d.said(), "the flows stay")
}

func (d *process) settled() *api.Status {
	d.t.Helper()
	got := call(d.t, "status", "--wait", "--timeout", generous.String(), "-o", "json", "--config",
		d.settings)
	require.Equal(d.t, 0, got.code, "%s%s", got.errOut, d.said())
	status := &api.Status{}
	require.NoError(d.t, json.Unmarshal([]byte(got.out), status))
	return status
}

func (d *process) flows() string { return d.vs.Ofctl("dump-flows", "br-int", "--no-stats") }

func (d *process) writePolicy(text string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(filepath.Join(filepath.Dir(d.settings), "policy.yaml"),
		[]byte(text), 0o600))
}

func TestRun(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	status := d.settled()
	require.Equal(t, agent.StateInSync, status.State)
	require.Len(t, status.Ports, 2)
	require.Equal(t, agent.PortApplied, status.Ports[0].State)
	first := d.flows()
	require.Contains(t, first, "tp_dst=80")

	table := call(t, "status", "--config", d.settings)
	require.Contains(t, table.out, "tap1")
	require.Regexp(t, `^state: +in sync \(2 of 2 ports in force\), since \d+ s ago`, table.out)

	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1))
	status = d.settled()
	require.Contains(t, d.flows(), "tp_dst=8080")
	require.NotContains(t, d.flows(), "tp_dst=80 ")

	d.writePolicy(goodPolicy + "bogus: 1\n")
	got := call(t, "status", "--wait", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "bogus")
	require.Contains(t, d.flows(), "tp_dst=8080", "the last valid policy stays")
	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1))
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGHUP))
	d.settled()

	held := d.flows()
	d.stop(syscall.SIGTERM)
	d.awaitNotified(func(notice string) bool { return notice == "STOPPING=1" })
	require.Equal(t, held, d.flows())

	d.ready()
	again := d.settled()
	require.Zero(t, again.Counters.Applies, "a restart with nothing changed sends no flow mod")
	require.Equal(t, status.Revision, again.Revision)
	require.Equal(t, held, d.flows())
	d.stop(syscall.SIGINT)
}

func TestSwitchRestart(t *testing.T) {
	d := newDaemon(t)
	d.start() // --wait waits for the daemon, too
	d.settled()
	held := d.flows()
	d.vs.KillVswitchd()
	require.Eventually(t, func() bool {
		return strings.Contains(call(t, "status", "--config", d.settings).out, "degraded")
	}, generous, 10*time.Millisecond)
	d.vs.StartVswitchd()
	require.Eventually(t, func() bool { return d.flows() == held }, generous, 10*time.Millisecond)
	d.settled()
	require.Contains(t, d.vs.Ofctl("get-frags", "br-int"), "nx-match")
	d.stop(syscall.SIGTERM)
}

func TestHandEditsAreRepaired(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.settled()
	repaired := func(edit ...string) {
		t.Helper()
		before := d.settled().Counters.DriftRepaired
		d.vs.Ofctl(edit...)
		require.Eventually(t, func() bool { return d.settled().Counters.DriftRepaired > before },
			generous, 10*time.Millisecond)
	}
	repaired("add-flow", "br-int", "table=52,priority=999,actions=load:1->NXM_NX_REG0[0]")
	repaired("mod-flows", "br-int", "table=53,actions=resubmit(,60)")
	repaired("del-flows", "br-int", "table=0")
	repaired("del-flows", "br-int")
	require.NotContains(t, d.flows(), "priority=999")
	d.vs.Ofctl("add-flow", "br-int", "table=200,actions=drop")
	d.settled()
	require.Contains(t, d.flows(), "table=200", "another table is not ours")
	d.stop(syscall.SIGTERM)
}

// A bridge has one daemon, whatever sockets the others have: they say who keeps it, and end without
// having touched anything.
func TestTwoDaemonsDoNotShareABridge(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.settled()
	held := d.flows()
	text, err := os.ReadFile(d.settings)
	require.NoError(t, err)
	rival := *d
	rival.settings = filepath.Join(t.TempDir(), "rival.yaml")
	other := strings.NewReplacer("api.sock", "rival.sock", "policy: policy.yaml",
		"policy: "+filepath.Join(t.TempDir(), "other.yaml"))
	require.NoError(t, os.WriteFile(rival.settings, []byte(other.Replace(string(text))), 0o600))
	rivals, err := config.LoadSettings(rival.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(rivals.Policy, []byte(strings.Replace(goodPolicy, "ports: 80",
		"ports: 8080", 1)), 0o600))

	got := call(t, "run", "--config", rival.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut,
		fmt.Sprintf("the bridge br-int is kept by another daemon: pid %d on ", d.cmd.Process.Pid))
	require.Contains(t, got.errOut, "api.sock")
	require.Equal(t, held, d.flows())
	require.Equal(t, agent.StateInSync, d.settled().State)

	// One that waits takes over as soon as the first is dead, whatever it died of.
	rival.start()
	require.Eventually(t, func() bool {
		return strings.Contains(rival.said(), "is kept by another daemon")
	}, generous, time.Millisecond)
	require.NoError(t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
	rival.settled()
	require.Contains(t, rival.flows(), "tp_dst=8080")
	rival.stop(syscall.SIGTERM)
}

// Only who keeps the bridge in the database may write, also after a restart of the database; one
// that has lost the bridge says so.
func TestADaemonThatLosesItsBridgeStopsWriting(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.settled()
	d.vs.KillDB()
	d.vs.StartDB()
	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1))
	d.settled()

	thief := exec.Command("ovsdb-client", "steal", d.vs.DB, "portcullis_br_2dint")
	require.NoError(t, thief.Start())
	said := func(words string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return strings.Contains(call(t, "status", "--config", d.settings).out, words)
		}, generous, 10*time.Millisecond)
	}
	said("the bridge br-int is kept by another daemon")
	held := d.flows()
	d.writePolicy(goodPolicy)
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Count(d.said(), "policy loaded") == 3 },
		generous, 10*time.Millisecond)
	got := call(t, "status", "--wait", "--timeout", "1s", "--config", d.settings)
	require.NotZero(t, got.code)
	require.Equal(t, held, d.flows())
	require.NoError(t, thief.Process.Signal(syscall.SIGTERM))
	_ = thief.Wait()
	d.settled()
	require.NotContains(t, d.flows(), "tp_dst=8080")
	d.stop(syscall.SIGTERM)
}

// The port of metrics is the one thing that two daemons have in common if nobody says otherwise.
func TestMetricsPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	d := newDaemon(t)
	t.Setenv("PORTCULLIS_METRICS", taken.Addr().String())
	got := call(t, "run", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut,
		taken.Addr().String()+" is taken, perhaps by the daemon of another bridge; give this one "+
			"another port by the setting metrics")
	t.Setenv("PORTCULLIS_METRICS", "")
	d.ready()
	d.stop(syscall.SIGTERM)
}

func TestTwoDaemonsDoNotShareASocket(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.settled()
	got := call(t, "run", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "another daemon")
	d.settled()
	// A daemon that was killed leaves its socket behind, and its successor takes it over.
	require.NoError(t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
	d.start()
	d.settled()
	d.stop(syscall.SIGTERM)
}
