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
)

// Members of a policy database, each in a folder of its own, as `portcullis db` makes them.

// freePort is a port of the loopback address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// newFolder is that of a server which is not made yet.
func newFolder(t *testing.T) *database {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcdb")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &database{t: t, dir: filepath.Join(dir, "db")}
	d.endpoint = "unix:" + d.dir + "/db.sock"
	return d
}

// must calls a command that has to succeed, and returns what it prints.
func must(t *testing.T, args ...string) string {
	t.Helper()
	got := call(t, args...)
	require.Equal(t, 0, got.code, "%v: %s%s", args, got.out, got.errOut)
	return got.out
}

// newMembers is a cluster of three, which speak by TLS and run.
func newMembers(t *testing.T) []*database {
	t.Helper()
	first := newFolder(t)
	cluster := "127.0.0.1:" + freePort(t)
	must(t, "db", "init", "--dir", first.dir, "--tls", "--name", "member-1", "--cluster", cluster)
	first.start()
	all := []*database{first}
	for n := 2; n <= 3; n++ {
		name := fmt.Sprintf("member-%d", n)
		must(t, "db", "certificate", name, "--for", "member", "--address", "127.0.0.1", "--dir",
			first.dir)
		next := newFolder(t)
		must(t, "db", "join", "--dir", next.dir, "--cluster", "127.0.0.1:"+freePort(t), "--remote",
			cluster, "--certificate", filepath.Join(first.dir, "issued", name))
		next.start()
		all = append(all, next)
	}
	return all
}

// dbStatus is what db status says of a server on this machine.
type dbStatus struct {
	Generation int    `json:"generation"`
	Error      string `json:"error"`
	Servers    []struct {
		Endpoint  string `json:"endpoint"`
		Error     string `json:"error"`
		Leader    bool   `json:"leader"`
		Connected bool   `json:"connected"`
		Model     string `json:"model"`
		Members   []struct {
			ID      string `json:"id"`
			Address string `json:"address"`
			Self    bool   `json:"self"`
			Leader  bool   `json:"leader"`
		} `json:"members"`
	} `json:"servers"`
}

func statusOfDatabase(t *testing.T, flags ...string) dbStatus {
	t.Helper()
	got := call(t, append([]string{"db", "status", "-o", "json"}, flags...)...)
	var s dbStatus
	require.NoError(t, json.Unmarshal([]byte(got.out), &s), "%s%s", got.out, got.errOut)
	return s
}

// endpoints are those of servers, with commas.
func endpoints(all ...*database) string {
	list := make([]string, len(all))
	for n, d := range all {
		list[n] = d.endpoint
	}
	return strings.Join(list, ",")
}

// A leader that is killed stops no change, two of three that are gone stop all, in words and in
// time; nothing that was acknowledged is lost, and everything goes on when they are back.
func TestMembersReplaceEachOther(t *testing.T) {
	t.Parallel() // it waits most of the time
	all := newMembers(t)
	db := &database{t: t, endpoint: endpoints(all...)}
	require.Contains(t, db.apply(goodPolicy).out, "generation 1")
	s := statusOfDatabase(t, "--db", db.endpoint)
	require.Len(t, s.Servers, 3)
	var leader *database
	var others []*database
	for n, one := range s.Servers {
		require.True(t, one.Connected, one)
		require.Len(t, one.Members, 3)
		if one.Leader {
			leader = all[n]
		} else {
			others = append(others, all[n])
		}
	}
	require.Len(t, others, 2)

	leader.kill()
	second := db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 443", 1))
	require.Equal(t, 0, second.code, second.errOut)
	require.Contains(t, second.out, "generation 2")
	text := call(t, "db", "status", "--db", db.endpoint)
	require.Equal(t, 1, text.code, "one is gone")
	require.Contains(t, text.out, "gone: ")
	require.Contains(t, text.out, "generation 2: ")

	others[1].kill()
	require.Eventually(t, func() bool {
		return !statusOfDatabase(t, "--db", others[0].endpoint).Servers[0].Connected
	}, generous, 50*time.Millisecond)
	begun := time.Now()
	refused := db.apply(goodPolicy)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "no contact to the majority of its cluster")
	require.Less(t, time.Since(begun), 30*time.Second)
	require.Contains(t, call(t, "db", "status", "--db", others[0].endpoint).out, "cut off")

	leader.start()
	require.Contains(t, db.apply(goodPolicy).out, "generation 3")
	others[1].start()
	for _, one := range all {
		require.Eventually(t, func() bool {
			return statusOfDatabase(t, "--db", one.endpoint).Generation == 3
		}, generous, 50*time.Millisecond)
		require.Contains(t, must(t, "export", "--db", one.endpoint), "ports: 80,")
	}
}

