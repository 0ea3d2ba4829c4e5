//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// packaged is a machine of its own: systemd is its first process, and packages are installed in it.
type packaged struct{ t *testing.T }

// packagePolicy has two instances that may ping each other.
const packagePolicy = `groups:
  - name: pingable
    rules:
      - {direction: ingress, protocol: icmp, cidr: 0.0.0.0/0}
instances:
  - {name: a, groups: [pingable], ports: [{name: tap-a, mac: "02:00:00:00:00:11", addresses: [203.0.113.11]}]}
  - {name: b, groups: [pingable], ports: [{name: tap-b, mac: "02:00:00:00:00:12", addresses: [203.0.113.12]}]}
`

// The life of a package, from the installation on a bare system to the purge, under the real
// service manager and in the cage that the unit builds. Traffic that the policy admits runs from
// the first start to after the removal; an upgrade loses none of it.
func TestPackage(t *testing.T) {
	folder := os.Getenv("PORTCULLIS_PACKAGES")
	if folder == "" {
		t.Skip("run by make test-package")
	}
	m := &packaged{t}
	before := m.files()
	m.makeInstances()

	m.sh("dpkg --install " + filepath.Join(folder, "portcullis_1.0.0_*.deb"))
	m.isFreshlyInstalled()
	m.isVerified()
	m.isConfiguredAndStarted()

	m.hasASecondBridge()
	database := m.hasADatabase()
	m.serves()

	stream := m.startPing("a", "203.0.113.12")
	m.reloads()
	m.comesBack()
	second := m.secondPID()
	m.upgrades(filepath.Join(folder, "portcullis_1.0.1_*.deb"))
	require.NotEqual(t, second, m.secondPID(), "the second daemon is the new one, too")
	require.Equal(t, database, m.databasePID(), "the operator restarts members, in turn")
	m.sh("systemctl restart portcullis-db")
	m.sh("portcullis db status --db unix:/var/lib/portcullis/db/db.sock")
	m.sh("portcullis status --wait --config /etc/portcullis/br-two.yaml")

	m.sh("dpkg --remove portcullis")
	require.Equal(t, "inactive", m.state())
	require.Equal(t, "0", m.secondPID())
	require.Contains(t, m.flows(), "table=52", "the flows outlive the package")
	m.pings("b", "203.0.113.11")
	m.sh("test -e /etc/portcullis/policy.yaml")
	require.Equal(t, "0", m.databasePID())
	m.sh("test -e /var/lib/portcullis/db/portcullis.db && rm -r /var/lib/portcullis/db")
	stream.lostNothing()

	require.Contains(t, m.sh("dpkg --purge portcullis"), "ovs-ofctl")
	require.Equal(t, before, m.files(), "a purge leaves nothing")
	require.Empty(t, m.sh(
		"grep -rls portcullis /etc/systemd /var/lib/systemd /var/lib/dpkg/info /var/lib/dpkg/status || true"))
	m.sh("ovs-vsctl del-br br-two")
	m.sh("ovs-ofctl -O OpenFlow15 del-flows br-int cookie=0x5043000000000000/0xffff000000000000")
	require.Empty(t, strings.TrimSpace(m.flows()), "what the purge says removes the flows")
}

// isFreshlyInstalled requires that an installation is complete, and touches nothing.
func (m *packaged) isFreshlyInstalled() {
	m.t.Helper()
	require.Equal(m.t, "portcullis 1.0.0\n", m.sh("portcullis version"))
	require.Contains(m.t, m.sh("portcullis check"), "valid: 0 groups, 0 instances")
	require.Equal(m.t, "inactive", m.state())
	require.Contains(m.t, m.sh("systemctl is-enabled portcullis || true"), "disabled")
	require.Contains(m.t, m.sh("systemctl is-enabled portcullis-db || true"), "disabled")
	require.Contains(m.t, m.sh("systemctl is-enabled portcullis-serve || true"), "disabled")
	require.Empty(m.t, m.sh("ovs-vsctl list-br"))
	files := m.sh("dpkg --listfiles portcullis")
	for _, name := range []string{"operations.md", "howto/README.md", "monitoring/alerts.yaml",
		"monitoring/dashboard.json", "examples/lab.sh", "SECURITY.md", "copyright"} {
		require.Contains(m.t, files, "/usr/share/doc/portcullis/"+name+"\n")
	}
	before := strings.Fields(m.sh("systemctl show --property=Before --value portcullis"))
	require.Subset(m.t, before, []string{"libvirtd.service", "pve-guests.service",
		"incus-startup.service", "machines.target"})
	require.Contains(m.t,
		m.sh("bash -c 'source /usr/share/bash-completion/completions/portcullis && complete -p portcullis'"), "portcullis")
}

