package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exampleSite is settings with the policy of docs/examples.
func exampleSite(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/examples/policy.yaml")
	require.NoError(t, err)
	return site(t, string(text), "gateways: [203.0.113.1]")
}

// Ends and services in the words of people, and what is said where they mean nothing: each answer
// beside its opposite.
func TestExplainInWords(t *testing.T) {
	settings := exampleSite(t)
	for _, c := range []struct {
		question string
		code     int
		says     []string
	}{
		{"frontend backend mysql", 0, []string{"frontend → backend mysql (tcp/3306): ADMITTED for all\n",
			"web-1, web-2 → db-1, db-2 (IPv4): admitted\n  such as web-1 203.0.113.11 → db-1 203.0.113.21\n",
			"  ingress of db-1  admitted  backend: ingress tcp 3306 from group frontend (",
			"policy.yaml:14:9)\n", "(IPv6): admitted\n"}},
		{"backend frontend mysql", 1, []string{"DENIED for all\n", "egress of db-1", "nearest: "}},
		{"frontend backend tcp", 1, []string{"PARTLY\n  of 8 pairs of addresses: 8 admitted in part\n",
			"of the question only tcp 3306 passes"}},
		{"any backend mysql", 1, []string{"PARTLY\n  of ", " admitted, ", "web-1, web-2 → db-1, db-2"}},
		{"outside web-1 http", 0, []string{"outside → web-1 http (tcp/80): ADMITTED for all",
			"0.0.0.0/0, 198.51.100.0/24, 203.0.113.1 → web-1 (IPv4): admitted"}},
		{"internet web-1 https", 1, []string{"DENIED for all", "admits tcp 80, not tcp 443"}},
		{"198.51.100.0/24 mgmt-1 ssh", 0, []string{"ADMITTED for all", "198.51.100.0/24 → mgmt-1"}},
		{"198.51.100.0/23 mgmt-1 ssh", 1, []string{"PARTLY", "1 admitted, 1 denied"}},
		{"203.0.113.0/28 backend mysql", 1, []string{"denied", "203.0.113.0/28, 203.0.113.1"}},
		{"web-1 db-1 mysql", 0, []string{"web-1 → db-1 mysql (tcp/3306): ADMITTED\n"}},
		{"--to db-1 --from web-1 3306/tcp", 0, []string{"web-1 → db-1 tcp/3306: ADMITTED"}},
		{"web-1 db-1 tcp:3306", 0, nil}, {"web-1 db-1 TCP/mysql", 0, nil}, {"web-1 db-1 ping", 1, nil},
		{"web-1 db-1 ssh", 1, []string{"only from group management; web-1 is in frontend"}},
		{"mgmt-1 db-1 ssh", 0, nil}, {"--from mgmt-1 db-1 ssh", 0, nil},
		{"02:00:00:00:00:11 db-1 mysql", 0, []string{"web-1 203.0.113.11 → db-1 203.0.113.21"}},
		{"group:frontend host:nowhere mysql", 1, []string{`no instance, port, group or host "host:nowhere"`}},
		{"web-1 db-1 80", 2, []string{"did you mean tcp/80, udp/80 or protocol/80?"}},
		{"web-1 db-1 mysqk", 2, []string{`there is no service "mysqk"; did you mean "mysql"?`}},
		{"web-1 db-1 icmpv6/135", 1, []string{"neighbour discovery (ICMPv6 types 133 to 137) is not asked"}},
		{"frontend backend nd", 1, []string{"nd is asked of an instance, a port, an address or outside"}},
		{"web-1 mysql", 1, []string{"that is a service, which stands behind both ends: " +
			"'explain web-1 db-1 mysql'"}},
		{"frontned db-1 mysql", 1, []string{`there is no instance, port, group or host "frontned"; ` +
			`did you mean group "frontend"?`}},
		{"198.51.100.300 db-1", 1, []string{`"198.51.100.300" is no address and no network`}},
		{"frontend backend mysql --live", 1, []string{"--live needs two ends that are instances"}},
	} {
		t.Run(c.question, func(t *testing.T) {
			got := call(t, append([]string{"explain", "--config", settings},
				strings.Fields(c.question)...)...)
			require.Equal(t, c.code, got.code, got.out+got.errOut)
			for _, s := range c.says {
				require.Contains(t, got.out+got.errOut, s)
			}
		})
	}
}

func TestExplainCrowdAsJSON(t *testing.T) {
	got := call(t, "explain", "--config", exampleSite(t), "-o", "json", "any", "backend", "mysql")
	require.Equal(t, 1, got.code, got.errOut)
	var a struct {
		From, To, Service, Verdict string
		Pairs                      struct{ Admitted, Partly, Denied int }
		Kinds                      []struct {
			Verdict, Family, Services string
			Pairs                     int
			From, To                  struct {
				Instances, Elsewhere int
				Names, Networks      []string
			}
			Example struct{ Ingress struct{ Reason string } }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &a), got.out)
	require.Equal(t, "partly", a.Verdict)
	require.Equal(t, 12, a.Pairs.Admitted, "four by each of two families, and backend from itself")
	pairs := 0
	for _, k := range a.Kinds {
		if pairs += k.Pairs; k.Verdict == "admitted" && k.From.Names[0] == "web-1" {
			require.Equal(t, []string{"web-1", "web-2"}, k.From.Names)
			require.Equal(t, 2, k.To.Instances)
			require.Contains(t, k.Example.Ingress.Reason, "backend: ingress tcp 3306 from group frontend")
		}
	}
	require.Equal(t, a.Pairs.Admitted+a.Pairs.Denied, pairs)
}