// A member that will not come back is taken out, and another one takes its place.
func TestALostMemberIsReplaced(t *testing.T) {
	all := newMembers(t)
	s := statusOfDatabase(t, "--db", all[2].endpoint).Servers[0]
	require.Len(t, s.Members, 3)
	var lost string
	for _, m := range s.Members {
		if m.Self {
			lost = m.Address
		}
	}
	all[2].kill()
	for _, c := range []struct{ member, want string }{
		{"nobody", "is no member; there are "}, {"", "is no member"}} {
		got := call(t, "db", "remove", c.member, "--dir", all[0].dir)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, c.want)
	}
	address := strings.TrimPrefix(lost, "ssl:")
	require.Contains(t, must(t, "db", "remove", address, "--dir", all[0].dir), "removed: ")
	require.Eventually(t, func() bool {
		return len(statusOfDatabase(t, "--db", all[1].endpoint).Servers[0].Members) == 2
	}, generous, 20*time.Millisecond)
	next := newFolder(t)
	_, port, _ := strings.Cut(address, ":")
	must(t, "db", "join", "--dir", next.dir, "--cluster", "127.0.0.1:"+port, "--remote",
		strings.TrimPrefix(statusOfDatabase(t, "--db", all[0].endpoint).selfAddress(t), "ssl:"),
		"--certificate", filepath.Join(all[0].dir, "issued", "member-3"))
	next.start()
	require.Eventually(t, func() bool {
		return len(statusOfDatabase(t, "--db", all[1].endpoint).Servers[0].Members) == 3
	}, generous, 20*time.Millisecond)
}

func (s dbStatus) selfAddress(t *testing.T) string {
	t.Helper()
	for _, m := range s.Servers[0].Members {
		if m.Self {
			return m.Address
		}
	}
	t.Fatal("a member does not know itself")
	return ""
}

// When the majority is lost for good, what one member has becomes a new database, which is ahead of
// all that hosts may have seen.
func TestADatabaseIsMadeOfWhatIsLeft(t *testing.T) {
	old := newDatabase(t)
	require.Equal(t, 0, old.apply(goodPolicy).code)
	old.kill()
	next := newFolder(t)
	must(t, "db", "init", "--dir", next.dir, "--from", filepath.Join(old.dir, "portcullis.db"))
	next.start()
	require.Equal(t, 1001, statusOfDatabase(t, "--db", next.endpoint).Generation)
	require.Contains(t, must(t, "export", "--db", next.endpoint), "name: web-1")
	require.Contains(t, next.apply(strings.Replace(goodPolicy, "80", "81", 1)).out, "generation 1002")
	require.Contains(t, must(t, "rollback", "1001", "--db", next.endpoint), "generation 1003")
}

// children are the ovsdb-servers of a folder, the member first.
func (d *database) children() []string {
	out, _ := exec.Command("pgrep", "-f", "^[^ ]*ovsdb-server .*"+d.dir+"/").Output()
	return strings.Fields(string(out))
}

// Hosts are let in while the member behind the door answers: else they go to another one within
// seconds, and not when the relay notices.
func TestTheDoorIsClosedWhenTheMemberIsSilent(t *testing.T) {
	t.Parallel() // it waits most of the time
	db := newSecured(t)
	hv1 := db.certificate("hv1")
	db.opens(db.hosts, hv1)
	member := db.children()[0]
	require.NoError(t, exec.Command("kill", "-STOP", member).Run())
	isShut := func() bool {
		_, err := asHost(t, db.hosts, hv1, "_Server", object{"op": "select", "table": "Database",
			"where": []any{}})
		return err != nil
	}
	require.Eventually(t, isShut, generous, 50*time.Millisecond)
	begun := time.Now()
	silent := call(t, "db", "status", "--db", db.endpoint)
	require.Equal(t, 1, silent.code)
	require.Contains(t, silent.out, "gone: gives no answer")
	require.Less(t, time.Since(begun), 30*time.Second)
	require.NoError(t, exec.Command("kill", "-CONT", member).Run())
	db.opens(db.hosts, hv1)
}

