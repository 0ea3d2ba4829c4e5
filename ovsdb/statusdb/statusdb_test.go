package statusdb

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// patience bounds every wait for a state in these tests.
const generous = time.Minute

// server is a private ovsdb-server with an empty policy database and what belongs to it.
func server(t testing.TB) *sandbox.OVS {
	t.Helper()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, policydb.Schema)
	o.AddDatabase(policydb.StatusName, policydb.StatusSchema)
	return o
}

// run runs something until the test ends.
func run(t testing.TB, what func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- what(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
}

// writer is a host's, with times of its own.
func writer(t testing.TB, host, endpoint string, p pace) *Writer {
	t.Helper()
	w := NewWriter(Options{Endpoint: endpoint, Host: host})
	w.pace = p
	run(t, w.Run)
	return w
}

// quick writes at once.
var quick = pace{gather: time.Millisecond, beat: time.Hour, answer: 10 * time.Second,
	again: 10 * time.Millisecond}

// asked writes only what somebody waits for.
var asked = pace{gather: time.Hour, beat: time.Hour, answer: 10 * time.Second,
	again: 10 * time.Millisecond}

// follow is a client of the policy database that holds a policy.
func follow(t testing.TB, endpoint string) *policydb.Client {
	t.Helper()
	c, err := policydb.New(policydb.Options{Endpoint: endpoint})
	require.NoError(t, err)
	run(t, c.Run)
	require.Eventually(t, func() bool { _, _, err := c.Policy(); return err == nil }, generous,
		time.Millisecond)
	return c
}

// put writes a policy of an instance on each host, and returns its generation.
func put(t testing.TB, c *policydb.Client, hosts ...string) int {
	t.Helper()
	_, before, err := c.Policy()
	require.NoError(t, err)
	p := &policy.Policy{Groups: []*policy.Group{{Name: fmt.Sprint("g", before)}}}
	for n, host := range hosts {
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprint("i", n), Host: host,
			Ports: []policy.Port{{Name: "tap", MAC: policytest.MAC(byte(n + 1))}}})
	}
	generation, err := c.Change(t.Context(), policydb.Change{ID: fmt.Sprint(t.Name(), before),
		At: time.Now(), By: "test"}, func(*policy.Policy) (*policy.Policy, string, error) {
		return p, "all", nil
	})
	require.NoError(t, err)
	return generation
}

// eventually reads until something holds.
func eventually(t testing.TB, s Source, holds func(hosts []Host) bool) []Host {
	t.Helper()
	var hosts []Host
	require.Eventually(t, func() bool {
		hosts, _ = s.Read(context.Background())
		return holds(hosts)
	}, generous, 5*time.Millisecond, "%+v", hosts)
	return hosts
}

// counted are the sums of the server's transactions on rows, from its file.
func records(t testing.TB, o *sandbox.OVS) int {
	t.Helper()
	out, err := o.Exec(t.Context(), "ovsdb-client", "--no-headings", "dump", o.DB, Name, "Port_Status",
		"_uuid")
	require.NoError(t, err)
	return strings.Count(out, "-") / 4
}

// What a host reports is what readers get: rows come, change and go with the ports.
func TestReportsAreRead(t *testing.T) {
	o := server(t)
	s := Source{Endpoint: o.DB}
	w := writer(t, "hv1", o.DB, quick)
	at := time.UnixMilli(1_700_000_000_000)
	r := Report{Version: "1.2", Generation: 7, GenerationAt: at, PortsBound: 1,
		Problems: map[string]string{"state": "degraded: x"}, Ports: []Port{
			{Name: "web-1/tap1", State: Applied, Since: at},
			{Name: "db", State: Error, Reason: strings.Repeat("ä", 300), Since: at}}}
	w.Report(r)
	host := eventually(t, s, func(h []Host) bool { return len(h) == 1 && len(h[0].Ports) == 2 })[0]
	require.Equal(t, "hv1", host.Name)
	require.Equal(t, 7, host.Generation)
	require.True(t, host.GenerationAt.Equal(at))
	require.WithinDuration(t, time.Now(), host.SeenAt, generous)
	require.Equal(t, r.Problems, host.Problems)
	require.Equal(t, strings.Repeat("ä", 254)+"…", host.Ports[0].Reason)
	require.Equal(t, Port{Name: "web-1/tap1", State: Applied, Since: at}, host.Ports[1])
	for _, state := range []State{Pending, Absent, Standby, Elsewhere} {
		r.Ports = []Port{{Name: "web-1/tap1", State: state, Since: at}}
		w.Report(r)
		eventually(t, s, func(h []Host) bool {
			return len(h[0].Ports) == 1 && h[0].Ports[0].State == state
		})
	}
	require.Equal(t, 1, records(t, o), "a port that is gone has no row")
}