// isVerified has systemd look at the units.
func (m *packaged) isVerified() {
	m.t.Helper()
	require.Empty(m.t, m.sh(
		"systemd-analyze verify --man=no portcullis.service portcullis@br-two.service"))
	require.Empty(m.t, m.sh("systemd-analyze verify --man=no portcullis-db.service"))
	require.Empty(m.t, m.sh("systemd-analyze verify --man=no portcullis-serve.service"))
	for unit, most := range map[string]float64{"portcullis": 2, "portcullis@br-two": 2,
		"portcullis-db": 2.5, "portcullis-serve": 2.5} {
		report := m.sh("systemd-analyze security --no-pager " + unit + ".service")
		score := regexp.MustCompile(`Overall exposure level .*: ([0-9.]+) `).FindStringSubmatch(report)
		require.NotNil(m.t, score, report)
		exposed, err := strconv.ParseFloat(score[1], 64)
		require.NoError(m.t, err)
		require.LessOrEqual(m.t, exposed, most, unit)
		m.t.Log(score[0])
	}
}

// hasADatabase makes a policy database and starts its unit; it returns the server's process.
func (m *packaged) hasADatabase() string {
	m.t.Helper()
	m.sh("systemctl start portcullis-db") // without a database it is nothing to be started
	require.Equal(m.t, "0", m.databasePID())
	m.sh("portcullis db init --dir /var/lib/portcullis/db --tls --listen pssl:6641:127.0.0.1")
	m.sh("systemctl start portcullis-db")
	m.sh("portcullis db status --db unix:/var/lib/portcullis/db/db.sock")
	m.sh("portcullis db certificate hv1 --dir /var/lib/portcullis/db")
	status := m.sh("cat /proc/" + m.databasePID() + "/status")
	require.Regexp(m.t, `CapBnd:\s+0{16}\n`, status)
	require.Regexp(m.t, `Seccomp:\s+2\n`, status)
	return m.databasePID()
}

// serves starts the unit of the API server, with a key that only it can read.
func (m *packaged) serves() {
	m.t.Helper()
	m.sh("systemctl start portcullis-serve") // without settings it is nothing to be started
	require.Equal(m.t, "0", m.servePID())
	settings := "db: unix:/var/lib/portcullis/db/db.sock\nlisten: 127.0.0.1:8080\nexoscale-zone: lab-1\n" +
		"secrets-key: /etc/portcullis/secrets-key\n"
	require.NoError(m.t, os.WriteFile("/etc/portcullis/serve.yaml", []byte(settings), 0o600))
	require.NoError(m.t, os.WriteFile("/etc/portcullis/secrets-key",
		[]byte(strings.Repeat("0a", 32)+"\n"), 0o600))
	m.sh("systemctl start portcullis-serve")
	m.sh("for n in $(seq 100); do curl -sf http://127.0.0.1:8080/healthz && exit; sleep 0.1; done; " +
		"curl -s http://127.0.0.1:8080/healthz || true; systemctl status -l --no-pager portcullis-serve || true; journalctl --no-pager -n 30 -u portcullis-serve; exit 1")
	m.sh("curl -sf --unix-socket /run/portcullis/server.sock http://x/v1/whoami | grep -q '\"how\":\"socket\"'")
	m.sh("curl -sf http://127.0.0.1:8080/v2/zone | grep -q lab-1")
	status := m.sh("cat /proc/" + m.servePID() + "/status")
	require.Regexp(m.t, `CapBnd:\s+0{15}1\n`, status)
	require.Regexp(m.t, `NoNewPrivs:\s+1\n`, status)
	require.Regexp(m.t, `Seccomp:\s+2\n`, status)
	m.sh("systemctl stop portcullis-serve")
	m.sh("rm /etc/portcullis/serve.yaml /etc/portcullis/secrets-key")
}

func (m *packaged) servePID() string {
	m.t.Helper()
	return strings.TrimSpace(m.sh("systemctl show --property=MainPID --value portcullis-serve"))
}

func (m *packaged) databasePID() string {
	m.t.Helper()
	return strings.TrimSpace(m.sh("systemctl show --property=MainPID --value portcullis-db"))
}