// Where no certificate is asked for whoever comes can write, and is asked whether it is there as
// late as hosts are.
func TestWaysWithoutCertificates(t *testing.T) {
	db := newFolder(t)
	port, socket := freePort(t), db.dir+"/other.sock"
	must(t, "db", "init", "--dir", db.dir, "--listen", "ptcp:"+port+":127.0.0.1", "--listen",
		"punix:"+socket)
	db.start()
	for n, endpoint := range []string{"tcp:127.0.0.1:" + port, "unix:" + socket} {
		other := &database{t: t, endpoint: endpoint}
		got := other.apply(fmt.Sprintf("groups:\n  - {name: g%d}\n", n))
		require.Equal(t, 0, got.code, got.errOut)
	}
	out, err := exec.Command("ovsdb-client", "dump", "--no-headings", db.endpoint,
		"Portcullis_Status", "Connection", "role", "inactivity_probe", "target").Output()
	require.NoError(t, err)
	require.Equal(t, []string{"Connection", "table", "60000", `""`, `"ptcp:` + port + `:127.0.0.1"`},
		strings.Fields(string(out)))
	relay := newFolder(t)
	must(t, "db", "relay", "--dir", relay.dir, "--source", "tcp:127.0.0.1:"+port)
	relay.start()
	require.Equal(t, "relay", statusOfDatabase(t, "--db", relay.endpoint).Servers[0].Model)
	require.Contains(t, must(t, "export", "--db", relay.endpoint), "name: g1")
}

// The server ends with who runs it, however that ends, and says so where it ends by itself.
func TestTheServerEndsWithItsCommand(t *testing.T) {
	db := newFolder(t)
	port := freePort(t)
	must(t, "db", "init", "--dir", db.dir, "--tls", "--listen", "pssl:"+port+":127.0.0.1")
	children := db.children
	gone := func() bool { return len(children()) == 0 }
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		db.start()
		require.Eventually(t, func() bool { return len(children()) == 2 }, generous,
			10*time.Millisecond, "the member, and the relay that hosts see")
		require.NoError(t, db.server.Process.Signal(signal))
		err := db.server.Wait()
		require.Equal(t, signal == syscall.SIGKILL, err != nil, "%v: %v", signal, err)
		require.Eventually(t, gone, generous, 10*time.Millisecond)
	}
	for n := range 2 {
		said := &strings.Builder{}
		db.server = exec.Command(command, "db", "run", "--dir", db.dir)
		db.server.Stderr = said
		require.NoError(t, db.server.Start())
		require.Eventually(t, func() bool { return len(children()) == 2 }, generous,
			10*time.Millisecond)
		require.NoError(t, exec.Command("kill", "-9", children()[n]).Run())
		require.Error(t, db.server.Wait())
		require.Contains(t, said.String(), "ovsdb-server (")
		require.Contains(t, said.String(), "signal: killed")
		require.Eventually(t, gone, generous, 10*time.Millisecond)
	}
}

// What cannot be made leaves nothing behind.
func TestServersThatCannotBeMade(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	require.NoError(t, os.WriteFile(broken, []byte("OVSDB JSON 5 0\nxx"), 0o600))
	for want, args := range map[string][]string{
		"must be punix:/PATH":              {"init", "--listen", "unix:/a"},
		"must be punix:/PATH, ptcp:PORT":   {"init", "--listen", "ptcp:0:127.0.0.1"},
		"must be pssl:PORT:ADDRESS":        {"init", "--writers", "ptcp:1:127.0.0.1"},
		"need certificates: --tls":         {"init", "--listen", "pssl:6641:127.0.0.1"},
		"is reached at ADDRESS:PORT":       {"init", "--cluster", "127.0.0.1"},
		"a time from 1s":                   {"init", "--election-timer", "2h"},
		"no whole file of a database":      {"init", "--from", broken},
		"no such file":                     {"init", "--from", broken + "er"},
		"that 'portcullis db certificate'": {"relay", "--source", "ssl:127.0.0.1:1", "--certificate", nowhere},
		"is reached at":                    {"join", "--cluster", "127.0.0.1:1", "--remote", "there"},
	} {
		dir := filepath.Join(t.TempDir(), "db")
		got := call(t, append([]string{"db", args[0], "--dir", dir}, args[1:]...)...)
		require.Equal(t, 1, got.code, args)
		require.Contains(t, got.errOut, want, args)
		left, _ := os.ReadDir(dir)
		require.Empty(t, left, args)
	}
	db := newDatabase(t)
	require.Contains(t, call(t, "db", "run", "--dir", db.dir).errOut, "a server runs in "+db.dir)
	require.NoError(t, os.WriteFile(filepath.Join(db.dir, "server.json"), []byte(`{"listen":["x"]}`),
		0o600))
	require.Contains(t, call(t, "db", "run", "--dir", db.dir).errOut, "server.json: --listen")
}
