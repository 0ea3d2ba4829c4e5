package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
)

// closedPolicy has an instance whose egress is closed.
const closedPolicy = goodPolicy +
	`  - {name: db-1, host: hv1, groups: [closed], ports: [{name: tap4, mac: "02:00:00:00:00:21", addresses: [203.0.113.21]}]}
`

const closedGroup = `groups:
  - name: closed
    rules: [{direction: egress, protocol: tcp, ports: 443, cidr: 0.0.0.0/0}]
`

func closedSite(t *testing.T, extra ...string) string {
	return site(t, closedGroup+closedPolicy[len("groups:\n"):], extra...)
}

// Why does my VM get no lease? The answer is about the frames of DHCP, not about rules.
func TestExplainDHCP(t *testing.T) {
	settings := closedSite(t, "dhcp_servers: [203.0.113.1]")
	explain := func(args ...string) answer {
		return call(t, append([]string{"explain", "--config", settings}, args...)...)
	}
	got := explain("--from", "db-1", "dhcp")
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Contains(t, got.out,
		"db-1 dhcp: ADMITTED\n\ndb-1 203.0.113.21\n  passes   question: DHCPDISCOVER and "+
			"DHCPREQUEST to everybody\n"+
			"           02:00:00:00:00:21 → ff:ff:ff:ff:ff:ff, 0.0.0.0 → 255.255.255.255, udp "+
			"68 → 67\n"+
			"           enters by tap4; got by the uplinks\n")
	got = explain("--from", "db-1", "--to", "203.0.113.9", "dhcp")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "dhcp: DENIED")
	require.Contains(t, got.out,
		"missing: 203.0.113.9 is not among the dhcp_servers of the settings (203.0.113.1)\n")
	got = explain("--from", "db-1", "dhcp6")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "missing: the policy gives tap4 no IPv6 address\n")
	require.Equal(t, 0, explain("--from", "outside", "--to", "web-1", "dhcp-answer").code)
	require.Equal(t, 1, explain("--from", "203.0.113.9", "--to", "web-1", "dhcp-answer").code)

	got = explain("--from", "db-1", "--to", "203.0.113.1", "udp/67")
	require.Equal(t, 1, got.code, "an ordinary datagram is denied")
	require.Contains(t, got.out, "udp/67: PARTLY")
	require.Contains(t, got.out, "  passes   if it is of a DHCP client, from source port 68\n")
	got = explain("--from", "db-1", "--to", "203.0.113.9", "udp/67")
	require.Contains(t, got.out, "udp/67: DENIED")
}

func TestExplainConversationAsJSON(t *testing.T) {
	got := call(t, "explain", "--config", closedSite(t), "--from", "db-1", "--to", "web-3", "-o",
		"json", "ARP")
	require.Equal(t, 0, got.code, got.errOut)
	var e struct {
		From, To, Service, Verdict string
		Exchanges                  []struct {
			From    struct{ Instance, Address string }
			Verdict string
			Steps   []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &e))
	require.Equal(t, "arp", e.Service)
	require.Equal(t, "203.0.113.21", e.Exchanges[0].From.Address)
	require.Equal(t, map[string]any{"what": "question: who has web-3 203.0.113.13?",
		"enters": "tap4", "verdict": "admitted", "ports": []any{},
		"uplink": true, "reason": "asks for 203.0.113.13",
		"frame": "02:00:00:00:00:21 → ff:ff:ff:ff:ff:ff, ARP request: who has 203.0.113.13? tell " +
			"203.0.113.21 at 02:00:00:00:00:21"}, e.Exchanges[0].Steps[0])
	require.Equal(t, "uplink", e.Exchanges[0].Steps[1]["enters"])
	require.Equal(t, "hv2", e.Exchanges[0].Steps[1]["host"])
	require.NotContains(t, got.out, "Hop", "only what is documented is shown")
}