// isConfiguredAndStarted does what the operator is told to do.
func (m *packaged) isConfiguredAndStarted() {
	m.t.Helper()
	settings := "bridge: br-int\ndatapath_type: netdev\n"
	require.NoError(m.t, os.WriteFile("/etc/portcullis/portcullis.yaml", []byte(settings), 0o644))
	m.writePolicy(packagePolicy)
	m.sh("portcullis check")
	m.sh("systemctl enable --now portcullis")
	require.Equal(m.t, "active", m.state())
	m.sh("portcullis status --wait")
	require.Contains(m.t, m.sh("systemctl show --property=StatusText portcullis"),
		"in sync (2 of 2 ports in force)")
	m.pings("a", "203.0.113.12")
	status := m.sh("cat /proc/$(systemctl show --property=MainPID --value portcullis)/status")
	require.Regexp(m.t, `CapBnd:\s+0{16}\n`, status)
	require.Regexp(m.t, `CapEff:\s+0{16}\n`, status)
	require.Regexp(m.t, `NoNewPrivs:\s+1\n`, status)
	require.Regexp(m.t, `Seccomp:\s+2\n`, status)
	require.Empty(m.t, m.sh("journalctl --unit=portcullis --priority=warning --quiet --output=cat"))
}

// hasASecondBridge starts a daemon for another bridge, which shares nothing with the first: neither
// stops the other.
func (m *packaged) hasASecondBridge() {
	m.t.Helper()
	settings := "datapath_type: netdev\n"
	require.NoError(m.t, os.WriteFile("/etc/portcullis/br-two.yaml", []byte(settings), 0o644))
	require.NoError(m.t, os.Mkdir("/etc/portcullis/br-two", 0o755))
	require.NoError(m.t,
		os.WriteFile("/etc/portcullis/br-two/policy.yaml", []byte("instances: []\n"), 0o644))
	m.sh("systemctl start --no-block portcullis@br-two")
	require.Eventually(m.t, func() bool {
		return strings.Contains(m.sh("journalctl --unit=portcullis@br-two --output=cat"),
			"127.0.0.1:9477 is taken")
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(m.t,
		os.WriteFile("/etc/portcullis/br-two.yaml", []byte(settings+"metrics: 127.0.0.1:9478\n"), 0o644))
	m.sh("systemctl enable portcullis@br-two && systemctl restart portcullis@br-two")
	m.sh("portcullis status --wait --config /etc/portcullis/br-two.yaml")
	m.sh("systemctl reload portcullis@br-two")
	require.Equal(m.t, "br-int\nbr-two\n", m.sh("ovs-vsctl list-br"))
	// a stop takes nobody else's socket away
	for _, first := range []string{"portcullis", "portcullis@br-two"} {
		m.sh("systemctl restart " + first)
		m.sh("portcullis status --wait && portcullis status --wait --config /etc/portcullis/br-two.yaml")
	}
}

// secondPID is the process of the second bridge's daemon, 0 = none.
func (m *packaged) secondPID() string {
	return strings.TrimSpace(m.sh("systemctl show --property=MainPID --value portcullis@br-two"))
}

// reloads reads a policy that is not valid, which fails and says why, and a valid one.
func (m *packaged) reloads() {
	m.t.Helper()
	held := m.flows()
	m.writePolicy("bogus: 1\n")
	require.Error(m.t, exec.Command("systemctl", "reload", "portcullis").Run())
	require.Equal(m.t, "active", m.state())
	require.Equal(m.t, held, m.flows())
	require.Contains(m.t, m.sh("journalctl --unit=portcullis --output=cat"), "bogus")
	m.writePolicy(packagePolicy)
	m.sh("systemctl reload portcullis")
	require.Contains(m.t, m.sh("systemctl show --property=StatusText portcullis"), "in sync")
}

// comesBack ends the daemon in ways that the service manager must notice: by a crash, and by a loop
// that is stuck.
func (m *packaged) comesBack() {
	m.t.Helper()
	m.restarts(func(pid string) { m.sh("kill -KILL " + pid) })
	drop := "/run/systemd/system/portcullis.service.d"
	require.NoError(m.t, os.MkdirAll(drop, 0o755))
	require.NoError(m.t,
		os.WriteFile(drop+"/watchdog.conf", []byte("[Service]\nWatchdogSec=1s\n"), 0o644))
	m.sh("systemctl daemon-reload && systemctl restart portcullis")
	m.restarts(func(pid string) { m.sh("kill -STOP " + pid) })
	require.Contains(m.t, m.sh("journalctl --unit=portcullis --output=cat"), "Watchdog timeout")
	require.NoError(m.t, os.RemoveAll(drop))
	m.sh("systemctl daemon-reload && systemctl restart portcullis")
}

// restarts requires that what happens to the daemon has it started again.
func (m *packaged) restarts(happens func(pid string)) {
	m.t.Helper()
	pid := m.pid()
	happens(pid)
	require.Eventually(m.t, func() bool { return m.pid() != pid && m.state() == "active" },
		2*time.Minute, 50*time.Millisecond)
	m.sh("portcullis status --wait")
}

// upgrades installs another version: the daemon is replaced, and no flow is sent.
func (m *packaged) upgrades(file string) {
	m.t.Helper()
	held, pid := m.flows(), m.pid()
	m.sh("dpkg --install " + file)
	require.Equal(m.t, "portcullis 1.0.1\n", m.sh("portcullis version"))
	require.NotEqual(m.t, pid, m.pid(), "the running daemon is the new one")
	require.Equal(m.t, "active", m.state())
	var status api.Status
	require.NoError(m.t,
		json.Unmarshal([]byte(m.sh("portcullis status --wait --output json")), &status))
	require.Equal(m.t, agent.StateInSync, status.State)
	require.Zero(m.t, status.Counters.Applies, "flows were sent")
	require.Equal(m.t, held, m.flows())
	require.Equal(m.t, "enabled\n", m.sh("systemctl is-enabled portcullis"))
	m.sh("grep -q netdev /etc/portcullis/portcullis.yaml")
}

// makeInstances makes two namespaces with a device each, whose other ends the daemon plugs in.
func (m *packaged) makeInstances() {
	for name, last := range map[string]string{"a": "11", "b": "12"} {
		m.sh(strings.NewReplacer("NAME", name, "LAST", last).Replace(`
			ip netns add NAME
			ip link add tap-NAME type veth peer name eth0 netns NAME address 02:00:00:00:00:LAST
			ip link set tap-NAME up
			ip -n NAME link set eth0 up
			ip -n NAME address add 203.0.113.LAST/24 dev eth0`))
	}
}

func (m *packaged) writePolicy(text string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile("/etc/portcullis/policy.yaml", []byte(text), 0o644))
}

func (m *packaged) pings(from, to string) {
	m.t.Helper()
	m.sh("ip netns exec " + from + " ping -c 3 -i 0.01 -W 2 " + to)
}

// ping is a stream of numbered packets and answers.
type ping struct {
	m   *packaged
	cmd *exec.Cmd
	out bytes.Buffer
}

func (m *packaged) startPing(from, to string) *ping {
	m.t.Helper()
	p := &ping{m: m, cmd: exec.Command("ip", "netns", "exec", from, "ping", "-q", "-i", "0.005", to)}
	p.cmd.Stdout = &p.out
	require.NoError(m.t, p.cmd.Start())
	m.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// lostNothing ends the stream; every packet must have been answered, and there must have been many.
func (p *ping) lostNothing() {
	p.m.t.Helper()
	require.NoError(p.m.t, p.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(p.m.t, p.cmd.Wait(), p.out.String())
	counts := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(
		p.out.String())
	require.NotNil(p.m.t, counts, p.out.String())
	require.Greater(p.m.t, len(counts[1]), 3, "more than a thousand were sent: %s", p.out.String())
	require.Equal(p.m.t, counts[1], counts[2], p.out.String())
	p.m.t.Log(counts[0])
}

// sh runs a script, which must succeed, and returns what it printed.
func (m *packaged) sh(script string) string {
	m.t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	require.NoError(m.t, err, "%s\n%s", script, out)
	return string(out)
}

func (m *packaged) state() string {
	return strings.TrimSpace(m.sh("systemctl is-active portcullis || true"))
}

func (m *packaged) pid() string {
	return strings.TrimSpace(m.sh("systemctl show --property=MainPID --value portcullis"))
}

func (m *packaged) flows() string {
	return m.sh("ovs-ofctl -O OpenFlow15 dump-flows --no-stats br-int | sort")
}

// files are the names of all that is on the disk, except what programs beside the package write.
func (m *packaged) files() string {
	return m.sh(`find / -xdev -path /proc -prune -o -path /sys -prune -o -path /tmp -prune -o -path /packages -prune -o -path /var/log -prune \
		-o -path /var/lib/dpkg -prune -o -path /var/lib/systemd -prune -o -path /etc/openvswitch -prune -o -path /var/cache -prune -o -print | sort`)
}
