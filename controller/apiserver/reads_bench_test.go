package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// How soon the questions of a console are answered of a large fleet: `go test -bench Reads`.

const (
	manyInstances = 50_000
	manyGroups    = 3_000
)

// fill writes a large fleet: each instance is in one of many groups, which another one may reach; a
// tenth of it is of the project acme.
func (s *served) fill(t testing.TB) {
	t.Helper()
	p := &policy.Policy{Projects: []*policy.Project{{Name: "acme"}}}
	for n := range manyGroups {
		p.Groups = append(p.Groups, &policy.Group{Name: ofMany("group", n), Rules: []policy.Rule{
			ofTCP(1000+n, policy.Peer{Group: ofMany("group", (n+10)%manyGroups)}),
			ofTCP(22, policy.Peer{CIDR: netip.MustParsePrefix("198.51.100.0/24")})}})
	}
	for n := range manyInstances {
		a := [4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}
		p.Instances = append(p.Instances, &policy.Instance{Name: ofMany("vm", n),
			Host: fmt.Sprintf("hv%d", n%50), Groups: []string{ofMany("group", n%manyGroups)},
			Ports: []policy.Port{{Name: fmt.Sprintf("tap%d", n), MAC: policy.MAC{2, 0, 0, a[1], a[2], a[3]},
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(a), 32)}}}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	_, err := s.db.Change(ctx, policydb.Change{ID: "fill", At: time.Now(), By: "a test", From: "a test"},
		func(*policy.Policy) (*policy.Policy, string, error) { return p, "a large fleet", nil })
	require.NoError(t, err)
}

func ofTCP(port int, peer policy.Peer) policy.Rule {
	return policy.Rule{Direction: policy.Ingress, Protocol: policy.TCP, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP, Peers: []policy.Peer{peer},
		Ports: []policy.PortRange{{First: uint16(port), Last: uint16(port)}}}
}

// ofMany is a name; each tenth is of the project.
func ofMany(kind string, n int) string {
	if n%10 == 0 {
		return fmt.Sprintf("acme/%s-%d", kind, n)
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// BenchmarkReads reports the 95th percentile of each question, in milliseconds.
func BenchmarkReads(b *testing.B) {
	s := serve(b)
	s.fill(b)
	viewer := s.newToken(access.Viewer, "acme", time.Time{})
	for _, path := range []string{"/v1/whoami", "/v1/groups?limit=100", "/v1/groups?q=group-17",
		"/v1/groups/group-17", "/v1/instances?limit=100", "/v1/instances?q=vm-177",
		"/v1/instances?group=group-17", "/v1/instances/vm-177", "/v1/changes", "/v1/projects",
		"/v1/explain?from=vm-17&to=vm-7&service=tcp/1007", "/v1/matrix?from=group-17",
		"/v1/status", "/v1/hosts", "/v1/counters", "/v1/connections?instance=vm-17",
		"/v1/projects/acme/groups", "/v1/projects/acme/groups/group-10",
		"/v1/projects/acme/instances?q=vm-10", "/v1/projects/acme/explain?from=vm-20&to=vm-10",
		"/v1/projects/acme/matrix?from=group-10"} {
		b.Run(path, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				token := s.token
				if strings.Contains(path, "/acme/") {
					token = viewer
				}
				began := time.Now()
				if a := s.raw(token, path); a != http.StatusOK {
					b.Fatal(path, a)
				}
				took = append(took, time.Since(began))
				time.Sleep(10 * time.Millisecond) // what one token may ask in a second
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}

// raw asks without holding the answer against the document, which takes longer than the answer.
func (s *served) raw(token, path string) int {
	req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