// A server that is started again has forgotten all but the names; the host tells it anew, without a
// second row. Rows that somebody takes away are made again.
func TestWhatAServerForgetsIsToldAgain(t *testing.T) {
	o := server(t)
	s := Source{Endpoint: o.DB}
	w := writer(t, "hv1", o.DB, quick)
	w.Report(Report{Generation: 3, Ports: []Port{{Name: "a", State: Applied}}})
	told := func(h []Host) bool {
		return len(h) == 1 && h[0].Generation == 3 && len(h[0].Ports) == 1 &&
			h[0].Ports[0].State == Applied
	}
	eventually(t, s, told)
	o.KillDB()
	o.StartDB()
	eventually(t, s, told)
	require.Equal(t, 1, records(t, o))
	require.Empty(t, s.Forget(t.Context(), "hv1"))
	hosts, _ := s.Read(t.Context())
	require.Empty(t, hosts)
	w.Report(Report{Generation: 3, PortsBound: 1, Ports: []Port{{Name: "a", State: Applied}}})
	eventually(t, s, told)
}

// Of a host that wrote to two servers the newest counts, with the ports of that server; a server
// that is dead is named and holds up nobody.
func TestTheNewestOfEachHostCounts(t *testing.T) {
	first, second := server(t), server(t)
	s := Source{Endpoint: first.DB + ",unix:/nonexistent/db.sock," + second.DB}
	writer(t, "hv1", first.DB, quick).Report(Report{Generation: 1,
		Ports: []Port{{Name: "old", State: Pending}}})
	eventually(t, s, func(h []Host) bool { return len(h) == 1 })
	writer(t, "hv1", second.DB, quick).Report(Report{Generation: 2,
		Ports: []Port{{Name: "new", State: Applied}}})
	host := eventually(t, s, func(h []Host) bool { return h[0].Generation == 2 })[0]
	require.Equal(t, []Port{{Name: "new", State: Applied}}, host.Ports)
	_, silent := s.Read(t.Context())
	require.Len(t, silent, 1)
	require.Equal(t, "unix:/nonexistent/db.sock", silent[0].Endpoint)
}

// A host that follows a relay is read where the relay's source is.
func TestARelayForwardsReports(t *testing.T) {
	o := server(t)
	dir := t.TempDir()
	socket := dir + "/r"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = o.Exec(ctx, "ovsdb-server", "--remote=punix:"+socket, "--no-chdir",
			"--unixctl="+dir+"/ctl", "relay:"+policydb.StatusName+":"+o.DB)
	}()
	t.Cleanup(func() { cancel(); <-done })
	writer(t, "hv1", "unix:"+socket, quick).Report(Report{Generation: 5})
	eventually(t, Source{Endpoint: o.DB}, func(h []Host) bool {
		return len(h) == 1 && h[0].Generation == 5
	})
}