func TestExplainConversationRefuses(t *testing.T) {
	settings := site(t, goodPolicy)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{2, "dhcp needs --from", []string{"--to", "web-1", "dhcp"}},
		{2, "arp needs ends that are not any", []string{"--from", "any", "--to", "web-1", "arp"}},
		{2, "dhcp-answer needs --to, the client", []string{"--from", "outside", "dhcp-answer"}},
		{1, `did you mean the conversation "dhcp"?`, []string{"--from", "web-1", "dhpc"}},
		{2, "needs two ends: --from and --to", []string{"--from", "web-1", "tcp/80"}},
		{2, `--via is direct or router, not "x"`, []string{"--from", "web-1", "--to", "web-2",
			"--via", "x", "tcp/80"}},
		{1, "dhcp is asked of an instance, a port, an address or outside", []string{"web", "dhcp"}},
		{1, "--live: list the ports", []string{"--from", "web-1", "--live", "dhcp"}},
	} {
		got := call(t, append([]string{"explain", "--config", settings}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %s", c.args, got.errOut)
		require.Contains(t, got.errOut, c.says, c.args)
	}
	got := call(t, "explain", "--config", settings, "--from", "web-1", "arp")
	require.Equal(t, 1, got.code, "no gateway is listed")
	require.Contains(t, got.out, "nothing to ask about: give --to an end with an address of IPv4")
}

// Strict uplink sources: what comes back from a router is dropped, so the answer is only half a
// yes, unless the way is known.
func TestExplainVia(t *testing.T) {
	strict := site(t, goodPolicy, "uplink_sources: strict")
	explain := func(settings string, args ...string) answer {
		return call(t, append([]string{"explain", "--config", settings, "--from", "web-2", "--to",
			"web-1", "tcp/80"}, args...)...)
	}
	got := explain(strict)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "tcp/80: PARTLY")
	require.Contains(t, got.out,
		"  IT DEPENDS ON THE WAY of the packet, which the policy does not tell:\n"+
			"    directly on the link  admitted  \n    by a router           denied    strict "+
			"uplink sources: an instance's address without its MAC\n")
	require.Equal(t, 0, explain(strict, "--via", "direct").code)
	got = explain(strict, "--via", "router")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "tcp/80: DENIED")
	require.Contains(t, got.out, "guard  denied  strict uplink sources")
	require.Equal(t, 0, explain(site(t, goodPolicy)).code, "routed, which is the default")
}

// Each word is offered, and explained in the manual page.
func TestConversationsAreOffered(t *testing.T) {
	settings := site(t, goodPolicy)
	offered := call(t, "__complete", "explain", "--config", settings, "--from", "web-1", "").out
	help := call(t, "explain", "--help").out
	for _, c := range explain.Conversations() {
		require.Contains(t, offered, c.Word+"\t"+c.Summary)
		require.Contains(t, help, c.Word)
	}
	require.Contains(t, call(t, "__complete", "explain", "--config", settings, "--from", "web-1",
		"web-2", "").out, "tcp\n")
	require.Contains(t, call(t, "__complete", "explain", "--config", settings, "--from", "").out,
		"outside\t")
}

// The frames of a conversation run through the switch, too, each where it would enter.
func TestExplainConversationLive(t *testing.T) {
	d := newDaemon(t)
	d.vs.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy", "--",
		"add-port", "br-int", "eth1", "--", "set", "Interface", "eth1", "type=dummy")
	d.ready()
	d.settled()
	live := func(args ...string) answer {
		return call(t, append([]string{"explain", "--live", "--config", d.settings}, args...)...)
	}
	for _, c := range explain.Conversations() {
		args := []string{"--from", "web-1", c.Word}
		switch c.Word {
		case "dhcp-answer", "dhcpv6-answer":
			args = []string{"--from", "outside", "--to", "web-1", c.Word}
		case "arp":
			args = []string{"--from", "web-1", "--to", "web-2", c.Word}
		case "nd":
			args = []string{"--from", "web-1", "--to", "2001:db8::1", c.Word}
		}
		got := live(args...)
		require.Contains(t, got.out, "the switch agrees: ", c.Word+got.errOut)
	}
	d.stop(os.Interrupt)
	d.vs.Ofctl("add-flow", "br-int", "table=22,priority=999,actions=drop")
	got := live("--from", "web-1", "dhcp")
	require.Equal(t, 1, got.code, "the frames pass by the policy alone")
	require.Contains(t, got.out, "web-1 dhcp: ADMITTED")
	require.Contains(t, got.out, "DIFFERS")
	require.Contains(t, got.out,
		"  frame:       question: DHCPDISCOVER and DHCPREQUEST to everybody, entering by tap1\n  "+
			"the policy:  sent out of eth1\n  the switch:  dropped\n")
}