// Somebody who waits is answered at once by the hosts that have the generation in force, and told
// who has not, and why: late with its trouble, silent, never seen. Those two are not waited for.
func TestWaitNamesWhoDidNotAnswer(t *testing.T) {
	o := server(t)
	c := follow(t, o.DB)
	follower := policydb.NewFollower(policydb.FollowOptions{Endpoint: o.DB})
	run(t, follower.Run)
	s := Source{Endpoint: o.DB}
	generation := put(t, c, "hv1", "hv2")
	hosts := map[string]*Writer{"hv1": writer(t, "hv1", o.DB, asked),
		"hv2": writer(t, "hv2", o.DB, asked)}
	say := func(host string, generation int, trouble map[string]string) {
		hosts[host].Report(Report{Generation: generation, Asked: follower.Following().Asked,
			Problems: trouble})
	}
	answer := func() { // as hosts do that follow the database
		for {
			if follower.Following().Asked > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	done := make(chan Fleet, 1)
	go func() {
		f, err := Wait(t.Context(), s, c, generation)
		require.NoError(t, err)
		done <- f
	}()
	answer()
	say("hv1", generation, nil)
	say("hv2", generation, nil)
	f := <-done
	require.Empty(t, f.Missing())
	require.Len(t, f.Hosts, 2)

	generation = put(t, c, "hv1", "hv2")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	say("hv1", generation, nil)
	f, err := Wait(ctx, s, c, generation)
	require.NoError(t, err)
	missing := f.Missing()
	require.Len(t, missing, 2, "hv1 has not heard that somebody waits")
	answer()
	say("hv1", generation, nil)
	say("hv2", generation-1, map[string]string{"state": "degraded: no switch"})
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	f, err = Wait(ctx, s, c, generation)
	require.NoError(t, err)
	require.Len(t, f.Missing(), 1)
	require.Equal(t, "hv2", f.Missing()[0].Name)
	require.Equal(t, Late, f.Missing()[0].Standing)
}

func TestHowHostsStand(t *testing.T) {
	now := time.Now()
	p := &policy.Policy{Instances: []*policy.Instance{
		{Name: "a", Host: "hv1", MigratingTo: "hv2", Ports: make([]policy.Port, 2)},
		{Name: "b", Host: "hv3", Ports: make([]policy.Port, 1)},
		{Name: "c", Host: "hv4", Ports: make([]policy.Port, 1)},
		{Name: "d", Host: policy.Nowhere, Ports: make([]policy.Port, 1)},
		{Name: "e", Host: "hv9"}}}
	f := fleetOf(p, 5, []Host{
		{Name: "hv1", Generation: 6, SeenAt: now,
			Ports: []Port{{State: Error}, {State: Applied}}},
		{Name: "hv2", Generation: 4, SeenAt: now, Problems: map[string]string{"b": "y", "a": "x"}},
		{Name: "hv3", Generation: 5, SeenAt: now.Add(-2 * SilentAfter)},
		{Name: "hv5", Generation: 1, SeenAt: now},
		{Name: "renamed", Generation: 5, SeenAt: now.Add(-2 * keptFor)},
		{Name: "forgotten"},
	}, now)
	var got []string
	for _, h := range f.Hosts {
		got = append(got, fmt.Sprint(h.Name, " ", h.PortsPlaced, " ", h.Errors, " ", h.Standing, ": ",
			h.Why))
	}
	require.Equal(t, []string{"hv1 2 1 in force: ", "hv2 2 0 late: generation 4 is in force: x; y",
		"hv3 1 0 silent: it has not said anything for 6m0s; generation 5 was in force",
		"hv4 1 0 never seen: it has not said anything",
		"hv5 0 0 late: generation 1 is in force"}, got)
	require.Len(t, f.Missing(), 3)
	require.True(t, f.isOpen(time.Hour), "hv2 may still answer")
}

// A server that accepts connections and says nothing costs a reader its time and no more.
func TestAServerThatHangsIsNamed(t *testing.T) {
	first, second := server(t), server(t)
	writer(t, "hv1", second.DB, quick).Report(Report{Generation: 2})
	s := Source{Endpoint: first.DB + "," + second.DB}
	eventually(t, s, func(h []Host) bool { return len(h) == 1 })
	require.NoError(t, syscall.Kill(first.DBPID(), syscall.SIGSTOP))
	began := time.Now()
	hosts, silent := s.Read(t.Context())
	require.NoError(t, syscall.Kill(first.DBPID(), syscall.SIGCONT))
	require.Less(t, time.Since(began), 3*patience)
	require.Len(t, hosts, 1)
	require.Len(t, silent, 1)
	require.Equal(t, first.DB, silent[0].Endpoint)
}

// BenchmarkAnswers measures how long many hosts with 50 ports each take to tell a server all, and
// then to answer for a generation at one time.
func BenchmarkAnswers(b *testing.B) {
	const hosts = 500
	o := server(b)
	s := Source{Endpoint: o.DB}
	report := func(generation int) Report {
		r := Report{Generation: generation, Asked: generation}
		for n := range 50 {
			r.Ports = append(r.Ports, Port{Name: fmt.Sprint("p", n), State: Applied})
		}
		return r
	}
	writers := make([]*Writer, hosts)
	all := func(generation int) {
		for n := range writers {
			writers[n].Report(report(generation))
		}
		for done := false; !done; {
			links := s.dial(b.Context())
			list, _ := newest(links.ask(b.Context(), hostTable))
			links.close()
			done = len(list) == hosts
			for _, h := range list {
				done = done && h.Generation >= generation
			}
		}
	}
	for n := range writers {
		writers[n] = writer(b, fmt.Sprint("hv", n), o.DB, asked)
	}
	began := time.Now()
	all(1)
	first := time.Since(began)
	generation := 1
	for b.Loop() {
		generation++
		all(generation)
	}
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
}
